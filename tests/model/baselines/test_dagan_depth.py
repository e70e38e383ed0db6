"""The self-supervision of DaGAN's depth network: geometry against the cameras' projection, losses at their optima."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.baselines.dagan.selfsupervision import Seen, depth_loss, depths, dissimilarity, reprojected, smoothness
from model.baselines.dagan.settings import DaganTraining, DepthParams
from model.cameras import split_label, view_labels
from model.rays import sample_rays
from preprocessing.cameras import project

SIDE = 48
RADIUS = 0.25
"""Of a ball at the head's centre, world units: it just fits between near and far."""
PARAMS = DepthParams(near=2.35, far=3.05)


def textured(points):
    """Colours [..., 3] in [0.1, 0.9] of world points: a smooth pattern in space."""
    phases = torch.tensor([[9.0, 5.0, 3.0], [-4.0, 8.0, 6.0], [6.0, -7.0, 5.0]], dtype=points.dtype)
    return 0.5 + 0.4 * torch.sin(4 * points @ phases.T)


def ball(labels):
    """Pictures [b, 3, s, s] of the ball on black, and its depths [b, 1, s, s], far where it is not."""
    cam2world, intrinsics = split_label(labels.double())
    origins, directions = sample_rays(cam2world, intrinsics, SIDE)
    along = -(origins * directions).sum(-1)
    reach = along.square() - origins.square().sum(-1) + RADIUS**2
    distance = along - reach.clamp(min=0).sqrt()
    hit = reach > 0
    colours = textured(origins + distance[..., None] * directions) * hit[..., None]
    depth = distance * (directions * cam2world[:, None, :3, 2]).sum(-1)
    depth = torch.where(hit, depth, torch.full_like(depth, PARAMS.far))
    square = (-1, SIDE, SIDE)
    return colours.transpose(1, 2).unflatten(2, square[1:]).float(), depth.view(square)[:, None].float()


def disparity_of(depth):
    return (1 / depth - 1 / PARAMS.far) / (1 / PARAMS.near - 1 / PARAMS.far)


DRIVING = view_labels(torch.tensor([0.0, 0.15]), torch.tensor([0.0, -0.1]))
SOURCE = view_labels(torch.tensor([0.2, -0.1]), torch.tensor([0.1, 0.05]))


def test_depths_are_linear_in_their_inverse_and_follow_the_cameras_distance():
    far_away = DRIVING.clone()
    far_away[:, [3, 7, 11]] *= 2
    disparity = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(2, -1, -1, -1)
    made = depths(disparity, 2.0, 3.0, DRIVING)
    np.testing.assert_allclose(made[0].flatten(), [3.0, 2.4, 2.0], rtol=1e-5)
    torch.testing.assert_close(depths(disparity, 2.0, 3.0, far_away), 2 * made)


def test_reprojection_reads_where_the_point_of_a_pixel_is_seen():
    """A picture whose colours are the positions themselves, read at the true depth, gives what ``project`` gives."""
    _, depth = ball(DRIVING)
    centres = (torch.arange(SIDE) + 0.5) / SIDE
    across, down = torch.meshgrid(centres, centres, indexing="xy")
    places = torch.stack([across, down]).expand(2, -1, -1, -1)
    made = reprojected(places, depth, DRIVING, SOURCE)
    cam2world, intrinsics = split_label(DRIVING)
    origins, directions = sample_rays(cam2world, intrinsics, SIDE)
    reach = depth.flatten(1) / (directions * cam2world[:, None, :3, 2]).sum(-1)
    points = (origins + reach[..., None] * directions).double().numpy()
    for n in range(2):
        wanted = project(points[n], SOURCE[n].numpy()).clip(0.5 / SIDE, 1 - 0.5 / SIDE)  # borders repeat
        np.testing.assert_allclose(made[n].flatten(1).T.numpy(), wanted, atol=2e-4)


