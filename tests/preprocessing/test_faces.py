"""The camera is recovered from landmarks that a known camera made."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocessing.cameras import (
    OPENCV_TO_WORLD,
    angles,
    flip_camera,
    from_pose,
    intrinsics,
    label,
    project,
    split_label,
)
from preprocessing.cli import InputError
from preprocessing.detectors.points import as_ibug
from preprocessing.detectors.pose import PnpCameras, looks_at_face, solve_camera
from preprocessing.faces import FaceTrack, find_faces, main, world_scale
from preprocessing.reasons import Dropped
from preprocessing.reference_face import reference_world
from preprocessing.settings import CropSettings, FacesSettings
from preprocessing.tubefile import Shot, TubeWindow

SIZE = 256


def known(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, centre: tuple[float, float, float] = (0, 0, 2.7)):
    """A label whose camera sees the face turned by these Euler angles (degrees)."""
    turn = Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix()
    rotation = OPENCV_TO_WORLD @ turn
    return label(from_pose(rotation, OPENCV_TO_WORLD @ -np.array(centre)), intrinsics())


def seen(camera: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Landmarks [478, 3] that the camera would see of the reference face."""
    image = project(reference_world() * scale, camera) * SIZE
    return np.concatenate([image, np.zeros((478, 1))], 1).astype(np.float32)


@pytest.mark.parametrize("pose", [(0, 0, 0), (35, 0, 0), (-50, 10, 5), (0, 25, 0), (10, -20, -30)])
@pytest.mark.parametrize("centre", [(0, 0, 2.7), (0.1, -0.08, 2.0), (-0.15, 0.05, 3.9)])
def test_all_six_degrees_of_freedom_are_recovered(pose, centre):
    camera = known(*pose, centre=centre)
    found, error = solve_camera(seen(camera), intrinsics(), SIZE)
    assert error < 0.01
    assert np.allclose(found, camera, atol=2e-3)


def test_a_frontal_face_has_no_yaw():
    found, _ = solve_camera(seen(known()), intrinsics(), SIZE)
    assert np.allclose(angles(found), 0, atol=1e-3)


def test_flipped_landmarks_give_the_flipped_camera():
    camera = known(25, 8, 10)
    face = reference_world()
    partner = np.linalg.norm(face[:, None] * (-1, 1, 1) - face[None], axis=-1).argmin(1)
    mirrored = seen(camera)[partner] * (-1, 1, 1) + (SIZE, 0, 0)
    found, _ = solve_camera(mirrored, intrinsics(), SIZE)
    assert np.allclose(found, flip_camera(camera), atol=5e-3)


def test_the_windows_own_intrinsics_are_used():
    camera = known(20)
    shifted = camera.copy()
    shifted[[16, 20]], shifted[18], shifted[21] = 5.5, 0.4, 0.55
    found, _ = solve_camera(seen(shifted), shifted[16:].reshape(3, 3), SIZE)
    assert np.allclose(found, shifted, atol=2e-3)


def test_noise_costs_little():
    rng = np.random.default_rng(0)
    camera = known(15, -5, 3)
    noisy = seen(camera) + rng.normal(size=(478, 3)).astype(np.float32)
    found, error = solve_camera(noisy, intrinsics(), SIZE)
    assert np.abs(np.degrees(angles(found) - angles(camera))).max() < 1
    assert 0.5 < error < 2


def test_the_world_scale_puts_the_median_camera_at_the_radius():
    cameras = np.stack([known(centre=(0, 0, z)) for z in (2.0, 2.5, 3.9)])
    scale = world_scale(cameras, 2.7)
    assert scale == pytest.approx(2.7 / 2.5, rel=1e-4)


def test_a_face_seen_from_behind_or_upside_down_is_refused():
    assert looks_at_face(known(60))
    assert not looks_at_face(known(120))
    assert looks_at_face(known(0, 0, 50))
    assert not looks_at_face(known(0, 0, 80))


