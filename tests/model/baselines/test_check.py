"""``model.baselines.check``: the authors' configuration and weights in, what the reference makes of them out."""

from typing import ClassVar

import numpy as np
import pytest
import yaml

from model.baselines.check import main, parser
from model.baselines.firstorder.settings import FirstOrderModel
from model.baselines.fomm.method import METHOD
from preprocessing.cli import run_command
from tests.model.baselines import reference
from tests.model.baselines.tiny import TINY, randomised

FILES = ("config", "weights", "inputs", "output")


@pytest.fixture
def files(tmp_path):
    """C, W and X of a tiny FOMM; W in half precision, without what need not be there, X in float32."""
    rng = np.random.default_rng(0)
    paths = dict(zip(FILES, (tmp_path / name for name in ("c.yaml", "w.npz", "x.npz", "y.npz")), strict=True))
    paths["config"].write_text(
        yaml.safe_dump(
            {"model_params": TINY | {"discriminator_params": {"of": "others"}}, "train_params": {"num_epochs": 100}}
        )
    )
    state = randomised(METHOD.build(FirstOrderModel.model_validate(TINY))).state_dict()
    spare = ("num_batches_tracked", "down.weight")
    weights = {f"sd.{k}": v.numpy().astype(np.float16) for k, v in state.items() if not k.endswith(spare)}
    np.savez(paths["weights"], **weights)
    pictures = rng.random((2, 2, 3, 32, 32), dtype=np.float32)
    np.savez(paths["inputs"], **{"in.source": pictures[0], "in.driving": pictures[1], "out.prediction": pictures[0]})
    return paths


def run(files, *options, method="fomm"):
    given = [word for name in FILES for word in (f"--{name}", str(files[name]))]
    run_command(main, parser(), ["--method", method, *given, *options])


def edited(path, change):
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path, **arrays)


@pytest.mark.parametrize("options", [(), ("--align-corners",)])
def test_equals_the_reference(files, options):
    run(files, *options)
    with np.load(files["weights"]) as archive:
        weights = {key.removeprefix("sd."): archive[key].astype(float) for key in archive.files}
    with np.load(files["inputs"]) as archive:
        source, driving = archive["in.source"].astype(float), archive["in.driving"].astype(float)
    with np.load(files["output"], allow_pickle=False) as archive:
        made = dict(archive)
    detector = reference.part(weights, "kp_detector")
    wanted = {}
    for name, image in (("source", source), ("driving", driving)):
        kp = reference.detected(image, detector, 0.5, 0.1)
        wanted |= dict(zip((f"kp_{name}.value", f"kp_{name}.jacobian"), kp, strict=True))
    kps = [(wanted[f"kp_{name}.value"], wanted[f"kp_{name}.jacobian"]) for name in ("driving", "source")]
    wanted |= reference.generated(source, *kps, reference.part(weights, "generator"), 0.5, bool(options))
    assert made.keys() == wanted.keys()
    for name, value in wanted.items():
        assert made[name].dtype == np.float32
        np.testing.assert_allclose(made[name], value, atol=2e-4 if name == "deformed" else 2e-5, err_msg=name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("sd.generator.final.bias"), ("1 is missing (generator.final.bias)",)),
        (lambda w: w.update({"sd.generator.extra": np.zeros(1)}), ("1 is unexpected (generator.extra)",)),
        (
            lambda w: w.update({"sd.kp_detector.kp.bias": np.zeros(15)}),
            ("kp_detector.kp.bias [15] instead of [3]", "15 keypoints, common_params.num_kp is 3"),
        ),
        (lambda w: w.update({"sd.generator.final.bias": np.array(["a"])}), ("sd.generator.final.bias", "no numbers")),
        (lambda w: [w.pop(key) for key in list(w)], ("no arrays sd.generator",)),
    ],
)
def test_weights_that_do_not_fit_are_named(files, capsys, change, words):
    edited(files["weights"], change)
    refused(files, capsys, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.pop("in.driving"), ("lacks 'in.driving'",)),
        (lambda x: x.update({"in.driving": x["in.driving"][:1]}), ("in.driving", "[1, 3, 32, 32] instead of [2, 3")),
        (lambda x: x.update({"in.source": x["in.source"] * 255}), ("in.source", "[0, 1]")),
        (lambda x: x.update({"in.source": x["in.source"] * np.nan}), ("in.source", "[0, 1]")),
        (lambda x: x.update({k: x[k][..., :30] for k in ("in.source", "in.driving")}), ("fomm cannot take",)),
    ],
)
def test_pictures_that_do_not_fit_are_named(files, capsys, change, words):
    edited(files["inputs"], change)
    refused(files, capsys, words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"dataset_params": {}}, ("holds no 'model_params'",)),
        ({"model_params": TINY | {"kp_detector_params": {"blocks": 2}}}, ("unknown key 'kp_detector_params.blocks'",)),
        ({"model_params": TINY, "kp_num_channels": 4}, ("unknown key 'kp_num_channels'",)),
    ],
)
def test_configurations_that_do_not_fit_are_named(files, capsys, config, words):
    files["config"].write_text(yaml.safe_dump(config))
    refused(files, capsys, words)


@pytest.mark.parametrize("name", ["weights", "inputs"])
def test_files_that_are_no_arrays_are_named_and_nothing_is_unpickled(files, capsys, name):
    for write in (
        lambda path: path.write_bytes(b"PK\x03\x04 damaged"),
        lambda path: path.unlink(),
        lambda path: np.savez(path, **{"sd.generator.x": np.array([Trap()]), "in.source": np.array([Trap()])}),
    ):
        write(files[name])
        refused(files, capsys, (str(files[name]),))
    assert not Trap.sprung


class Trap:
    """Notes that it was unpickled."""

    sprung: ClassVar[list[int]] = []

    def __reduce__(self):
        return Trap.sprung.append, (1,)


def refused(files, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        run(files)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1 and not files["output"].exists()
    for word in words:
        assert word in said
