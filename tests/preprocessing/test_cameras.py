"""EG3D's convention, checked on cameras whose place is known."""

import numpy as np
import pytest

from preprocessing.cameras import (
    FFHQ_FOCAL,
    OPENCV_TO_WORLD,
    angles,
    flip_camera,
    from_pose,
    intrinsics,
    label,
    project,
    scale_world,
    split_label,
)


def orbit(yaw: float, pitch: float, roll: float = 0.0, radius: float = 2.7) -> np.ndarray:
    """Camera at yaw and pitch around the origin, looking at it, rolled so that the face leans to the image's right."""
    centre = radius * np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    forward = -centre / radius
    right = np.array([np.cos(yaw), 0, -np.sin(yaw)])
    down = np.cross(forward, right)
    matrix = np.eye(4)
    turn = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    matrix[:3, :3] = np.stack([right, down, forward], 1) @ turn
    matrix[:3, 3] = centre
    return label(matrix, intrinsics())


def test_the_frontal_camera():
    camera = orbit(0, 0)
    cam2world, matrix = split_label(camera)
    assert np.allclose(cam2world[:3, :3], OPENCV_TO_WORLD)
    assert np.allclose(cam2world[:3, 3], [0, 0, 2.7])
    assert np.allclose(matrix, [[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]], atol=1e-4)
    assert np.allclose(angles(camera), 0)
    assert camera.dtype == np.float32
    assert camera.shape == (25,)


def test_a_worked_projection():
    points = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0, 0.7]])
    shift = FFHQ_FOCAL * 0.1 / 2.7
    expected = [[0.5, 0.5], [0.5 + shift, 0.5], [0.5, 0.5 - shift], [0.5 + FFHQ_FOCAL * 0.1 / 2.0, 0.5]]
    assert np.allclose(project(points, orbit(0, 0)), expected, atol=1e-5)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0.3, 0, 0), (0, 0.2, 0), (0, 0, 0.4), (-0.6, 0.25, -0.1)])
def test_angles_are_those_of_the_orbit(yaw: float, pitch: float, roll: float):
    assert np.allclose(angles(orbit(yaw, pitch, roll)), [yaw, pitch, roll], atol=1e-5)
    assert np.allclose(angles(np.stack([orbit(yaw, pitch, roll)] * 3)), [[yaw, pitch, roll]] * 3, atol=1e-5)


def test_flipping_negates_yaw_and_roll_and_mirrors_the_image():
    camera = orbit(0.4, 0.1, 0.2)
    camera[18] = 0.45
    flipped = flip_camera(camera)
    assert np.allclose(angles(flipped), [-0.4, 0.1, -0.2], atol=1e-5)
    assert np.allclose(flip_camera(flipped), camera, atol=1e-6)
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.2
    there, mirrored = project(points, camera), project(points * (-1, 1, 1), flipped)
    assert np.allclose(mirrored, there * (-1, 1) + (1, 0), atol=1e-5)
    assert np.allclose(flip_camera(np.stack([camera, flipped])), np.stack([flipped, camera]), atol=1e-6)


def test_from_pose_inverts_the_pose():
    rotation, translation = OPENCV_TO_WORLD, np.array([0.1, -0.2, 2.5])
    matrix = from_pose(rotation, translation)
    point = np.array([0.3, 0.4, 0.5])
    local = np.linalg.inv(matrix)[:3] @ np.append(point, 1)
    assert np.allclose(local, rotation @ point + translation)


def test_scaling_the_world_leaves_images():
    camera, points = orbit(0.3, -0.2), np.random.default_rng(1).normal(size=(10, 3)) * 0.2
    assert np.allclose(project(points, camera), project(points * 1.3, scale_world(camera, 1.3)), atol=1e-5)
    assert np.linalg.norm(scale_world(camera, 2.0)[[3, 7, 11]]) == pytest.approx(5.4, rel=1e-5)
