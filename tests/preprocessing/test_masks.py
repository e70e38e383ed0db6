"""Labels from foreground and landmarks."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from preprocessing.cameras import project
from preprocessing.detectors.backends import View
from preprocessing.detectors.points import as_ibug
from preprocessing.detectors.regions import (
    BACKGROUND,
    EYES,
    FACE,
    MOUTH,
    TORSO,
    UNKNOWN,
    foreground,
    region_mask,
    tidy,
)
from preprocessing.masks import encode_mask, main
from preprocessing.reference_face import CHIN, FOREHEAD, reference_world

SIZE = 256


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    """The reference face as the frontal camera sees it."""
    camera = np.array([1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1, 4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1])
    return project(reference_world(), camera) * SIZE


def at(mask: np.ndarray, point: np.ndarray) -> int:
    return int(mask[int(point[1]), int(point[0])])


def test_eyes_and_mouth_win_over_face_over_foreground(landmarks: np.ndarray):
    person = np.zeros((SIZE, SIZE), bool)
    person[10:, 40:216] = True
    mask = region_mask(person, landmarks)
    assert mask.dtype == np.uint8
    assert at(mask, (landmarks[13] + landmarks[14]) / 2) == MOUTH
    assert at(mask, landmarks[[159, 145]].mean(0)) == EYES
    assert at(mask, landmarks[[386, 374]].mean(0)) == EYES
    assert at(mask, landmarks[1]) == FACE
    assert at(mask, landmarks[FOREHEAD] - (0, 8)) == UNKNOWN
    assert at(mask, landmarks[CHIN] + (0, 6)) == TORSO
    assert mask[5, 128] == BACKGROUND
    assert mask[250, 20] == BACKGROUND


def test_the_face_counts_where_the_segmenter_saw_nobody(landmarks: np.ndarray):
    mask = region_mask(np.zeros((SIZE, SIZE), bool), landmarks)
    assert at(mask, landmarks[1]) == FACE
    assert set(np.unique(mask)) == {BACKGROUND, FACE, EYES, MOUTH}


def test_torso_is_below_the_chin_of_a_leaning_head_too(landmarks: np.ndarray):
    turn = np.array([[0, -1], [1, 0]])  # the head lies on its side, the chin to the left
    lying = (landmarks - SIZE / 2) @ turn.T + SIZE / 2
    mask = region_mask(np.ones((SIZE, SIZE), bool), lying)
    assert mask[128, 3] == TORSO
    assert mask[128, 252] == UNKNOWN


def test_tidy_drops_leaks_and_fills_pinholes(landmarks: np.ndarray):
    face = np.zeros((100, 100), bool)
    face[30:70, 30:70] = True
    person = face.copy()
    person[20:80, 25:75] = True
    person[50, 72] = False
    person[5:10, 90:95] = True
    person[40:60, 45:55] = False  # the face's own pixels never get lost
    clean = tidy(person, face)
    assert clean[20:80, 25:75].all()
    assert not clean[5:10, 90:95].any()
    person[0:30, 80:100] = True  # large enough to be somebody's shoulder
    assert tidy(person, face)[0:30, 80:100].all()


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (100, 200)])
def test_frames_are_segmented_small_and_the_window_lies_where_it_did(height: int, width: int):
    sizes = []

    def segment(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        sizes.extend(frame.shape for frame in frames)
        return [np.asarray(frame[..., 0] / 255, np.float32) for frame in frames]

    column = np.arange(width) + 0.5
    frame = np.broadcast_to((column / width * 255).astype(np.uint8)[:, None], (height, width, 3))
    box = (0.25 * width, 0.5 * height, 0.75 * width, 1.5 * height)
    (found,) = foreground([View(frame, box, np.zeros((478, 3)))], segment, 128)
    assert sizes == [(min(height, 256), min(width, 256), 3)]
    assert np.allclose(found[:60], 0.25 + 0.5 * (np.arange(128) + 0.5) / 128, atol=0.006)
    assert not found[65:].any()  # below the frame


def test_masks_are_eight_bit_png_of_one_channel():
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8) % 7
    image = Image.open(io.BytesIO(encode_mask(mask)))
    assert (image.format, image.mode) == ("PNG", "L")
    assert np.array_equal(np.asarray(image), mask)
    assert encode_mask(mask) == encode_mask(mask)


def test_the_68_points_paint_the_same_eyes_and_mouth(landmarks: np.ndarray):
    person = np.zeros((SIZE, SIZE), bool)
    person[10:, 40:216] = True
    full, few = region_mask(person, landmarks), region_mask(person, as_ibug(landmarks))
    for label in (EYES, MOUTH, TORSO):
        both, either = ((full == label) & (few == label)).sum(), ((full == label) | (few == label)).sum()
        assert both / either > 0.7, label
    assert at(few, landmarks[1]) == FACE
    assert at(few, landmarks[FOREHEAD] + (0, 4)) == UNKNOWN  # the 68 points end at the brows


def test_the_papers_parser_asks_for_its_weights(tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["--crop", "c", "--faces", "f", "--output", "o", "--settings", '{"backend": "bisenet"}'])
    assert "79999_iter.pth is gated: get it from" in capsys.readouterr().err