def test_the_true_depth_explains_the_other_view_and_a_plane_does_not():
    image, depth = ball(DRIVING)
    source, _ = ball(SOURCE)
    truth = disparity_of(depth)
    plane = torch.where(truth > 0, 0.5, 0.0)
    frames = Seen(image, DRIVING), Seen(source, SOURCE)

    def photometric(disparity):
        return depth_loss([disparity], *frames, PARAMS, DaganTraining())["depth_photometric"][1].item()

    right, wrong, inverted = photometric(truth), photometric(plane), photometric((1 - truth) * (truth > 0))
    assert right < 0.5 * wrong and wrong < inverted


def test_descent_on_the_loss_finds_the_ball():
    """From a plane, without a network: the disparity's map itself is moved."""
    image, depth = ball(DRIVING)
    source, _ = ball(SOURCE)
    truth = disparity_of(depth)
    logits = torch.zeros_like(truth, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(60):
        coarse = logits.sigmoid()
        sizes = [coarse, *(F.avg_pool2d(coarse, n) for n in (2, 4, 8))]
        terms = depth_loss(sizes, Seen(image, DRIVING), Seen(source, SOURCE), PARAMS, DaganTraining())
        optimizer.zero_grad()
        torch.stack([weight * value for weight, value in terms.values()]).sum().backward()
        optimizer.step()
    inside = truth > 0
    found, true = logits.sigmoid()[inside].detach().numpy(), truth[inside].numpy()
    assert np.corrcoef(found, true)[0, 1] > 0.7
    assert abs(found.mean() - true.mean()) < 0.1


def test_an_unwarped_source_that_is_as_good_gives_no_gradient():
    image, _ = ball(DRIVING)
    disparity = torch.full((2, 1, SIDE, SIDE), 0.5, requires_grad=True)
    terms = depth_loss([disparity], Seen(image, DRIVING), Seen(image, SOURCE), PARAMS, DaganTraining())
    terms["depth_photometric"][1].backward()
    moving = disparity.grad.abs() > 0
    assert moving.float().mean() < 0.02


def test_the_background_is_pushed_away_and_nothing_else():
    image, _ = ball(DRIVING)
    disparity = torch.full((2, 1, SIDE, SIDE), 0.5, requires_grad=True)
    terms = depth_loss([disparity], Seen(image, DRIVING), Seen(image, DRIVING), PARAMS, DaganTraining())
    assert terms["depth_background"][1].item() == pytest.approx(0.5)
    terms["depth_background"][1].backward()
    assert torch.equal(disparity.grad > 0, image.amax(1, keepdim=True) == 0)


def test_dissimilarity_is_ssim_and_l1():
    """Against plain loops at one pixel; zero for equal pictures."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 8, 8))
    pictures = [torch.from_numpy(x)[None, None] for x in (a, b)]
    assert dissimilarity(pictures[0], pictures[0]).abs().max() < 1e-12
    x, y = a[2:5, 3:6], b[2:5, 3:6]
    covariance = (x * y).mean() - x.mean() * y.mean()
    ssim = (2 * x.mean() * y.mean() + 0.01**2) * (2 * covariance + 0.03**2)
    ssim /= (x.mean() ** 2 + y.mean() ** 2 + 0.01**2) * (x.var() + y.var() + 0.03**2)
    wanted = 0.85 * np.clip((1 - ssim) / 2, 0, 1) + 0.15 * abs(a[3, 4] - b[3, 4])
    assert dissimilarity(*pictures)[0, 0, 3, 4].item() == pytest.approx(wanted)


def test_smoothness_forgives_steps_at_the_pictures_edges_and_ignores_scale():
    step = torch.ones(1, 1, 4, 8)
    step[..., 4:] = 2
    flat, edge = torch.zeros(1, 3, 4, 8), torch.zeros(1, 3, 4, 8)
    edge[..., 4:] = 1
    over_mean = (1 / 1.5) / 7  # one step of seven
    assert smoothness(step, flat).item() == pytest.approx(over_mean, rel=1e-5)
    assert smoothness(step, edge).item() == pytest.approx(over_mean * np.exp(-1), rel=1e-5)
    torch.testing.assert_close(smoothness(3 * step, flat), smoothness(step, flat))
