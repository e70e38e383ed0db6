import numpy as np
import pytest
import torch
from torch import nn

from model.baselines.firstorder.equivariance import Transformation, jacobian_loss, value_loss
from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.settings import FirstOrderTraining

STRONG = FirstOrderTraining(sigma_affine=0.2, sigma_tps=0.05, points_tps=4)


@pytest.fixture
def transformation() -> Transformation:
    torch.manual_seed(0)
    return Transformation.random(torch.zeros(2, 3, 4, 4, dtype=torch.float64), STRONG)


def moved(transformation: Transformation, sample: int, x: float, y: float) -> np.ndarray:
    """T of one point, term by term."""
    affine, plate = transformation.affine[sample].numpy(), transformation.plate[sample].numpy()
    bend = 0.0
    for number, weight in enumerate(plate):
        row, column = divmod(number, 4)
        distance = abs(x - (column * 2 / 3 - 1)) + abs(y - (row * 2 / 3 - 1))
        bend += weight * distance**2 * np.log(distance + 1e-6)
    return affine[:, :2] @ [x, y] + affine[:, 2] + bend


def test_points_move_as_affine_map_and_thin_plate_say(transformation):
    points = torch.rand(2, 5, 2, dtype=torch.float64) * 2 - 1
    expected = [[moved(transformation, b, *point) for point in row.tolist()] for b, row in enumerate(points)]
    torch.testing.assert_close(transformation.points(points), torch.tensor(np.array(expected)))


def test_spread_of_the_random_maps():
    torch.manual_seed(0)
    affine, plate = Transformation.random(torch.zeros(4000, 3, 1, 1), STRONG)
    torch.testing.assert_close(affine.mean(0), torch.eye(2, 3), atol=0.02, rtol=0)
    assert affine.std(0).mean().item() == pytest.approx(0.2, rel=0.03)
    assert plate.shape == (4000, 16) and plate.std().item() == pytest.approx(0.05, rel=0.03)


def test_jacobian_is_that_of_finite_differences(transformation):
    points = (torch.rand(2, 3, 2, dtype=torch.float64) * 2 - 1).requires_grad_()
    found = transformation.jacobian(points)
    for b, k in np.ndindex(2, 3):
        at, h = points[b, k].tolist(), 1e-6
        columns = [
            (moved(transformation, b, *np.add(at, step)) - moved(transformation, b, *np.subtract(at, step))) / (2 * h)
            for step in ((h, 0), (0, h))
        ]
        np.testing.assert_allclose(found[b, k].detach().numpy(), np.stack(columns, axis=1), atol=1e-7)
    found.square().sum().backward()
    assert points.grad.abs().max() > 0, "the loss on Jacobians moves the keypoints too"


@pytest.mark.parametrize("align_corners", [True, False])
def test_frames_show_what_was_where_the_points_move(transformation, align_corners):
    """A picture of the coordinates themselves, where it was not mirrored at a border."""
    gentle = Transformation(torch.eye(2, 3).double()[None] * 0.7, transformation.plate[:1] * 0.03)
    side = 33
    number = torch.arange(side).double()
    corners, centres = 2 * number / (side - 1) - 1, (2 * number + 1) / side - 1
    axis = corners if align_corners else centres
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    warped = gentle.frames(torch.stack([x, y, x])[None], align_corners)
    grid = torch.stack(torch.meshgrid(corners, corners, indexing="xy"), dim=-1).reshape(1, -1, 2)
    torch.testing.assert_close(warped[0, :2].flatten(1).T[None], gentle.points(grid), atol=1e-9, rtol=0)


def test_borders_are_mirrored():
    image = torch.arange(5.0).expand(1, 3, 5, 5)
    twice = Transformation(torch.tensor([[[2.0, 0, 0], [0, 1, 0]]]), torch.zeros(1, 4)).frames(
        image, align_corners=True
    )
    torch.testing.assert_close(twice[0, 0, 0], torch.tensor([2.0, 0, 2, 4, 2]))


def test_keypoints_that_move_with_the_frame_cost_nothing(transformation):
    warped = Keypoints(torch.rand(2, 3, 2).double().requires_grad_(), torch.randn(2, 3, 2, 2).double())
    still = Keypoints(
        transformation.points(warped.value).detach(),
        (transformation.jacobian(warped.value) @ warped.jacobian).detach(),
    )
    assert value_loss(still, warped, transformation).item() < 1e-12
    assert jacobian_loss(still, warped, transformation).item() < 1e-9
    off = Keypoints(still.value + torch.tensor([0.3, -0.1]), 2 * still.jacobian)
    assert value_loss(off, warped, transformation).item() == pytest.approx(0.2), "mean over both coordinates"
    assert jacobian_loss(off, warped, transformation).item() == pytest.approx(0.25), "|1 − ½| at two of four places"


def test_gradients_reach_keypoints_and_jacobians_on_both_sides(transformation):
    leaves = [nn.Parameter(torch.rand(2, 3, 2).double()) for _ in range(2)]
    leaves += [nn.Parameter(torch.randn(2, 3, 2, 2).double()) for _ in range(2)]
    pair = Keypoints(leaves[0], leaves[2]), Keypoints(leaves[1], leaves[3])
    (value_loss(*pair, transformation) + jacobian_loss(*pair, transformation)).backward()
    assert all(leaf.grad.abs().max() > 0 for leaf in leaves)
