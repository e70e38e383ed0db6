"""Checkpoints in the authors' form: taken whole or in part, told from other networks', never run."""

import json
import os
from pathlib import Path

import pytest
import torch

from model.baselines.firstorder.settings import FirstOrderModel
from model.baselines.fomm.method import METHOD
from model.baselines.official import put, read
from model.baselines.take import main, parser
from model.checkpoints import load_method
from preprocessing.cli import InputError, run_command
from tests.model.baselines.tiny import TINY, randomised

SETTINGS = FirstOrderModel.model_validate(TINY)


@pytest.fixture
def network():
    return randomised(METHOD.build(SETTINGS))


def parts(network, prefix=""):
    """A checkpoint's state dicts, in the form of torch.save."""
    return {
        name: {f"{prefix}{key}": value for key, value in getattr(network, name).state_dict().items()}
        for name in ("generator", "kp_detector")
    }


def take(checkpoint, output, model=SETTINGS):
    settings = model if isinstance(model, str) else model.model_dump_json()
    words = ["--kind", "fomm", "--model", settings, "--checkpoint", str(checkpoint)]
    run_command(main, parser(), [*words, "--method", "fomm-official", "--output", str(output)])


@pytest.mark.parametrize("form", ["whole", "pruned", "module", "legacy"])
def test_taken_weights_are_the_checkpoints(tmp_path, network, form):
    path = tmp_path / "vox-cpk.pth.tar"
    checkpoint = parts(network, "module." if form == "module" else "")
    if form == "whole":
        optimizer = torch.optim.Adam(network.parameters()).state_dict()
        checkpoint |= {"discriminator": {"x": torch.zeros(1)}, "optimizer_generator": optimizer, "epoch": 99}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=form != "legacy")
    take(path, tmp_path / "out")
    kind, taken, facts = load_method(tmp_path / "out" / "final.safetensors")
    assert kind.name == "fomm" and taken.settings == SETTINGS
    for key, value in network.state_dict().items():
        assert torch.equal(taken.state_dict()[key], value), key
    assert facts["method"] == "fomm-official" and facts["step"] == "0" and facts["claim"] == "official weights"
    assert facts["weights"].startswith("official: vox-cpk.pth.tar:")
    assert "official weights" in (tmp_path / "out" / "card.md").read_text()


def test_the_authors_yaml_serves_as_settings(tmp_path, network):
    config = tmp_path / "vox.yaml"
    config.write_text(json.dumps({"model_params": TINY, "train_params": {"num_epochs": 100}}))
    torch.save(parts(network), tmp_path / "c.tar")
    take(tmp_path / "c.tar", tmp_path / "out", str(config))
    assert (tmp_path / "out" / "final.safetensors").exists()


def test_weights_of_another_width_are_told(tmp_path, network, capsys):
    torch.save(parts(network), tmp_path / "c.tar")
    wider = SETTINGS.model_copy(update={"common_params": SETTINGS.common_params.model_copy(update={"num_kp": 10})})
    with pytest.raises(SystemExit) as stopped:
        take(tmp_path / "c.tar", tmp_path / "out", wider)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and "it has 3 keypoints, common_params.num_kp is 10" in said
    assert "of another shape" in said and "missing" not in said and not (tmp_path / "out").exists()


def test_weights_of_another_depth_are_told_by_their_keys(tmp_path):
    """FOMM's public sizes, put into a smaller one, are said to be FOMM's."""
    with torch.device("meta"):
        state = METHOD.build(FirstOrderModel()).state_dict()
    with pytest.raises(InputError, match=r"\d+ are unexpected \(.*…\).*; these are the keys of fomm\.$"):
        put(METHOD.build(SETTINGS), state, tmp_path / "c.tar", "fomm")


def test_numbers_that_are_none_are_told(network):
    state = {key: value.clone() for key, value in network.state_dict().items()}
    state["kp_detector.kp.bias"][0] = torch.nan
    with pytest.raises(InputError, match=r"not finite: kp_detector\.kp\.bias"):
        put(METHOD.build(SETTINGS), state, Path("c.tar"), "fomm")


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [
        ({"generator": {}}, "holds no state dict 'kp_detector', only generator"),
        ({"generator": {"x": 1}, "kp_detector": {}}, "'generator.x' is int, no tensor"),
        ({"epoch": 3}, "holds no state dict 'generator', only epoch"),
    ],
)
def test_what_is_no_checkpoint_of_theirs_is_told(tmp_path, checkpoint, words):
    torch.save(checkpoint, tmp_path / "c.tar")
    with pytest.raises(InputError, match=words):
        read(tmp_path / "c.tar")


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path, network, zipped):
    checkpoint = parts(network) | {"extra": Code(tmp_path / "ran")}
    torch.save(checkpoint, tmp_path / "c.tar", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"it holds \w+\.mkdir, and only tensors and plain values are read"):
        read(tmp_path / "c.tar")
    assert not (tmp_path / "ran").exists()
