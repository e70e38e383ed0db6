"""SFD and 2D-FAN-4 beside face-alignment's own classes, with equal random weights of the published layout."""

from pathlib import Path

import cv2
import face_alignment
import numpy as np
import pytest
import torch
from face_alignment.detection.sfd import FaceDetector

from preprocessing.cli import InputError
from preprocessing.detectors.fan import FanLandmarks, nearest
from preprocessing.detectors.sfd import LINES, S3fd, SfdBoxes
from tests.preprocessing.layouts import noise, write_fan, write_sfd


@pytest.fixture(scope="module")
def sfd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sfd(tmp_path_factory.mktemp("sfd"))


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fan(tmp_path_factory.mktemp("fan"))


def test_boxes_of_a_batch_are_the_packages_of_each_picture(sfd: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("preprocessing.detectors.networks.AT_ONCE", 3)
    monkeypatch.setattr("preprocessing.detectors.networks.device", lambda: torch.device("cpu"))
    pictures = [noise(128, 0), noise(128, 1), noise(96, 2)]
    theirs = FaceDetector("cpu", path_to_detector=str(sfd), filter_threshold=0.5)
    found = S3fd(sfd, 0.5)(pictures)
    for boxes, picture in zip(found, pictures, strict=True):
        expected = np.array(theirs.detect_from_image(picture))
        assert len(expected) > 1
        assert boxes == pytest.approx(expected, abs=1e-3)


def test_frames_are_looked_at_in_360_lines_and_answered_in_their_own(sfd: Path):
    frame = noise(90, 3, wide=24)
    (boxes,) = SfdBoxes(sfd, 0.5)([frame])
    (expected,) = S3fd(sfd, 0.5)([cv2.resize(frame, (96, LINES), interpolation=cv2.INTER_AREA)])
    assert len(boxes) > 1
    assert boxes.min() == 0  # cut off
    assert boxes == pytest.approx(np.maximum(expected[:, :4], 0) / 4)


def test_landmarks_are_the_packages(sfd: Path, fan: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("face_alignment.api.load_file_from_url", lambda url: str(fan))
    theirs = face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D,
        device="cpu",
        compile=False,
        face_detector_kwargs={"path_to_detector": str(sfd)},
    )
    pictures = [noise(160, 4), noise(160, 5)]
    ours = FanLandmarks(fan, sfd, 0.5)
    for picture, points in zip(pictures, ours(pictures), strict=True):
        boxes = np.array(theirs.face_detector.detect_from_image(picture))
        box = nearest(boxes, picture)
        (expected,) = theirs.get_landmarks_from_image(picture, detected_faces=[box])
        assert points is not None and points.shape == (68, 3) and points.dtype == np.float32
        assert np.array_equal(points[:, :2], expected + 0.5)
        assert not points[:, 2].any()
        assert np.ptp(points[:, 0]) > 10


def test_a_picture_without_a_face_has_no_landmarks_among_others_that_have(sfd: Path, fan: Path):
    ours = FanLandmarks(fan, sfd, 0.5)
    boxes = iter([np.zeros((0, 5)), np.array([[10.0, 10, 90, 100, 0.9]])])
    ours._faces = lambda images: [next(boxes) for _ in images]  # type: ignore[assignment]
    missing, found = ours([noise(96), noise(96)])
    assert missing is None and found is not None


def test_the_face_in_the_middle_is_meant():
    boxes = np.array([[0, 0, 90, 90, 0.99], [40, 40, 60, 70, 0.6], [0, 0, 10, 10, 0.9]])
    assert nearest(boxes, np.zeros((100, 100, 3)))[4] == 0.6
    assert nearest(boxes[:0], np.zeros((100, 100, 3))) is None


def test_other_files_are_refused(sfd: Path, fan: Path):
    with pytest.raises(InputError, match=r"2DFAN4.* are not face-alignment's S3FD: .*Missing key.*conv1_1"):
        S3fd(fan, 0.5)
    with pytest.raises(InputError, match=r"s3fd.* are not face-alignment's 2D-FAN-4: .*Missing key"):
        FanLandmarks(sfd, sfd, 0.5)
