"""An untrained model through re-enactment and health: files, determinism, and figures that mean what they say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from evaluation import health, protocol, reenact
from evaluation.health import Observations, code_spread, correlation, psnr, summary
from model.animator import Animator
from model.checkpoints import save_weights
from model.planedict import PlaneDict
from preprocessing.cli import InputError


@pytest.fixture(scope="module")
def checkpoint(tiny_model, tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "final.safetensors"
    save_weights(path, PlaneDict(tiny_model), {"seed": "4"})
    return path


@pytest.fixture(scope="module")
def pairs(synthetic_shards, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    settings = json.dumps({"protocol": {"self_frames_per_clip": 3, "cross_pairs": 2, "multiview_pairs": 1}})
    arguments = ["--shards", str(synthetic_shards), "--output", str(folder), "--settings", settings]
    protocol.main(protocol.parser().parse_args(arguments))
    return folder


def run(shards: Path, pairs: Path, output: Path, *method: str) -> pd.DataFrame:
    arguments = ["--shards", str(shards), "--pairs", str(pairs), "--output", str(output), "--method", *method]
    reenact.main(reenact.parser().parse_args(arguments))
    return pd.read_parquet(output / "index.parquet")


def test_model_drives_absolute_and_relative_motion(synthetic_shards, pairs, checkpoint, tmp_path):
    index = run(synthetic_shards, pairs / "self.csv", tmp_path / "a", "planedict", "--checkpoint", str(checkpoint))
    assert index.groupby("motion").size().to_dict() == {"absolute": 6, "relative": 6}
    run(synthetic_shards, pairs / "self.csv", tmp_path / "b", "planedict", "--checkpoint", str(checkpoint))
    assert (tmp_path / "a/frames.tar").read_bytes() == (tmp_path / "b/frames.tar").read_bytes()


def test_views_are_absolute_only(synthetic_shards, pairs, checkpoint, tmp_path):
    index = run(synthetic_shards, pairs / "multiview.csv", tmp_path, "planedict", "--checkpoint", str(checkpoint))
    assert set(index["motion"]) == {"absolute"} and len(index) == 25


def test_copy_needs_a_size_and_no_checkpoint(synthetic_shards, pairs, checkpoint, tmp_path):
    index = run(synthetic_shards, pairs / "cross.csv", tmp_path, "copy", "--resolution", "32")
    assert set(index["motion"]) == {"none"} and len(index) == 2
    with pytest.raises(InputError, match="--resolution"):
        run(synthetic_shards, pairs / "cross.csv", tmp_path, "copy")
    with pytest.raises(InputError, match="no checkpoint"):
        run(synthetic_shards, pairs / "cross.csv", tmp_path, "copy", "--checkpoint", str(checkpoint))


def test_relative_codes_need_a_reference(tiny_model):
    with pytest.raises(ValueError, match="neutral"):
        Animator(PlaneDict(tiny_model)).motion(torch.zeros(1, 1, 32, 32))


def test_health_command_writes_every_figure(synthetic_shards, checkpoint, tmp_path):
    output = tmp_path / "health.json"
    arguments = ["--shards", str(synthetic_shards), "--checkpoint", str(checkpoint), "--output", str(output)]
    health.main(health.parser().parse_args(arguments))
    figures = json.loads(output.read_text())
    assert set(figures["psnr_gain_db"]) == {"ann", "bob"}
    assert figures["seeds"] == [4]
    assert figures["face_found"] == 0, "an untrained model draws no faces"
    assert figures["mouth_correlation"] is None and figures["swap_ratio"] > 0


def test_psnr_counts_only_the_mask():
    a, b = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    b[0, 0] = 255
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = True
    assert psnr(a, b, mask) == 0 and psnr(a, b, ~mask) == 100
    assert psnr(a, b) == pytest.approx(10 * np.log10(16))


def test_correlation_and_spread():
    assert correlation([(0, 1), (1, 3), (2, 5)]) == pytest.approx(1)
    assert np.isnan(correlation([(0, 1), (1, 1), (2, 1)])) and np.isnan(correlation([(0, 1)]))
    constant, moving = np.ones((5, 3)), np.array([[1.0] * 3, [-1.0] * 3])
    assert code_spread({"a": constant, "b": moving}) == pytest.approx({"a": 0, "b": 1})


def test_only_lively_people_count_for_the_mouth():
    line = [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]
    seen = Observations(lively={"a"})
    for driver, output in line:
        for figure in ("mouth_correlation", "eye_correlation"):
            seen.trace(figure, "a", driver, output)
            seen.trace(figure, "b", driver, 1 - output)
    figures = summary(seen, [0])
    assert figures["mouth_correlation"] == 1 and figures["per_person"]["mouth"] == {"a": 1.0}
    assert figures["eye_correlation"] == 0, "eyes of a still mouth count"
    assert summary(Observations(), [])["psnr_gain_db"] == {}
