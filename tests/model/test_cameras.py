import math

import torch

from model.cameras import FRONTAL, join_label, look_at, relative_camera, split_label

TARGET = torch.zeros(3)
INTRINSICS = torch.tensor([[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]])


def label(yaw: float, pitch: float = 0.0, radius: float = 2.7) -> torch.Tensor:
    pose = look_at(torch.tensor([FRONTAL + yaw]), torch.tensor([FRONTAL + pitch]), radius, TARGET)
    return join_label(pose, INTRINSICS[None])


def test_frontal_camera_is_eg3ds():
    pose = look_at(torch.tensor([FRONTAL]), torch.tensor([FRONTAL]), 2.7, TARGET)[0]
    torch.testing.assert_close(pose[:3, :3], torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-6, rtol=0)
    torch.testing.assert_close(pose[:3, 3], torch.tensor([0.0, 0.0, 2.7]), atol=1e-6, rtol=0)


def test_yaw_moves_to_positive_x_and_pitch_down():
    yaw = look_at(torch.tensor([FRONTAL + 0.3]), torch.tensor([FRONTAL]), 2.7, TARGET)[0]
    pitch = look_at(torch.tensor([FRONTAL]), torch.tensor([FRONTAL + 0.3]), 2.7, TARGET)[0]
    assert yaw[0, 3] > 0.5
    assert pitch[1, 3] < -0.3


def test_pitch_is_even_in_the_cosine():
    pose = look_at(torch.tensor([FRONTAL]), torch.tensor([1.0]), 2.0, TARGET)[0]
    assert math.isclose(pose[1, 3].item(), 2.0 * (1 - 2 * 1.0 / math.pi), abs_tol=1e-6)


def test_rotation_is_orthonormal_and_looks_at_the_target():
    target = torch.tensor([0.1, -0.2, 0.2])
    yaw, pitch = torch.rand(8) * 2 + 0.5, torch.rand(8) * 2 + 0.5
    poses = look_at(yaw, pitch, 2.7, target)
    rotation = poses[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(8, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(8), atol=1e-5, rtol=0)
    local = (rotation.transpose(1, 2) @ (target - poses[:, :3, 3])[..., None])[..., 0]
    torch.testing.assert_close(local[:, :2], torch.zeros(8, 2), atol=1e-5, rtol=0)
    assert (local[:, 2] > 0).all()


def test_label_round_trip():
    pose, intrinsics = split_label(label(0.2))
    torch.testing.assert_close(join_label(pose, intrinsics), label(0.2))


def test_relative_camera_without_change_is_the_sources():
    source, driver = label(0.3), label(-0.1, 0.1)
    torch.testing.assert_close(relative_camera(source, driver, driver), source, atol=1e-5, rtol=0)


def test_relative_camera_adds_the_drivers_yaw():
    moved = relative_camera(label(0.1), label(0.25), label(0.05))
    torch.testing.assert_close(moved, label(0.3), atol=1e-5, rtol=0)