TUBE = TubeWindow(
    key="a_00", clip="a", path="a.mp4", source="a.mp4", person="a", split="train", start=10, end=14,
    fps=25.0, size=(100, 100), tube=(0, 0, 1, 1), crop=(10, 20, 210, 120), padded=False, framing="eg3d", side=100.0,
    centers=((50.0, 50.0),) * 4,
)  # fmt: skip


def test_frames_whose_pose_does_not_explain_the_landmarks_are_left_out():
    track = FaceTrack(TUBE)
    scattered = np.random.default_rng(0).uniform(0, SIZE, (478, 3)).astype(np.float32)
    faces = [seen(known()), scattered, seen(known(0, 0, 170))]
    windows = [np.zeros((SIZE, SIZE, 3), np.uint8)] * 3
    cameras = PnpCameras()(windows, faces, [intrinsics()] * 3)
    for index, (landmarks, found) in enumerate(zip([*faces, faces[0]], [*cameras, None], strict=True), start=10):
        track.add(index, landmarks, found, max_error=2.0)
    assert track.frames == [10]
    assert track.seen == 4


def test_fomms_crop_keeps_the_pose():
    import dataclasses

    fomm = dataclasses.replace(TUBE, framing="fomm")
    assert TUBE.box(11) == (0, 0, 100, 100)
    assert fomm.box(11) == (10, 20, 210, 120)
    camera = known(20, 5)
    source = project(reference_world(), camera) * 100  # the window's corner is the video's
    in_crop = np.stack([(source[:, 0] - 10) / 200, (source[:, 1] - 20) / 100, np.zeros(478)], 1) * SIZE
    found, error = solve_camera(in_crop, fomm.intrinsics(11), SIZE)
    assert error < 0.01
    assert np.allclose(split_label(found)[0], split_label(camera)[0], atol=2e-3)
    assert np.allclose(split_label(found)[1], fomm.intrinsics(11), atol=1e-6)


def test_a_clip_without_enough_faces_is_dropped(monkeypatch: pytest.MonkeyPatch):
    blank = np.zeros((100, 100, 3), np.uint8)
    shots = [Shot(TUBE, index, blank, TUBE.box(index)) for index in range(10, 14)]
    monkeypatch.setattr("preprocessing.faces.tube_shots", lambda *_: iter(shots))
    lying = seen(known(0, 0, 80))
    for detect, reason in (
        (lambda images: [None] * len(images), "no-face"),
        (lambda images: [lying] * len(images), "no-pose"),
        (lambda images: [seen(known())] * len(images), "too-short"),
    ):
        with pytest.raises(Dropped) as dropped:
            find_faces([TUBE], detect, PnpCameras(), FacesSettings(), CropSettings(min_frames=8))
        assert dropped.value.reason == reason
    frontal = [seen(known())]
    settings = FacesSettings(), CropSettings(min_frames=4)
    (track,) = find_faces([TUBE], lambda images: frontal * len(images), PnpCameras(), *settings)
    assert track.frames == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("key", "value", "file"),
    [
        ("landmarks", "fan", "2DFAN4-11f355bf06.pth.tar is missing"),
        ("camera", "deep3dfacerecon", "epoch_20.pth is gated"),
    ],
)
def test_missing_weights_are_one_sentence(tmp_path, monkeypatch, capsys, key: str, value: str, file: str):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["--crop", "c", "--output", str(tmp_path / "o.parquet"), "--settings", f'{{"{key}": "{value}"}}'])
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert file in error and len(error.splitlines()) == 1


def test_the_68_points_give_the_same_camera():
    camera = known(20, -5, 10)
    found, error = solve_camera(as_ibug(seen(camera)), intrinsics(), SIZE)
    assert error < 0.01
    assert np.allclose(found, camera, atol=2e-3)


def test_landmarks_of_another_number_of_points_are_refused():
    with pytest.raises(InputError, match="478 points or iBUG's 68, not 5"):
        solve_camera(np.zeros((5, 3)), intrinsics(), SIZE)
