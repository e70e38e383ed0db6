"""Pupils by GazeTracking's method: drawn eyes with a known pupil, and one real face."""

import cv2
import numpy as np
import pytest

from evaluation.metrics.faces import FaceReader, dlib_weights
from evaluation.metrics.geometry import ALIGNED_EYES, aligned_eyes
from evaluation.metrics.standard.gazetracking import PREDICTOR, GazeTracking, pupil
from preprocessing.cli import InputError

OUTLINE = np.array([[40, 60], [52, 48], [68, 48], [80, 60], [68, 72], [52, 72]], np.int32)


@pytest.fixture(scope="module")
def reader() -> GazeTracking:
    return GazeTracking()


def eye(x: int, y: int, dark: int = 30) -> np.ndarray:
    """A bright eye with a round iris at (x, y)."""
    return np.asarray(cv2.circle(np.full((128, 128), 200, np.uint8), (x, y), 7, dark, -1))


@pytest.mark.parametrize("centre", [(60, 60), (54, 60), (66, 58)])
def test_the_pupil_is_the_centre_of_the_dark_disc(centre):
    np.testing.assert_allclose(pupil(eye(*centre), OUTLINE), centre, atol=1)


def test_an_eye_without_anything_dark_has_no_pupil():
    assert pupil(eye(60, 60, dark=200), OUTLINE) is None


def test_what_lies_outside_the_outline_does_not_count():
    lashes = eye(60, 60)
    lashes[40:46] = 0
    np.testing.assert_array_equal(pupil(lashes, OUTLINE), pupil(eye(60, 60), OUTLINE))


def test_a_closed_eye_has_no_pupil():
    assert pupil(eye(60, 60), OUTLINE * [1, 0] + np.int32([0, 60])) is None


def test_both_pupils_of_a_face_lie_in_its_eyes(reader, face):
    (eyes,) = reader([face])
    irises = aligned_eyes(FaceReader().read(face).landmarks)
    assert np.abs(eyes[:, :2] - ALIGNED_EYES)[:, 0].max() < eyes[:, 2].min() / 4
    assert np.linalg.norm(eyes[:, :2] - irises[:, :2], axis=1).max() < 6
    np.testing.assert_allclose(eyes[:, 2], irises[:, 2], rtol=0.2)


def test_a_face_without_pupils_has_a_reason(reader, face):
    """Eyes brighter than any threshold, as in overexposed pictures."""
    assert reader([np.maximum(face, 150)]) == ["a pupil was not found"]


def test_a_batch_keeps_its_order_and_a_picture_stands_alone(reader, face, turned):
    empty = np.zeros((90, 120, 3), np.uint8)
    rolled = turned(10)
    readings = reader([face, empty, rolled, face])
    assert readings[1] is None
    np.testing.assert_array_equal(readings[0], readings[3])
    np.testing.assert_array_equal(readings[2], GazeTracking()([rolled])[0])


def test_alignment_takes_the_roll_and_the_size_out(reader, face, turned):
    upright, rolled = reader([face, turned(10)])
    assert np.linalg.norm((upright - rolled)[:, :2], axis=1).max() < 3
    large = cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC)
    assert np.linalg.norm((upright - reader([large])[0])[:, :2], axis=1).max() < 3


def test_wrong_predictors_are_refused(tmp_path):
    truncated = tmp_path / PREDICTOR
    truncated.write_bytes(dlib_weights().with_name(PREDICTOR).read_bytes()[:100_000])
    for path in (truncated, tmp_path / "absent.dat"):
        with pytest.raises(InputError, match=path.name):
            GazeTracking(path)
    with pytest.raises(InputError, match="5 points"):
        GazeTracking(dlib_weights().with_name("shape_predictor_5_face_landmarks.dat"))
