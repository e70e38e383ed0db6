"""What is left out must not be seen."""

from dataclasses import replace

import pytest
import torch

from benchmarks.occupancy import ellipsoid_decoder, ellipsoid_layer
from model.cameras import split_label, view_labels
from model.occupancy import find_occupancy, grown
from model.planedict import HEAD_CENTRE, HEAD_RADII
from model.rays import sample_rays
from model.renderer import RenderConfig, render_rays

CONFIG = RenderConfig(coarse_samples=24, fine_samples=24)


@pytest.fixture
def head():
    """Planes and decoder of an ellipsoid of a few colours, space around it empty; rays from two sides."""
    torch.manual_seed(0)
    planes = torch.randn(2, 3, 6, 32, 32) / 2
    planes[:, :, 0] = ellipsoid_layer(32, CONFIG.box_side)
    decoder = ellipsoid_decoder(6, 16, 3)
    rays = sample_rays(*split_label(view_labels(torch.tensor([-0.6, 0.4]), torch.tensor([0.1, -0.2]))), 32)
    return planes, decoder, *rays


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, fine_samples=0), replace(CONFIG, jitter=True)])
def test_skipping_empty_space_shows_the_same(head, config):
    planes, decoder, origins, directions = head
    occupancy = find_occupancy(planes, decoder, config, origins.shape[1])
    assert occupancy is not None and 0 < occupancy.share() < 0.5
    torch.manual_seed(1)
    full = render_rays(planes, decoder, origins, directions, config)
    torch.manual_seed(1)
    ours = render_rays(planes, decoder, origins, directions, config, occupancy=occupancy)
    assert (full.opacity > 0.9).any()
    psnr = 10 * torch.log10(4 / (full.features - ours.features).square().mean())
    assert psnr > 50
    torch.testing.assert_close(ours.opacity, full.opacity, atol=0.01, rtol=0)
    seen = full.opacity > 0.5
    torch.testing.assert_close(ours.depth[seen], full.depth[seen], atol=0.01, rtol=0)


def test_spans_hold_every_sample_that_weighs(head):
    planes, decoder, origins, directions = head
    occupancy = find_occupancy(planes, decoder, CONFIG, origins.shape[1])
    depths = torch.linspace(2.25, 3.3, 24).expand(2, 1024, 24).contiguous()
    spans = occupancy.spans(origins.contiguous(), directions, depths)
    points = origins[:, :, None] + depths[..., None] * directions[:, :, None]
    inside = ((points - torch.tensor(HEAD_CENTRE)) / torch.tensor(HEAD_RADII)).square().sum(-1) < 0.5
    index = torch.arange(24)
    covered = (index >= spans[..., :1]) & (index < spans[..., 1:])
    assert inside.any() and covered[inside].all()
    assert (spans[..., 0] == spans[..., 1]).float().mean() > 0.05


def test_nothing_but_black_haze_is_left_out(head):
    planes, decoder, origins, directions = head
    decoder.fc2.bias[1:] = -20
    occupancy = find_occupancy(planes, decoder, CONFIG, origins.shape[1])
    assert occupancy.cells.max() == 1
    rendering = render_rays(planes, decoder, origins, directions, CONFIG, occupancy=occupancy)
    assert (rendering.features == -1).all() and (rendering.opacity == 0).all()


def test_planes_that_are_not_for_kernels_have_no_occupancy(head):
    planes, decoder, *_ = head
    assert find_occupancy(planes.double(), decoder, CONFIG, 1024) is None


def test_cells_grow_by_one_to_all_sides():
    cells = torch.zeros(1, 5, 5, 5, dtype=torch.bool)
    cells[0, 1, 2, 0] = True
    expected = torch.zeros_like(cells)
    expected[0, 0:3, 1:4, 0:2] = True
    assert torch.equal(grown(cells), expected)
