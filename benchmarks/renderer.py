"""The renderer, values and gradients, against a renderer as EG3D writes it: three lookups, all samples in memory.

``python benchmarks/renderer.py [paper | demo]``: 64² rays of 48 + 48 samples through planes of 32 × 256², or a training
step of the demo (6 images of 512 rays, 9 + 6 samples, planes of 16 × 48²).
"""

import copy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import compare
from model.cameras import FRONTAL, REFERENCE_RADIUS, look_at
from model.decoder import TriplaneDecoder
from model.rays import sample_rays
from model.renderer import PLANE_AXES, RenderConfig, Rendering, coarse_depths, fine_depths, render_rays
from preprocessing.cameras import FFHQ_FOCAL

SIZES = {
    "paper": (1, 64, 32, 256, TriplaneDecoder(32, 64, 32), RenderConfig()),
    "demo": (6, 23, 16, 48, TriplaneDecoder(16, 32, 3), RenderConfig(2.35, 3.05, 9, 6, 0.7)),
}


def sample_planes(planes: Tensor, points: Tensor, config: RenderConfig) -> Tensor:
    """Bilinear samples of every plane, apart: [b, 3, points, channels]."""
    uv = 2 / config.box_side * points[..., PLANE_AXES[config.plane_axes]].transpose(1, 2)
    sampled = F.grid_sample(planes.flatten(0, 1), uv.flatten(0, 1)[:, None], align_corners=False)
    return sampled[:, :, 0].transpose(1, 2).unflatten(0, (-1, 3))


def reference(
    planes: Tensor, decoder: TriplaneDecoder, origins: Tensor, directions: Tensor, config: RenderConfig
) -> Rendering:
    """Query, importance-sample, query again, sort both together, gather, march."""

    def query(depths: Tensor) -> tuple[Tensor, Tensor]:
        points = (origins[:, :, None] + depths * directions[:, :, None]).flatten(1, 2)
        density, colour = decoder(sample_planes(planes, points, config).sum(1))
        return density.unflatten(1, depths.shape[1:3]), colour.unflatten(1, depths.shape[1:3])

    def weigh(density: Tensor, depths: Tensor) -> Tensor:
        middle = (density[:, :, :-1] + density[:, :, 1:]) / 2
        alpha = 1 - torch.exp(-F.softplus(middle - 1) * (depths[:, :, 1:] - depths[:, :, :-1]))
        shifted = torch.cat([torch.ones_like(alpha[:, :, :1]), 1 - alpha + 1e-10], 2)
        return alpha * torch.cumprod(shifted, 2)[:, :, :-1]

    near = coarse_depths(origins, config)
    near_density, near_colour = query(near)
    with torch.no_grad():
        far = fine_depths(near, weigh(near_density, near), config)
    far_density, far_colour = query(far)
    depths, order = torch.sort(torch.cat([near, far], 2), dim=2)
    density = torch.gather(torch.cat([near_density, far_density], 2), 2, order)
    colour = torch.cat([near_colour, far_colour], 2)
    colour = torch.gather(colour, 2, order.expand_as(colour))
    weights = weigh(density, depths)
    features = (weights * (colour[:, :, :-1] + colour[:, :, 1:]) / 2).sum(2) * 2 - 1
    opacity = weights.sum(2)
    depth = (weights * (depths[:, :, :-1] + depths[:, :, 1:]) / 2).sum(2) / opacity
    return Rendering(features, depth.nan_to_num(float("inf")).clamp(depths.min(), depths.max()), opacity)


def main(size: str = "paper") -> None:
    """Largest differences, then times."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, side, channels, texels, decoder, config = SIZES[size]
    planes = torch.randn(batch, 3, channels, texels, texels, requires_grad=True)
    yaw, pitch = FRONTAL + 0.3 * torch.randn(batch), FRONTAL + 0.2 * torch.randn(batch)
    cam2world = look_at(yaw, pitch, REFERENCE_RADIUS, torch.zeros(3))
    intrinsics = torch.tensor([[FFHQ_FOCAL, 0, 0.5], [0, FFHQ_FOCAL, 0.5], [0, 0, 1]]).expand(batch, 3, 3)
    origins, directions = sample_rays(cam2world, intrinsics, side)
    inputs = [planes, *decoder.parameters()]
    weights = torch.randn(batch, side * side, decoder.fc2.weight.shape[0] - 1)

    def ours() -> Rendering:
        return render_rays(planes, decoder, origins, directions, config)

    def theirs() -> Rendering:
        return reference(planes, decoder, origins, directions, config)

    def gradients(rendering: Rendering) -> tuple[Tensor, ...]:
        return torch.autograd.grad((rendering.features * weights).sum(), inputs)

    def double() -> Rendering:
        exact = copy.deepcopy(decoder).double()
        return reference(planes.double(), exact, origins.double(), directions.double(), config)

    with torch.no_grad():
        print("largest difference from the reference, and of the reference from itself in double precision:")
        for name, a, b, c in zip(Rendering._fields, ours(), theirs(), double(), strict=True):
            print(f"  {name}: {(a - b).abs().max().item():.1e}, {(b - c).abs().max().item():.1e}")
    print("largest difference of gradients, as a share of the largest value:")
    names = ["planes", *(name for name, _ in decoder.named_parameters())]
    for name, a, b in zip(names, gradients(ours()), gradients(theirs()), strict=True):
        print(f"  {name}: {((a - b).abs().max() / b.abs().max()).item():.1e}")
    repeats = 5 if size == "paper" else 15
    with torch.no_grad():
        compare("forward", ours, theirs, repeats)
    compare("forward and backward", lambda: gradients(ours()), lambda: gradients(theirs()), repeats)


if __name__ == "__main__":
    main(*sys.argv[1:])
