"""The renderer against identities, and against a plain reference in float64 written from the conventions."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from model import renderer
from model.decoder import TriplaneDecoder
from model.renderer import RenderConfig, coarse_depths, fine_depths, look_up, march, plane_rows, render_rays

CONFIG = RenderConfig(coarse_samples=12, fine_samples=12)


def plain_features(planes: torch.Tensor, points: torch.Tensor, config: RenderConfig) -> torch.Tensor:
    """Three grid_sample calls."""
    axes = {"yz": [(0, 1), (0, 2), (2, 1)], "eg3d": [(0, 1), (0, 2), (2, 0)]}[config.plane_axes]
    features = []
    for plane, uv in enumerate(axes):
        grid = (2 / config.box_side * points)[:, None, :, list(uv)]
        sampled = F.grid_sample(planes[:, plane], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        features.append(sampled[:, :, 0].transpose(1, 2))
    total = torch.stack(features).sum(0)
    return total / 3 if config.aggregate == "mean" else total


def plain_march(density, colour, depths):
    """The sum over intervals, one at a time."""
    rays = depths.shape[:2]
    light, total, weighted, features = torch.ones(rays), torch.zeros(rays), torch.zeros(rays), 0
    light, total, weighted = light.double(), total.double(), weighted.double()
    for i in range(depths.shape[2] - 1):
        delta = (depths[:, :, i + 1] - depths[:, :, i])[..., 0]
        sigma = F.softplus((density[:, :, i] + density[:, :, i + 1])[..., 0] / 2 - 1)
        alpha = 1 - torch.exp(-sigma * delta)
        w = alpha * light
        light = light * (1 - alpha + 1e-10)
        total = total + w
        weighted = weighted + w * (depths[:, :, i] + depths[:, :, i + 1])[..., 0] / 2
        features = features + w[..., None] * (colour[:, :, i] + colour[:, :, i + 1]) / 2
    return 2 * features - 1, weighted / total, total


@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@pytest.mark.parametrize("plane_axes", ["yz", "eg3d"])
def test_lookup_equals_grid_sample_in_value_and_gradient(aggregate, plane_axes):
    torch.manual_seed(0)
    config = replace(CONFIG, aggregate=aggregate, plane_axes=plane_axes, box_side=0.8)
    planes = torch.randn(2, 3, 5, 9, 7, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 200, 3, dtype=torch.float64) * 1.2 - 0.6
    ours = look_up(plane_rows(planes), planes.shape, points, config)
    plain = plain_features(planes, points, config)
    torch.testing.assert_close(ours, plain)
    weights = torch.randn_like(ours)
    (a,) = torch.autograd.grad((ours * weights).sum(), planes)
    (b,) = torch.autograd.grad((plain * weights).sum(), planes)
    torch.testing.assert_close(a, b)


def test_eg3d_axes_ignore_y_in_the_third_plane():
    planes = torch.zeros(1, 3, 1, 8, 8)
    planes[:, 2] = torch.rand(8, 8)
    points = torch.tensor([[[0.1, 0.2, 0.15], [0.1, -0.2, 0.15]]])
    eg3d = look_up(plane_rows(planes), planes.shape, points, replace(CONFIG, plane_axes="eg3d"))
    corrected = look_up(plane_rows(planes), planes.shape, points, CONFIG)
    torch.testing.assert_close(eg3d[0, 0], eg3d[0, 1])
    assert not torch.allclose(corrected[0, 0], corrected[0, 1])


def test_march_equals_the_plain_sum():
    torch.manual_seed(0)
    density, colour = torch.randn(1, 6, 20, 1).double() * 3, torch.rand(1, 6, 20, 4).double()
    depths = torch.sort(torch.rand(1, 6, 20, 1).double() + 2.25, dim=2).values
    features, depth, opacity = plain_march(density, colour, depths)
    ours = march(density, colour, depths)
    torch.testing.assert_close(ours.features, features)
    torch.testing.assert_close(ours.depth[..., 0], depth)
    torch.testing.assert_close(ours.opacity[..., 0], opacity)


def test_white_stays_white_and_nothing_is_black():
    depths = torch.linspace(2.25, 3.3, 30).reshape(1, 1, 30, 1)
    dense, empty = torch.full((1, 1, 30, 1), 1e4), torch.full((1, 1, 30, 1), -1e4)
    white = torch.ones(1, 1, 30, 3)
    torch.testing.assert_close(march(dense, white, depths).features, torch.ones(1, 1, 3))
    nothing = march(empty, white, depths)
    torch.testing.assert_close(nothing.features, -torch.ones(1, 1, 3))
    assert nothing.opacity.item() == 0
    assert 2.25 <= nothing.depth.item() <= 3.31


def test_coarse_depths_are_stratified():
    origins = torch.zeros(2, 5, 3)
    delta = (3.3 - 2.25) / 11
    middle = coarse_depths(origins, CONFIG)[0, 0, :, 0]
    torch.testing.assert_close(middle, 2.25 + (torch.arange(12) + 0.5) * delta)
    jittered = coarse_depths(origins, replace(CONFIG, jitter=True))[..., 0]
    strata = torch.floor((jittered - 2.25) / delta + 1e-4)
    torch.testing.assert_close(strata, torch.arange(12.0).expand(2, 5, 12))
    shifted = coarse_depths(origins, CONFIG, torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(shifted[1] - shifted[0], torch.full((5, 12, 1), 0.5))


def test_fine_depths_gather_where_the_weight_is():
    depths = torch.linspace(2.25, 3.3, 12).reshape(1, 1, 12, 1)
    weights = torch.zeros(1, 1, 11, 1)
    weights[0, 0, 6] = 1.0
    fine = fine_depths(depths, weights, replace(CONFIG, fine_samples=64))
    near = (fine - depths[0, 0, 6:8].mean()).abs() < 0.2
    assert near.float().mean() > 0.8
    assert (fine[0, 0, 1:] >= fine[0, 0, :-1]).all()
    assert not fine.requires_grad


def test_render_rays_end_to_end_matches_the_plain_renderer():
    torch.manual_seed(1)
    decoder = TriplaneDecoder(4, 8, 5).double()
    planes = torch.randn(1, 3, 4, 16, 16).double().requires_grad_()
    origins = torch.tensor([0.0, 0.0, 2.7]).double().expand(1, 10, 3)
    directions = F.normalize(torch.tensor([0.0, 0.0, -1.0]) + 0.05 * torch.randn(1, 10, 3), dim=-1).double()
    config = replace(CONFIG, fine_samples=0)
    ours = render_rays(planes, decoder, origins, directions, config)
    depths = coarse_depths(origins, config)
    points = (origins[:, :, None] + depths * directions[:, :, None]).reshape(1, -1, 3)
    density, colour = decoder(plain_features(planes, points, config))
    features, depth, opacity = plain_march(density.reshape(1, 10, 12, 1), colour.reshape(1, 10, 12, 5), depths)
    torch.testing.assert_close(ours.features, features)
    torch.testing.assert_close(ours.depth[..., 0], depth)
    torch.testing.assert_close(ours.opacity[..., 0], opacity)
    both = render_rays(planes, decoder, origins, directions, CONFIG)
    both.features.sum().backward()
    assert planes.grad is not None and planes.grad.isfinite().all()


def scene(batch=2, rays=37, channels=5, hidden=7, colours=3):
    """Planes smooth enough that single precision suffices, a decoder, rays of which some miss the box."""
    torch.manual_seed(3)
    planes = F.interpolate(torch.randn(batch, 3 * channels, 4, 5), (9, 11), mode="bicubic").unflatten(1, (3, channels))
    decoder = TriplaneDecoder(channels, hidden, colours, lr_multiplier=0.5)
    with torch.no_grad():
        decoder.fc1.bias.normal_()
        decoder.fc2.bias.normal_()
    origins = torch.tensor([0.1, 0.0, 2.7]).expand(batch, rays, 3)
    directions = F.normalize(torch.tensor([0.0, 0.0, -1.0]) + 0.3 * torch.randn(batch, rays, 3), dim=-1)
    return planes.requires_grad_(), decoder, origins, directions


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, jitter=True),
        replace(CONFIG, aggregate="mean", plane_axes="eg3d", box_side=0.6),
        replace(CONFIG, coarse_samples=9, fine_samples=5),
        replace(CONFIG, fine_samples=0),
        replace(CONFIG, coarse_samples=90, fine_samples=90),
    ],
)
def test_the_compiled_renderer_equals_pytorchs_in_value_and_gradient(config, monkeypatch):
    planes, decoder, origins, directions = scene()
    inputs = [planes, *decoder.parameters()]
    results = []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(renderer, "_can_compile", lambda *_: False)
        torch.manual_seed(5)
        rendering = render_rays(planes, decoder, origins, directions, config, torch.tensor([0.0, -0.2]))
        torch.manual_seed(6)
        loss = sum((x * torch.randn_like(x)).sum() for x in rendering)
        results.append((*rendering, *torch.autograd.grad(loss, inputs)))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5 * max(1.0, plain.abs().max().item()), rtol=1e-4)


def test_the_compiled_gradient_of_one_output_alone():
    planes, decoder, origins, directions = scene()
    for name in ("depth", "opacity"):
        single = getattr(render_rays(planes, decoder, origins, directions, CONFIG), name)
        double = getattr(
            render_rays(planes.double(), decoder.double(), origins.double(), directions.double(), CONFIG), name
        )
        (a,) = torch.autograd.grad(single.sum(), planes)
        (b,) = torch.autograd.grad(double.sum(), planes)
        torch.testing.assert_close(a, b, atol=1e-4 * b.abs().max().item(), rtol=1e-3)
        decoder.float()


def test_rays_a_few_at_a_time_have_the_same_values_and_gradients():
    planes, decoder, origins, directions = (x.double() for x in scene())
    inputs = [planes, *decoder.parameters()]
    results = []
    for count in (None, 10):
        rendering = render_rays(planes, decoder, origins, directions, replace(CONFIG, rays_at_once=count))
        results.append((*rendering, *torch.autograd.grad(rendering.features.square().sum(), inputs)))
    for whole, parts in zip(*results, strict=True):
        torch.testing.assert_close(whole, parts)


def test_a_nan_in_the_planes_reaches_the_image():
    planes, decoder, origins, directions = scene()
    broken = planes.detach().clone()
    broken[0, 0, 2] = float("nan")
    features = render_rays(broken, decoder, origins, directions, CONFIG).features
    assert features[0].isnan().any() and features[1].isfinite().all()


def test_rays_far_from_the_box_are_finite():
    planes, decoder, origins, directions = scene()
    far = render_rays(planes, decoder, origins * 1e8, directions, CONFIG)
    assert far.features.isfinite().all()


def test_view_direction_needs_directions_only_when_asked():
    decoder = TriplaneDecoder(4, 8, 5, direction_channels=3)
    with pytest.raises(ValueError, match="view directions"):
        decoder(torch.randn(2, 4))
    density, colour = decoder(torch.randn(2, 4), torch.randn(2, 3))
    assert density.shape == (2, 1) and colour.shape == (2, 5)
    assert colour.min() >= -0.001 and colour.max() <= 1.001


def plain_fine_depths(depths: list[float], weights: list[float], quantiles: list[float]) -> list[float]:
    """Inverse transform sampling of one ray, in scalars; as in EG3D, nothing reaches the last midpoint."""
    padded = [-float("inf"), *weights, -float("inf")]
    highest = [max(a, b) for a, b in itertools.pairwise(padded)]
    smooth = [(a + b) / 2 + 0.01 for a, b in itertools.pairwise(highest)][1:-1]
    smooth = [w + 1e-5 for w in smooth]
    total = sum(smooth)
    edges = [(a + b) / 2 for a, b in itertools.pairwise(depths)]
    found = []
    for u in quantiles:
        reached, j = 0.0, 0
        while j < len(smooth) and reached + smooth[j] / total <= u:
            reached += smooth[j] / total
            j += 1
        if j == len(smooth):
            found.append(edges[len(smooth)])
        else:
            share = smooth[j] / total
            found.append(edges[j] + (u - reached) / share * (edges[j + 1] - edges[j]))
    return found


def test_fine_depths_equal_the_scalar_sampling():
    torch.manual_seed(0)
    depths = torch.sort(torch.rand(2, 3, 10, 1).double() + 2.25, dim=2).values
    weights = torch.rand(2, 3, 9, 1).double() ** 6
    config = replace(CONFIG, coarse_samples=10, fine_samples=15)
    quantiles = [i / 14 for i in range(14)] + [1.0]
    expected = [
        plain_fine_depths(z, w, quantiles)
        for z, w in zip(depths.reshape(6, 10).tolist(), weights.reshape(6, 9).tolist(), strict=True)
    ]
    ours = fine_depths(depths, weights, config).reshape(6, 15)
    # At quantile 1 rounding decides whether the cumulative sum reaches it; both answers are the last edge in use.
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("aggregate", "plane_axes"), [("sum", "yz"), ("mean", "eg3d")])
def test_both_passes_equal_the_plain_renderer_in_value_and_gradient(aggregate, plane_axes):
    planes, decoder, origins, directions = scene()
    planes = planes.detach().double().requires_grad_()
    decoder, origins, directions = decoder.double(), origins.double(), directions.double()
    config = replace(CONFIG, aggregate=aggregate, plane_axes=plane_axes, jitter=False)
    ours = render_rays(planes, decoder, origins, directions, config)

    def decoded(depths):
        points = (origins[:, :, None] + depths * directions[:, :, None]).flatten(1, 2)
        density, colour = decoder(plain_features(planes, points, config))
        return density.view(*depths.shape[:3], 1), colour.view(*depths.shape[:3], -1)

    coarse = coarse_depths(origins, config).contiguous()
    with torch.no_grad():
        sigma = F.softplus((decoded(coarse)[0][:, :, 1:] + decoded(coarse)[0][:, :, :-1]) / 2 - 1)
        clear = torch.exp(-sigma * (coarse[:, :, 1:] - coarse[:, :, :-1]))
        before = torch.cumprod(torch.cat([torch.ones_like(clear[:, :, :1]), clear], 2), 2)[:, :, :-1]
        rays = (x.flatten(0, 1)[..., 0].tolist() for x in (coarse, (1 - clear) * before))
        fine = [plain_fine_depths(z, w, [i / 11 for i in range(11)] + [1.0]) for z, w in zip(*rays, strict=True)]
        both = torch.cat([coarse, torch.tensor(fine, dtype=torch.float64).view(*coarse.shape)], 2).sort(2).values
    features, depth, opacity = plain_march(*decoded(both), both)
    torch.testing.assert_close(ours.features, features, atol=1e-8, rtol=0)
    torch.testing.assert_close(ours.depth[..., 0], depth.clamp(both.min(), both.max()), atol=1e-8, rtol=0)
    torch.testing.assert_close(ours.opacity[..., 0], opacity, atol=1e-8, rtol=0)
    weights = torch.randn_like(features)
    inputs = [planes, *decoder.parameters()]
    a = torch.autograd.grad((ours.features * weights).sum(), inputs)
    b = torch.autograd.grad((features * weights).sum(), inputs)
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, atol=1e-7, rtol=1e-6)


def test_the_decoder_is_its_formula():
    torch.manual_seed(0)
    decoder = TriplaneDecoder(4, 8, 5, lr_multiplier=0.5).double()
    state = {name: torch.randn_like(value) for name, value in decoder.state_dict().items()}
    decoder.load_state_dict(state)
    x = torch.randn(3, 7, 4).double()
    hidden = torch.log1p(torch.exp(x @ state["fc1.weight"].t() * 0.5 / 2 + state["fc1.bias"] * 0.5))
    raw = hidden @ state["fc2.weight"].t() * 0.5 / 8**0.5 + state["fc2.bias"] * 0.5
    density, colour = decoder(x)
    torch.testing.assert_close(density, raw[..., :1])
    torch.testing.assert_close(colour, 1.002 / (1 + torch.exp(-raw[..., 1:])) - 0.001)
