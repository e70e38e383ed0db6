"""Tri-plane lookup, value and gradient: one weighted bag of twelve rows against three ``grid_sample`` calls."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import compare
from model.renderer import PLANE_AXES, RenderConfig, look_up, plane_rows

CONFIG = RenderConfig()


def by_grid_sample(planes: Tensor, points: Tensor) -> Tensor:
    """The sum of three bilinear samples [B, P, C]."""
    total = 0
    for plane, axes in enumerate(PLANE_AXES[CONFIG.plane_axes]):
        grid = (2 / CONFIG.box_side * points)[:, None, :, list(axes)]
        total = total + F.grid_sample(planes[:, plane], grid, align_corners=False)[:, :, 0].transpose(1, 2)
    return total


def main() -> None:
    """64² rays of 96 samples, planes of 32 × 256²."""
    torch.set_num_threads(1)
    planes = torch.randn(1, 3, 32, 256, 256, requires_grad=True)
    points = torch.rand(1, 64 * 64 * 96, 3) - 0.5

    def ours() -> Tensor:
        return look_up(plane_rows(planes), planes.shape, points, CONFIG)

    difference = (ours() - by_grid_sample(planes, points)).abs().max().item()
    print(f"largest difference {difference:.1e}")
    with torch.no_grad():
        compare("forward", ours, lambda: by_grid_sample(planes, points), repeats=3)
    compare(
        "forward and backward",
        lambda: torch.autograd.grad(ours().sum(), planes),
        lambda: torch.autograd.grad(by_grid_sample(planes, points).sum(), planes),
        repeats=3,
    )


if __name__ == "__main__":
    main()
