"""Volume rendering of a tri-plane: lookup, stratified and importance samples, ray marching (EG3D's conventions)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from model.decoder import TriplaneDecoder
from model.kernels import rendering
from model.kernels.compiling import arrays, compilable

PLANE_AXES = {"yz": ((0, 1), (0, 2), (2, 1)), "eg3d": ((0, 1), (0, 2), (2, 0))}
"""World axes that become (u, v) of each plane; u is the width. EG3D's third plane repeats (z, x), a known bug."""


@dataclass(frozen=True)
class RenderConfig:
    """How rays are sampled and marched; depths are world units along unit rays."""

    near: float = 2.25
    far: float = 3.3
    coarse_samples: int = 48
    fine_samples: int = 48
    box_side: float = 1.0
    aggregate: Literal["sum", "mean"] = "sum"
    plane_axes: Literal["yz", "eg3d"] = "yz"
    jitter: bool = False
    rays_at_once: int | None = None


@dataclass(frozen=True)
class Occupancy:
    """What the cells of a cube around the box hold, per image: 0 nothing, 1 what is black, 2 what is seen.

    :mod:`model.occupancy` finds out.
    """

    cells: UInt8[Tensor, "batch g g g"]
    side: float

    def share(self) -> float:
        """Share of the cells that are not empty."""
        return self.cells.count_nonzero().item() / self.cells.numel()

    def spans(
        self,
        origins: Float[Tensor, "batch rays 3"],
        directions: Float[Tensor, "batch rays 3"],
        depths: Float[Tensor, "batch rays samples"],
    ) -> Int[Tensor, "batch rays 2"]:
        """The samples that matter to each ray: from, and to before; 0, 0 where it meets nothing that is seen."""
        spans = torch.empty(*depths.shape[:2], 2, dtype=torch.int64)
        rays = arrays(origins, directions, depths)
        rendering.clip(*arrays(self.cells.flatten(1)), self.cells.shape[1], np.float32(self.side), rays, *arrays(spans))
        return spans


class Rendering(NamedTuple):
    """Features in [−1, 1] (−1 where nothing is hit), expected depth and opacity per ray."""

    features: Float[Tensor, "batch rays channels"]
    depth: Float[Tensor, "batch rays 1"]
    opacity: Float[Tensor, "batch rays 1"]


def render_rays(
    planes: Float[Tensor, "batch 3 channels height width"],
    decoder: TriplaneDecoder | Callable[..., tuple[Tensor, Tensor]],
    origins: Float[Tensor, "batch rays 3"],
    directions: Float[Tensor, "batch rays 3"],
    config: RenderConfig,
    depth_shift: Float[Tensor, "batch"] | None = None,
    occupancy: Occupancy | None = None,
) -> Rendering:
    """Render rays through a tri-plane (EG3D's ``ImportanceRenderer``; paper, section "Tri-Plane Representation").

    ``decoder`` maps features [batch, points, channels] to raw density [batch, points, 1] and colour features.
    ``depth_shift`` moves near and far per image, for cameras that are not at EG3D's distance of 2.7. Rays and samples
    in space that ``occupancy`` of these planes calls empty are left out, for rendering without gradients (the compiled
    code only; PyTorch's operators would gain nothing).
    Gradients reach planes and decoder; the fine depths carry none. On a CPU, single precision takes compiled code
    (:class:`_Compiled`, not twice differentiable), everything else the same steps in PyTorch; there, with
    ``config.rays_at_once``, the backward pass computes that many rays per image again instead of keeping all samples.
    """
    if isinstance(decoder, TriplaneDecoder) and _can_compile(planes, decoder, origins, directions):
        return _render_compiled(planes, decoder, origins, directions, config, depth_shift, occupancy)
    table = plane_rows(planes)
    count = config.rays_at_once
    if not count or not torch.is_grad_enabled():
        return _render_rays(table, planes.shape, decoder, origins, directions, config, depth_shift)
    parts = [
        checkpoint(_render_rays, table, planes.shape, decoder, *rays, config, depth_shift, use_reentrant=False)
        for rays in zip(origins.split(count, 1), directions.split(count, 1), strict=True)
    ]
    return Rendering(*(torch.cat(part, dim=1) for part in zip(*parts, strict=True)))


