"""Relative motion of keypoints: identities of the formula, and hulls without an area."""

import pytest
import torch

from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.relative import movement_scale, relative_keypoints

SQUARE = torch.tensor([[[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2], [0.1, 0.0]]])


def points(seed: int, count: int = 1) -> Keypoints:
    random = torch.Generator().manual_seed(seed)
    jacobian = torch.eye(2) + 0.2 * torch.randn(count, 5, 2, 2, generator=random)
    return Keypoints(torch.rand(count, 5, 2, generator=random) * 2 - 1, jacobian)


@pytest.mark.parametrize("scale", [False, True])
def test_a_driver_in_its_reference_moves_nothing_and_a_source_in_it_becomes_the_driver(scale):
    source, driving, initial = points(0), points(1, 3), points(2)
    still = relative_keypoints(source, initial, initial, scale)
    torch.testing.assert_close(still, source)
    torch.testing.assert_close(relative_keypoints(initial, driving, initial, scale), driving)


def test_the_abstract_frame_of_the_jacobians_cancels():
    """Both of the driver's Jacobians lead from one abstract frame: drawn in another chart of it, they say alike."""
    source, driving, initial = points(0), points(1), points(2)
    chart = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    plain = relative_keypoints(source, driving, initial, False)
    charted = [Keypoints(kp.value, kp.jacobian @ chart) for kp in (driving, initial)]  # type: ignore[operator]
    torch.testing.assert_close(relative_keypoints(source, *charted, False).jacobian, plain.jacobian)


def test_motion_is_scaled_by_the_ratio_of_lengths():
    source, initial = Keypoints(SQUARE * 1.5, None), Keypoints(SQUARE, None)
    driving = Keypoints(SQUARE + torch.tensor([0.1, -0.2]), None)
    assert movement_scale(source, initial) == pytest.approx(1.5)
    moved = relative_keypoints(source, driving, initial, True)
    torch.testing.assert_close(moved.value - source.value, torch.tensor([0.15, -0.3]).expand(1, 5, 2))
    assert moved.jacobian is None


@pytest.mark.parametrize("count", [1, 2, 4])
def test_keypoints_without_an_area_leave_motion_as_large_as_it_is(count):
    line = torch.linspace(-0.5, 0.5, count)[None, :, None].expand(1, count, 2)
    square = Keypoints(SQUARE[:, :count], None)
    flat = Keypoints(line, None)
    assert movement_scale(flat, square) == movement_scale(square, flat) == 1
