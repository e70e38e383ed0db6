import numpy as np
import pytest
import torch

from model.data import FrameStore, open_store, resized, to_images, to_tensor
from model.landmarks import (
    IBUG_READING,
    MESH_READING,
    RIGID,
    aligned_face,
    alignment,
    eye_opening,
    gaze,
    mouth_opening,
    template_points,
)
from model.settings import ModelSettings
from preprocessing.detectors.points import as_ibug

SMALL = ModelSettings(
    resolution=32,
    neural_rendering_resolution=32,
    superresolution=False,
    encoder={"resolution": 32, "width": 4, "norm": "group"},
    motion_encoder={"resolution": 32, "width": 4, "norm": "group"},
    relative_codes=True,
    plane_resolution=16,
    identity_generator={"resolution": 8},
    motion_generator={"resolution": 8},
)


@pytest.fixture(scope="module")
def store(synthetic_shards) -> FrameStore:
    return open_store([synthetic_shards], "train", SMALL.frames, cached=True)


def test_images_round_trip():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_images(to_tensor(images)), images)
    assert resized(images, 8) is images
    assert resized(images, 4).shape == (2, 4, 4, 3)


def test_background_is_black_and_masks_cover_the_mouth(store):
    frame = [("ann_00", 4)]
    image, mask = store.images(frame)[0], store.masks(frame)[0]
    assert image[0, 0].max() == 0
    assert image[12, 16].max() > 100
    assert 0 < mask.sum() < 300


def test_cached_and_uncached_stores_agree(store, synthetic_shards):
    other = open_store([synthetic_shards], "train", SMALL.frames)
    frames = [("ann_00", 3), ("bob_00", 7)]
    np.testing.assert_array_equal(store.images(frames), other.images(frames))
    torch.testing.assert_close(store.drivers(frames), other.drivers(frames))
    torch.testing.assert_close(store.alignments(frames), other.alignments(frames))


def test_only_the_asked_split_is_opened(store):
    assert sorted(store.clips) == ["ann_00", "bob_00"]


def test_neutral_frames_have_the_smallest_openings(store):
    frames = store.neutral_frames("ann", 2)
    openings = store.clips["ann_00"].opening
    assert {i for _, i in frames} == set(np.argsort(openings, kind="stable")[:2])


def test_mouth_opening_is_a_share_of_the_eye_distance(store):
    openings = store.clips["ann_00"].opening
    # The synthetic mouth opens by up to .3 dm of an eye distance of .9 dm.
    assert np.ptp(openings) == pytest.approx(0.3 / 0.9, abs=0.02)


def test_alignment_maps_rigid_points_to_the_template(store):
    landmarks = store.clips["ann_00"].landmarks[5] / 64
    points = landmarks[list(RIGID), :2] @ alignment(landmarks)[:, :2].T + alignment(landmarks)[:, 2]
    assert np.abs(points - template_points(MESH_READING)).max() < 0.08


def test_aligned_face_does_not_depend_on_where_the_face_is():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[list(RIGID), :2] = template_points(MESH_READING) * 40 + 20
    shifted = np.roll(frame, (5, -3), axis=(0, 1))
    moved = landmarks + np.array([-3, 5, 0], np.float32)
    np.testing.assert_array_equal(aligned_face(frame, landmarks, 32), aligned_face(shifted, moved, 32))


def test_mouth_opening_ignores_scale():
    face = np.random.default_rng(0).normal(size=(478, 3))
    assert mouth_opening(face * 3) == pytest.approx(mouth_opening(face))


def test_the_68_points_are_read_as_the_478_they_stand_for(store):
    """Depth aside, which the 68 points lack."""
    flat = store.clips["ann_00"].landmarks * (1, 1, 0)
    few = as_ibug(flat)
    assert few.shape[1:] == (68, 3)
    assert mouth_opening(few) == pytest.approx(mouth_opening(flat))
    assert eye_opening(few) == pytest.approx(eye_opening(flat), rel=0.3)
    assert np.abs(alignment(few[5] / 64) - alignment(flat[5] / 64)).max() < 0.1
    assert gaze(few) is None and gaze(flat).shape == flat.shape[:1]
    points = np.zeros((68, 3), np.float32)
    points[list(IBUG_READING.rigid), :2] = template_points(IBUG_READING) * 40
    assert np.allclose(alignment(points), [[1 / 40, 0, 0], [0, 1 / 40, 0]], atol=1e-6)