def _render_rays(
    table: Tensor,
    shape: torch.Size,
    decoder: TriplaneDecoder | Callable[..., tuple[Tensor, Tensor]],
    origins: Tensor,
    directions: Tensor,
    config: RenderConfig,
    depth_shift: Tensor | None,
) -> Rendering:
    """What :func:`render_rays` does, in PyTorch's operators, from the planes' texels as rows."""

    def query(depths: Tensor) -> tuple[Tensor, Tensor]:
        batch, rays, samples, _ = depths.shape
        points = origins[:, :, None] + depths * directions[:, :, None]
        features = look_up(table, shape, points.reshape(batch, -1, 3), config)
        if getattr(decoder, "direction_channels", 0):
            density, colour = decoder(features, directions[:, :, None].expand_as(points).reshape(batch, -1, 3))
        else:
            density, colour = decoder(features)
        return density.reshape(batch, rays, samples, 1), colour.reshape(batch, rays, samples, -1)

    depths = coarse_depths(origins, config, depth_shift)
    if not config.fine_samples:
        return march(*query(depths), depths)
    coarse_density, coarse_colour = query(depths)
    with torch.no_grad():
        _, weights = composite(coarse_density, depths)
        fine = fine_depths(depths, weights, config)
    fine_density, fine_colour = query(fine)
    depths, order = torch.sort(torch.cat([depths, fine], dim=2), dim=2)
    density = torch.cat([coarse_density, fine_density], dim=2).gather(2, order)
    colour = torch.cat([coarse_colour, fine_colour], dim=2)
    colour = colour.gather(2, order.expand(-1, -1, -1, colour.shape[-1]))
    return march(density, colour, depths)


def _can_compile(planes: Tensor, decoder: TriplaneDecoder, origins: Tensor, directions: Tensor) -> bool:
    """Whether the kernels take this: no view directions, no gradients of the rays."""
    moving = torch.is_grad_enabled() and (origins.requires_grad or directions.requires_grad)
    return compilable(planes, origins, directions) and not decoder.direction_channels and not moving


def _render_compiled(
    planes: Tensor,
    decoder: TriplaneDecoder,
    origins: Tensor,
    directions: Tensor,
    config: RenderConfig,
    depth_shift: Tensor | None,
    occupancy: Occupancy | None,
) -> Rendering:
    depths = coarse_depths(origins, config, depth_shift)[..., 0].contiguous()
    draws = quantiles(len(planes) * origins.shape[1], config, origins) if config.fine_samples else origins.new_zeros(0)
    rays = (origins.contiguous(), directions.contiguous(), depths, draws.reshape(*origins.shape[:2], -1))
    features, depth, opacity, all_depths = _Compiled.apply(planes, config, occupancy, *layers_of(decoder), *rays)
    depth = torch.nan_to_num(depth, float("inf")).clamp(all_depths.min(), all_depths.max())
    return Rendering(features, depth[..., None], opacity[..., None])


