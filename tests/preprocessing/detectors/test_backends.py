"""The embedded detectors on a face, and the batches that detectors get."""

import numpy as np
import pytest

from preprocessing.detectors.backends import (
    BATCH,
    BATCH_BYTES,
    FaceMesh,
    MediapipeBoxes,
    SelfieSegmentation,
    batches,
)
from preprocessing.video import frames
from preprocessing.window import context, cut


@pytest.fixture(scope="module")
def frame(embedded) -> np.ndarray:
    return next(frames(embedded("cap12_edit")))[1]


def test_a_face_is_found_where_it_is(frame: np.ndarray, capfd: pytest.CaptureFixture[str]):
    ((box,),) = MediapipeBoxes()([frame])
    assert 0 < box[0] < box[2] < frame.shape[1]
    assert 0 < box[1] < box[3] < frame.shape[0]
    image = cut(frame, *context(box), 256)
    (landmarks,) = FaceMesh()([image])
    assert landmarks is not None
    assert landmarks.shape == (478, 3)
    assert landmarks.dtype == np.float32
    left, right = landmarks[33], landmarks[263]
    assert 0 < left[0] < right[0] < 256
    assert landmarks[10, 1] < landmarks[152, 1]
    (person,) = SelfieSegmentation()([frame])
    assert person.shape == frame.shape[:2]
    x, y = int(box[[0, 2]].mean()), int(box[[1, 3]].mean())
    assert person[y, x] > 0.9
    assert person[2, 2] < 0.5
    assert capfd.readouterr().err == ""


def test_an_empty_picture_has_no_face():
    blank = np.full((120, 160, 3), 127, np.uint8)
    assert [found.shape for found in MediapipeBoxes()([blank, blank])] == [(0, 4)] * 2
    assert FaceMesh()([blank, blank]) == [None, None]


def test_batches_are_bounded_in_frames_and_bytes_and_lose_nothing():
    small = [np.zeros((2, 2, 3), np.uint8)] * (2 * BATCH + 1)
    assert [len(batch) for batch in batches(small, lambda frame: frame)] == [BATCH, BATCH, 1]
    huge = [np.broadcast_to(np.uint8(0), (1, BATCH_BYTES * 2 // 5))] * 5
    assert [len(batch) for batch in batches(huge, lambda frame: frame)] == [2, 2, 1]
    assert list(batches([], lambda frame: frame)) == []
