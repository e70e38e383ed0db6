"""Embedded detectors on one face, and the geometry behind pose, vertices and pupils."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np
import pytest
import torch

from evaluation import measure
from evaluation.measure import Measurer, Sample, measured
from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import Choice
from evaluation.metrics.faces import FaceReader, dlib_weights
from evaluation.metrics.geometry import ALIGNED_EYES, aligned_eyes, aligned_shapes, camera_degrees, head_degrees
from evaluation.metrics.units import UNITS, action_units, measures
from preprocessing.cameras import from_pose, intrinsics, label, project
from preprocessing.cli import InputError
from preprocessing.reference_face import reference_face, reference_world


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return FaceReader()


def rotation(axis: int, degrees: float) -> np.ndarray:
    vector = np.zeros(3)
    vector[axis] = np.radians(degrees)
    return cv2.Rodrigues(vector)[0]


def pixels(reference: np.ndarray) -> np.ndarray:
    """The reference face as FaceMesh would give it: pixels, y down, z away."""
    return reference * np.array([80.0, -80.0, -80.0]) + 128


def test_one_face_is_measured(reader, face):
    found = reader.read(face)
    assert found.landmarks.shape == (478, 3) and found.chip.shape == (150, 150, 3)
    assert found.units.shape == (len(UNITS),) and found.identity.shape == (128,)
    assert np.all(np.abs(found.degrees) < 25)


def test_a_black_picture_has_no_face(reader):
    assert reader.read(np.zeros((96, 96, 3), np.uint8)) is None


def test_rolling_the_picture_rolls_the_head_and_keeps_the_person(reader, turned):
    upright, rolled = reader.read(turned(0)), reader.read(turned(12))
    difference = np.abs(rolled.degrees - upright.degrees)
    assert difference[2] == pytest.approx(12, abs=2) and difference[:2].max() < 4
    cosine = upright.identity @ rolled.identity / np.linalg.norm(upright.identity) / np.linalg.norm(rolled.identity)
    assert cosine > 0.97


def test_small_pictures_are_measured_at_256(reader, face):
    small = cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(reader.read(small).landmarks - reader.read(face).landmarks).mean() < 4


def test_dlibs_weights_are_found_without_importing_their_package():
    assert dlib_weights().stat().st_size > 20_000_000


@pytest.mark.parametrize(("axis", "degrees"), [(0, 12.0), (1, -20.0), (2, 15.0), (1, 0.0)])
def test_head_angles_invert_a_projection(axis, degrees):
    frontal = np.diag([1.0, -1.0, -1.0])
    camera = label(from_pose(rotation(axis, degrees) @ frontal, [0, 0, 2.7]), intrinsics())
    image = project(reference_world(), camera) * 256
    landmarks = np.column_stack([image, np.zeros(478)])
    assert head_degrees(landmarks, 256) == pytest.approx(camera_degrees(camera), abs=0.05)
    assert np.abs(camera_degrees(camera)).max() == pytest.approx(abs(degrees), abs=0.01)


def test_aligned_shapes_ignore_pose_and_size():
    a = pixels(reference_face())
    moved = 1.7 * a @ rotation(1, 25).T @ rotation(2, 10).T + 40
    first, second = aligned_shapes(a, moved)
    assert first.shape == second.shape == (468, 3)
    assert np.abs(first - second).max() < 1e-9
    assert np.linalg.norm(first[33] - first[263]) == pytest.approx(0.90)


def test_aligned_pupils_ignore_rotation_and_size_but_not_gaze():
    a = pixels(reference_face())
    turn = rotation(2, 20)
    here, there = aligned_eyes(a), aligned_eyes(0.4 * a @ turn.T + 11)
    width = here[:, 2].mean()
    assert np.abs(here - there).max() < 1e-6
    assert np.linalg.norm(here[:, :2] - ALIGNED_EYES, axis=1).max() < width / 2 and 25 < width < 60
    looking = a.copy()
    looking[[468, 473]] += [2.0, 0, 0]
    assert aligned_eyes(looking)[:, 0].mean() > here[:, 0].mean() + 1


def test_action_units_do_not_change_with_pose_and_follow_the_mouth():
    a = pixels(reference_face())
    assert action_units(3 * a @ rotation(1, 30).T) == pytest.approx(action_units(a), abs=1e-6)
    opened = a.copy()
    opened[14, 1] += 30
    codes = [unit.code for unit in UNITS]
    before, after = (dict(zip(codes, action_units(x), strict=True)) for x in (a, opened))
    assert after["AU26"] > 0.5 > before["AU26"] and measures(opened)["lip_gap"] > measures(a)["lip_gap"]


def test_a_degenerate_face_is_refused():
    with pytest.raises(ValueError, match="eyes"):
        measures(np.zeros((478, 3)))


def test_an_image_is_measured_once(face, monkeypatch):
    measurer = Measurer(Choice("embedded"))
    reads = []
    original = FaceReader.read
    monkeypatch.setattr(FaceReader, "read", lambda self, picture: reads.append(1) or original(self, picture))
    metrics = [METRICS[key] for key in ("csim", "avd", "prmse", "aucon", "et", "et_width", "csim_l2")]
    (result,) = measurer.batch(metrics, [Sample(face, face.copy(), face.copy())])
    for key, value in result.values.items():
        assert value.used and value.value == pytest.approx(1 if key in ("csim", "aucon") else 0, abs=1e-9)
    assert len(reads) == 1 and set(result.values) == {metric.key for metric in metrics}


def test_processes_measure_what_one_does_in_order(face, turned):
    metrics = [METRICS[key] for key in ("l1", "prmse", "ffd")]
    black = np.zeros_like(face)
    samples = [Sample(black if i == 5 else turned(i % 7), face) for i in range(40)]
    alone, shared = (list(measured(Choice("embedded"), metrics, iter(samples), threads)) for threads in (1, 2))
    assert len(alone) == len(shared) == 40 and alone[5].features["ffd"] is None
    assert alone[5].values["prmse"].reason == "no face found in the generated image"
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(*([value.value for value in m.values.values()] for m in (one, other)))


def test_measuring_processes_take_a_core_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=measure._take_one_core) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1


def test_an_error_while_samples_are_read_is_not_lost():
    def samples():
        for _ in range(40):
            yield Sample(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))
        raise InputError("a frame is missing")

    with pytest.raises(InputError, match="missing"):
        list(measured(Choice("embedded"), [METRICS["l1"]], samples(), 2))


def test_backends_and_reasons(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    assert Choice("auto").backend(METRICS["csim"]) == ("dlib-128", "")
    backend, reason = Choice("standard").backend(METRICS["avd"])
    assert backend == "deep3dfacerecon-bfm09" and "epoch_20.pth" in reason
    assert Choice("embedded").backend(METRICS["lpips"])[1]
    assert "alexnet" in Choice("auto").backend(METRICS["lpips"])[1]
    assert Choice("standard").backend(METRICS["ssim"]) == ("scikit-image", "")