class _Compiled(torch.autograd.Function):
    """:mod:`model.kernels.rendering`: features, depth (not clamped), opacity of rays, and the depths of samples."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, config: RenderConfig, occupancy: Occupancy | None, *tensors: Tensor) -> Any:
        table = plane_rows(planes)
        ctx.shape, ctx.grid = planes.shape, grid_of(planes, config)
        *layers, origins, directions, depths, draws = tensors
        batch, rays, coarse = depths.shape
        if occupancy is None:
            spans = torch.tensor([0, coarse]).expand(batch, rays, 2).contiguous()
        else:
            spans = occupancy.spans(origins, directions, depths)
        sizes = (len(layers[-1]) - 1,), (), (), (coarse + draws.shape[2],)
        written = tuple(origins.new_empty(batch, rays, *size) for size in sizes)
        rendering.forward(
            *arrays(table),
            ctx.grid,
            arrays(*layers),
            arrays(origins, directions, depths),
            *arrays(draws, spans),
            occupancy is not None,
            arrays(*written),
        )
        ctx.save_for_backward(table, *layers, origins, directions, written[3])
        ctx.mark_non_differentiable(written[3])
        return written

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        table, *layers, origins, directions, depths = ctx.saved_tensors
        totals = [torch.zeros_like(x) for x in (table, *layers)]
        rendering.backward(
            *arrays(table),
            ctx.grid,
            arrays(*layers),
            arrays(origins, directions, depths),
            arrays(*(g.contiguous() for g in gradients[:3])),
            arrays(*totals),
        )
        # Contiguous as the planes are: what comes before them sums it over images, which strides make slow.
        batch, _, channels, height, width = ctx.shape
        g_planes = totals[0].view(batch, 3, height, width, channels).permute(0, 1, 4, 2, 3).contiguous()
        return g_planes, None, None, *totals[1:], None, None, None, None


def grid_of(
    planes: Tensor, config: RenderConfig
) -> tuple[tuple[int, int], Int[np.ndarray, "3 2"], np.float32, np.float32]:
    """What the kernels know of planes: (height, width), their axes, 2 / box side, the share of each in a sum."""
    height, width = planes.shape[-2:]
    share = 1 / 3 if config.aggregate == "mean" else 1
    return (height, width), np.array(PLANE_AXES[config.plane_axes]), np.float32(2 / config.box_side), np.float32(share)


def layers_of(decoder: TriplaneDecoder) -> tuple[Tensor, ...]:
    """The decoder's effective weights and biases."""
    return tuple(x for fc in (decoder.fc1, decoder.fc2) for x in (fc.weight * fc.weight_gain, fc.bias * fc.bias_gain))


def plane_rows(planes: Float[Tensor, "batch 3 channels height width"]) -> Float[Tensor, "rows channels"]:
    """The planes with channels last, one texel a row: a lookup then reads whole rows."""
    return planes.permute(0, 1, 3, 4, 2).reshape(-1, planes.shape[2])


def look_up(
    table: Float[Tensor, "rows channels"],
    shape: torch.Size,
    points: Float[Tensor, "batch points 3"],
    config: RenderConfig,
) -> Float[Tensor, "batch points channels"]:
    """Features of ``points`` (world units): bilinear, ``align_corners=False``, zero outside, three planes joined.

    The sum over 3 planes × 4 corners is one weighted bag of 12 rows of ``table`` (from :func:`plane_rows`).
    """
    batch, _, _, height, width = shape
    axes = torch.tensor(PLANE_AXES[config.plane_axes], device=points.device)
    uv = points[:, :, axes.flatten()].reshape(*points.shape[:2], 3, 2) * (2 / config.box_side)
    size = uv.new_tensor([width, height])
    pixel = (uv + 1) * (size / 2) - 0.5
    corner = torch.floor(pixel)
    fraction = pixel - corner
    corner = corner.long()
    base = torch.arange(batch, device=points.device)[:, None, None] * 3 + torch.arange(3, device=points.device)
    rows, weights = [], []
    for dy in (0, 1):
        y = corner[..., 1] + dy
        wy = torch.where((y >= 0) & (y < height), fraction[..., 1] if dy else 1 - fraction[..., 1], 0.0)
        row = (base * height + y.clamp(0, height - 1)) * width
        for dx in (0, 1):
            x = corner[..., 0] + dx
            wx = torch.where((x >= 0) & (x < width), fraction[..., 0] if dx else 1 - fraction[..., 0], 0.0)
            rows.append(row + x.clamp(0, width - 1))
            weights.append(wy * wx)
    bags = torch.stack(rows, dim=-1).reshape(-1, 12)
    bag_weights = torch.stack(weights, dim=-1).reshape(-1, 12)
    if config.aggregate == "mean":
        bag_weights = bag_weights / 3
    features = F.embedding_bag(bags, table, per_sample_weights=bag_weights.to(table.dtype), mode="sum")
    return features.reshape(batch, -1, table.shape[1])


