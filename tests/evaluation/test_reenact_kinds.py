"""Re-enactment by a method of another kind than PlaneDict: which frames it is given, and what it is not asked for."""

import argparse
import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial import ConvexHull, procrustes

from evaluation import reenact
from evaluation.outputs import read_pairs
from evaluation.reenact import chosen_reenactor
from model.checkpoints import Trained
from model.data import Frames, FrameStore
from model.kinds import FrameFormat, Kind, LoopSettings, MethodModel
from model.method import Reenactor
from model.references import References, freed
from preprocessing.cli import InputError
from preprocessing.detectors.points import as_ibug
from preprocessing.reader import ShardReader

MOTIONS = {"absolute": "first", "relative": "first", "relative_best": "best"}
KIND = Kind("flat", MethodModel, LoopSettings, "", MOTIONS, False, lambda model, training: "")
SIDE = 16


class Telltale(Reenactor[Frames]):
    """Its pictures are the difference of driver and reference, which tells which frames it was given."""

    kind, frames = KIND, FrameFormat(SIDE, SIDE)

    def encode(self, source: Frames) -> Frames:
        return source

    def drive(self, source: Frames, driving: Frames, reference: Frames, motion: str) -> np.ndarray:
        parts = torch.cat([source.labels, driving.labels, reference.labels], 1)
        return np.frombuffer(parts.numpy().tobytes(), np.uint8).reshape(1, 75, 4, 1).repeat(3, -1)


@pytest.fixture(scope="module")
def store(synthetic_shards) -> FrameStore:
    reader = ShardReader([synthetic_shards])
    return FrameStore(reader, reader.samples, Telltale.frames)


def labels(picture: np.ndarray) -> np.ndarray:
    """Of :class:`Telltale`: the camera labels of source, driver and reference."""
    return np.frombuffer(picture[..., 0].tobytes(), np.float32).reshape(3, 25)


def test_every_kind_of_motion_is_relative_to_its_own_frame(store):
    pairs = pd.DataFrame(
        {
            "pair": [0, 1],
            "source_key": ["ann_00", "bob_01"],
            "source_frame": [0, 7],
            "driver_key": ["bob_01", "bob_01"],
            "driver_frame": [3, 4],
            "source_clip": ["ann", "bob"],
            "driver_clip": ["bob", "bob"],
            "yaw": [np.nan, np.nan],
        }
    )
    made = {(pair, motion): labels(picture) for pair, motion, picture in reenact.drive(pairs, store, Telltale())}
    assert list(made) == [(pair, motion) for pair in (0, 1) for motion in MOTIONS]
    best = {0: 0, 1: 7}  # the synthetic faces of all clips turn and open their mouths alike: frame i is like frame i
    for row in pairs.itertuples():
        for motion in MOTIONS:
            reference = best[row.pair] if motion == "relative_best" else 0
            wanted = [(row.source_key, row.source_frame), (row.driver_key, row.driver_frame), ("bob_01", reference)]
            np.testing.assert_array_equal(made[row.pair, motion], store.labels(wanted).numpy(), err_msg=motion)


def test_self_reenactment_has_the_motions_its_kind_says(store):
    one = {"source_clip": "bob", "driver_clip": "bob", "source_key": "bob_01", "driver_key": "bob_01"}
    pairs = pd.DataFrame([{"pair": 0, "source_frame": 0, "driver_frame": 1, "yaw": np.nan, **one}])
    method = Telltale()
    method.kind = dataclasses.replace(KIND, self_motions=("absolute",))
    assert [motion for _, motion, _ in reenact.drive(pairs, store, method)] == ["absolute"]


def test_training_frames_are_no_references(store):
    references, source = References(store), store.clips["ann_00"].landmarks[6]
    assert references.frame("first", source, "ann") == ("ann_01", 0)
    assert references.frame("best", source, "ann") == ("ann_01", 6)
    assert references.frame("neutral", source, "ann") == store.neutral_frames("ann", 1)[0]


def test_the_best_frame_is_that_of_the_public_demo(store):
    """``find_best_frame``, frame by frame, for faces of other sizes and places."""

    def demo(points: np.ndarray) -> np.ndarray:
        points = points[:, :2] - points[:, :2].mean(0)
        return points / np.sqrt(ConvexHull(points).volume)

    rng = np.random.default_rng(0)
    driver = as_ibug(store.clips["bob_01"].landmarks)
    for _ in range(5):
        source = store.clips["ann_00"].landmarks[4] * rng.uniform(0.5, 2) + rng.normal(0, 1.5, (478, 3))
        norms = [(np.abs(demo(as_ibug(source)) - demo(points)) ** 2).sum() for points in driver]
        assert References(store).frame("best", source, "bob") == ("bob_01", int(np.argmin(norms)))


def test_landmarks_are_freed_of_place_and_size_but_not_of_turns(store):
    points = as_ibug(store.clips["ann_00"].landmarks[0])
    np.testing.assert_allclose(freed(points * 3 + 10), freed(points), atol=1e-6)
    assert ConvexHull(freed(points)).volume == pytest.approx(1)
    turned = points.copy()
    turned[:, :2] = points[:, 1::-1] * (1, -1)
    assert np.abs(freed(turned) - freed(points)).max() > 0.5 and procrustes(freed(turned), freed(points))[2] < 1e-9


def test_pictures_that_a_kind_does_not_make_are_named():
    trained = Trained(KIND, None, {})
    with pytest.raises(InputError, match=r"--picture deformed: .*flat makes prediction"):
        chosen_reenactor(trained, "deformed")


def test_a_method_without_views_is_not_asked_for_views(synthetic_shards, make_pair, monkeypatch, tmp_path):
    rows = [make_pair(0, ("ann_00", 0), ("bob_00", 1), yaw=0.2, pitch=0.0)]
    pd.DataFrame(rows).to_csv(tmp_path / "multiview.csv", index=False)
    assert read_pairs(tmp_path / "multiview.csv")["yaw"].notna().all()
    monkeypatch.setattr(reenact, "load_method", lambda path: Trained(KIND, None, {}))
    monkeypatch.setattr(reenact, "method_of", lambda name: argparse.Namespace(reenactor=lambda *_: Telltale()))
    given = ["--shards", str(synthetic_shards), "--pairs", str(tmp_path / "multiview.csv"), "--method", "flat"]
    given += ["--checkpoint", "final.safetensors", "--output", str(tmp_path)]
    with pytest.raises(InputError, match=r"flat renders no other views, which .*multiview\.csv asks for"):
        reenact.main(reenact.parser().parse_args(given))
