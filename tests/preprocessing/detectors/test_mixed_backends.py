"""Mixed choices of detectors through the stages, up to what training reads. The networks have random weights."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from model.data import FrameStore
from model.settings import ModelSettings
from preprocessing import faces, masks, samples, shards
from preprocessing.cameras import angles, intrinsics
from preprocessing.detectors import choice
from preprocessing.detectors.backends import FaceMesh
from preprocessing.detectors.points import as_ibug
from preprocessing.detectors.regions import UNKNOWN
from preprocessing.reader import ShardReader
from tests.preprocessing.layouts import write_bisenet, write_deep3d


def prepared(film: Path, output: Path, face: dict[str, object], mask: dict[str, object]) -> ShardReader:
    """The film's shards by other detectors from faces on."""
    at = {stage: str(output / stage / "00000.parquet") for stage in ("faces", "masks", "shards")}
    crop = ["--crop", str(film / "crop" / "00000.parquet")]
    faces.main([*crop, "--output", at["faces"], "--settings", json.dumps(face)])
    masks.main([*crop, "--faces", at["faces"], "--output", at["masks"], "--settings", json.dumps(mask)])
    shards.main([*crop, "--faces", at["faces"], "--masks", at["masks"], "--output", at["shards"]])
    return ShardReader(output / "shards")


class SixtyEight:
    """FaceMesh's points as 2D-FAN gives its own: 68, without depth."""

    name = "sixty-eight"

    def __init__(self) -> None:
        self._mesh = FaceMesh()

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        found = self._mesh(images)
        return [None if face is None else as_ibug(face) * np.float32([1, 1, 0]) for face in found]


def test_68_points_flow_to_masks_shards_pictures_and_training(film: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(choice, "landmarks", lambda settings: SixtyEight())
    reader = prepared(film, tmp_path, {}, {})
    (sample,) = reader.samples
    assert reader.landmarks(sample.key).shape == (4, 68, 3)
    embedded = ShardReader(film / "shards")
    apart = angles(reader.cameras(sample.key)) - angles(embedded.cameras(sample.key))
    assert np.abs(np.degrees(apart)).max() < 8
    few, full = (shard.masks(sample.key, [0])[0] for shard in (reader, embedded))
    assert set(np.unique(few)) == set(np.unique(full))
    assert (few == full).mean() > 0.8
    assert reader.meta(sample.key)["backends"]["landmarks"] == "sixty-eight"
    samples.main(["--shards", str(tmp_path / "shards"), "--output", str(tmp_path / "samples.png")])
    store = FrameStore(reader, reader.samples, ModelSettings().frames, cached=True)
    wanted = [(sample.key, 1)]
    same = FrameStore(embedded, embedded.samples, ModelSettings().frames, cached=True)
    assert np.abs(store.alignments(wanted).numpy() - same.alignments(wanted).numpy()).max() < 0.15
    assert store.drivers(wanted).shape == same.drivers(wanted).shape
    assert store.clips[sample.key].opening == pytest.approx(same.clips[sample.key].opening, abs=0.05)


def test_facemesh_with_the_papers_cameras_and_masks(film: Path, tmp_path: Path, monkeypatch):
    write_bisenet(tmp_path)
    write_deep3d(tmp_path)
    monkeypatch.setattr("preprocessing.detectors.choice.weights.require", lambda name: tmp_path / name)
    reader = prepared(film, tmp_path, {"camera": "deep3dfacerecon", "max_error": 100}, {"backend": "bisenet"})
    (sample,) = reader.samples
    assert reader.landmarks(sample.key).shape == (4, 478, 3)
    cameras = reader.cameras(sample.key)
    assert cameras[:, 16:] == pytest.approx(np.tile(intrinsics().ravel(), (4, 1)))
    assert np.median(np.linalg.norm(cameras[:, [3, 7, 11]], axis=1)) == pytest.approx(2.7, abs=1e-3)
    assert UNKNOWN not in reader.masks(sample.key, [0])
    names = reader.meta(sample.key)["backends"]
    assert names["camera"].startswith("deep3dfacerecon epoch_20.pth:")
    assert names["masks"].startswith("face-parsing-bisenet 79999_iter.pth:")
    assert set(names) == {"boxes", "window", "landmarks", "camera", "masks"}