def coarse_depths(
    origins: Float[Tensor, "batch rays 3"], config: RenderConfig, depth_shift: Float[Tensor, "batch"] | None = None
) -> Float[Tensor, "batch rays samples 1"]:
    """Stratified depths t_i = near + (i + u)·Δ with Δ = (far − near)/(D − 1); u is .5 without jitter (EG3D)."""
    batch, rays, _ = origins.shape
    count = config.coarse_samples
    delta = (config.far - config.near) / (count - 1)
    steps = torch.arange(count, device=origins.device, dtype=origins.dtype)
    if config.jitter:
        offsets = torch.rand(batch, rays, count, device=origins.device, dtype=origins.dtype)
    else:
        offsets = origins.new_full((1, 1, 1), 0.5)
    depths = config.near + (steps + offsets) * delta
    if depth_shift is not None:
        depths = depths + depth_shift[:, None, None]
    return depths.expand(batch, rays, count)[..., None]


def composite(
    density: Float[Tensor, "batch rays samples 1"], depths: Float[Tensor, "batch rays samples 1"]
) -> tuple[Float[Tensor, "batch rays intervals 1"], Float[Tensor, "batch rays intervals 1"]]:
    """Midpoint depths and weights of the intervals between neighbouring samples (EG3D's ``MipRayMarcher2``)."""
    deltas = depths[:, :, 1:] - depths[:, :, :-1]
    middle = (density[:, :, 1:] + density[:, :, :-1]) / 2
    alpha = 1 - torch.exp(-F.softplus(middle - 1) * deltas)
    kept = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :, :1]), 1 - alpha + 1e-10], dim=2), dim=2)[:, :, :-1]
    return (depths[:, :, 1:] + depths[:, :, :-1]) / 2, alpha * kept


def march(
    density: Float[Tensor, "batch rays samples 1"],
    colour: Float[Tensor, "batch rays samples channels"],
    depths: Float[Tensor, "batch rays samples 1"],
) -> Rendering:
    """Integrate sorted samples: features 2·Σ w·c − 1, depth Σ w·t / Σ w clamped to the sampled range, opacity Σ w."""
    middle_depths, weights = composite(density, depths)
    middle_colour = (colour[:, :, 1:] + colour[:, :, :-1]) / 2
    opacity = weights.sum(2)
    features = (weights * middle_colour).sum(2) * 2 - 1
    depth = (weights * middle_depths).sum(2) / opacity
    depth = torch.nan_to_num(depth, float("inf")).clamp(depths.min(), depths.max())
    return Rendering(features, depth, opacity)


def fine_depths(
    depths: Float[Tensor, "batch rays samples 1"],
    weights: Float[Tensor, "batch rays intervals 1"],
    config: RenderConfig,
) -> Float[Tensor, "batch rays fine 1"]:
    """Depths drawn from the smoothed coarse weights by inverse transform (EG3D's ``sample_importance``)."""
    batch, rays, samples, _ = depths.shape
    w = weights.reshape(batch * rays, 1, -1)
    w = F.max_pool1d(w, 2, 1, padding=1)
    w = F.avg_pool1d(w, 2, 1).squeeze(1) + 0.01
    z = depths.reshape(batch * rays, samples)
    bins = (z[:, :-1] + z[:, 1:]) / 2
    w = w[:, 1:-1] + 1e-5
    pdf = w / w.sum(1, keepdim=True)
    cdf = torch.cat([torch.zeros_like(pdf[:, :1]), torch.cumsum(pdf, 1)], dim=1)
    draws = quantiles(batch * rays, config, depths)
    above = torch.searchsorted(cdf.contiguous(), draws, right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(pdf.shape[1])
    low, high = cdf.gather(1, below), cdf.gather(1, above)
    span = high - low
    span = torch.where(span < 1e-5, torch.ones_like(span), span)
    low_bin, high_bin = bins.gather(1, below), bins.gather(1, above)
    fine = low_bin + (draws - low) / span * (high_bin - low_bin)
    return fine.reshape(batch, rays, config.fine_samples, 1)


def quantiles(rays: int, config: RenderConfig, like: Tensor) -> Float[Tensor, "rays fine"]:
    """Where on the cumulative weight the fine depths lie: evenly from 0 to 1, or drawn uniformly with jitter."""
    if config.jitter:
        return torch.rand(rays, config.fine_samples, device=like.device, dtype=like.dtype)
    even = torch.linspace(0, 1, config.fine_samples, device=like.device, dtype=like.dtype)
    return even.expand(rays, -1).contiguous()
