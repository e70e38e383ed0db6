"""Keypoints have to move with a frame that is warped by a known random map (FOMM, section 3.1 and Eqs. 9–11)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from model.baselines.firstorder.blocks import coordinate_grid
from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.settings import FirstOrderTraining


class Transformation(NamedTuple):
    """A smooth map T of the plane per sample: affine, plus a thin plate over a regular grid of p × p points.

    As in FOMM's public code the plate adds the same number to x and y, its distance is |dx| + |dy|, and its kernel
    d² log(d + 10⁻⁶).
    """

    affine: Float[Tensor, "b 2 3"]
    plate: Float[Tensor, "b pp"]

    @classmethod
    def random(cls, images: Float[Tensor, "b 3 h w"], settings: FirstOrderTraining) -> "Transformation":
        """A map for every image, near the identity and of the spread that the settings name."""
        affine, plate = images.new_empty(len(images), 2, 3), images.new_empty(len(images), settings.points_tps**2)
        identity = torch.eye(2, 3, dtype=images.dtype, device=images.device)
        return cls(affine.normal_(std=settings.sigma_affine) + identity, plate.normal_(std=settings.sigma_tps))

    def points(self, points: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2"]:
        """T of points in [−1, 1]; one row of them serves all samples."""
        moved = (self.affine[:, None, :, :2] * points[:, :, None]).sum(-1) + self.affine[:, None, :, 2]
        side = round(self.plate.shape[1] ** 0.5)
        control = coordinate_grid(side, side, points).reshape(-1, 2)
        distance = (points[:, :, None] - control).abs().sum(-1)
        return moved + (distance.square() * torch.log(distance + 1e-6)) @ self.plate[:, :, None]

    def frames(self, images: Float[Tensor, "b 3 h w"], align_corners: bool) -> Float[Tensor, "b 3 h w"]:
        """Images whose pixel at z shows what was at T(z), mirrored at the borders."""
        height, width = images.shape[2:]
        grid = self.points(coordinate_grid(height, width, images).reshape(1, -1, 2))
        grid = grid.reshape(-1, height, width, 2)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=align_corners)

    def jacobian(self, points: Float[Tensor, "b n 2"]) -> Float[Tensor, "b n 2 2"]:
        """dT/dz at points that carry gradient; it can be differentiated itself."""
        moved = self.points(points)
        rows = [torch.autograd.grad(moved[..., i].sum(), points, create_graph=True)[0] for i in (0, 1)]
        return torch.stack(rows, dim=-2)


def value_loss(driving: Keypoints, transformed: Keypoints, transformation: Transformation) -> Float[Tensor, ""]:
    """Mean |p − T(p')| of a frame's keypoints p and those p' of the frame read through T (Eq. 9)."""
    return F.l1_loss(transformation.points(transformed.value), driving.value)


def jacobian_loss(driving: Keypoints, transformed: Keypoints, transformation: Transformation) -> Float[Tensor, ""]:
    """Mean |1 − J⁻¹ T'(p') J'|, so that the Jacobians move too (Eq. 11)."""
    assert driving.jacobian is not None and transformed.jacobian is not None
    product = transformation.jacobian(transformed.value) @ transformed.jacobian
    product = torch.linalg.solve(driving.jacobian, product)
    return (torch.eye(2, dtype=product.dtype, device=product.device) - product).abs().mean()
