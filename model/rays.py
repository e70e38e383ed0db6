"""Rays of a pinhole camera, one per pixel, in EG3D's order."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.cameras import normalize


def sample_rays(
    cam2world: Float[Tensor, "batch 4 4"], intrinsics: Float[Tensor, "batch 3 3"], resolution: int
) -> tuple[Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays 3"]]:
    """Origins and unit directions (world space) of ``resolution``² rays, row-major (EG3D's ``RaySampler``).

    Pixel (row i, column j) is the image point ((j + .5)/S, (i + .5)/S); intrinsics are normalised by the image's size
    and may hold skew.
    """
    index = torch.arange(resolution**2, device=cam2world.device)
    return rays_of_pixels(cam2world, intrinsics, index.expand(len(cam2world), -1), resolution)


def rays_of_pixels(
    cam2world: Float[Tensor, "batch 4 4"],
    intrinsics: Float[Tensor, "batch 3 3"],
    pixels: Tensor,
    resolution: int,
) -> tuple[Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays 3"]]:
    """Like :func:`sample_rays`, for the pixels [batch, rays] (row-major indices into the S × S image) only."""
    x = ((pixels % resolution).to(cam2world.dtype) + 0.5) / resolution
    y = (torch.div(pixels, resolution, rounding_mode="floor").to(cam2world.dtype) + 0.5) / resolution
    fx, fy = intrinsics[:, 0, 0, None], intrinsics[:, 1, 1, None]
    cx, cy, skew = intrinsics[:, 0, 2, None], intrinsics[:, 1, 2, None], intrinsics[:, 0, 1, None]
    x_lift = (x - cx + cy * skew / fy - skew * y / fy) / fx
    y_lift = (y - cy) / fy
    points = torch.stack([x_lift, y_lift, torch.ones_like(x_lift)], dim=-1)
    directions = normalize(points @ cam2world[:, :3, :3].transpose(1, 2))
    origins = cam2world[:, None, :3, 3].expand_as(directions)
    return origins, directions
