"""FOMM's dense motion: the keypoints' local motions joined to one motion for every pixel (FOMM, section 3.2)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.blocks import AntiAlias, Hourglass, coordinate_grid, gaussians
from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.settings import CommonParams, DenseMotionParams


class Motion(NamedTuple):
    """``deformation``: where in the source, (x, y) in [−1, 1], each pixel of the output comes from.

    ``mask``: shares of the background and of each keypoint in it, adding up to 1. ``occlusion_map``: 1 where the source
    shows what is needed, 0 where it has to be invented; None where that is not estimated.
    """

    deformation: Float[Tensor, "b h w 2"]
    mask: Float[Tensor, "b k1 h w"]
    occlusion_map: Float[Tensor, "b 1 h w"] | None


class DenseMotionNetwork(nn.Module):
    """An hourglass that sees, for background and keypoints, their heat maps and the source moved by their motions."""

    def __init__(
        self, common: CommonParams, params: DenseMotionParams, estimate_occlusion: bool, align_corners: bool
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        channels, groups = common.num_channels, common.num_kp + 1
        self.down = AntiAlias(channels, params.scale_factor) if params.scale_factor != 1 else nn.Identity()
        inputs = groups * (channels + 1)
        self.hourglass = Hourglass(params.block_expansion, inputs, params.num_blocks, params.max_features)
        self.mask = nn.Conv2d(self.hourglass.outputs, groups, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3) if estimate_occlusion else None

    def forward(self, source_image: Float[Tensor, "b 3 r r"], kp_driving: Keypoints, kp_source: Keypoints) -> Motion:
        """The motion from the driving keypoints back to the source's; ``source_image`` is in [0, 1]."""
        source = self.down(source_image)
        h, w = source.shape[2:]
        heat = gaussians(kp_driving.value, h, w) - gaussians(kp_source.value, h, w)
        heat = F.pad(heat, (0, 0, 0, 0, 1, 0))  # the background's is zero
        motions = sparse_motions(kp_driving, kp_source, h, w)
        # All groups' grids one below the other read the same image; [b, 3, k + 1, h, w].
        warped = F.grid_sample(source, motions.flatten(1, 2), align_corners=self.align_corners).unflatten(2, (-1, h))
        seen = torch.cat([heat[:, :, None], warped.transpose(1, 2)], dim=2)  # each group: heat, red, green, blue
        features = self.hourglass(seen.flatten(1, 2))
        mask = self.mask(features).to(motions.dtype).softmax(1)
        deformation = (motions * mask[..., None]).sum(1)
        occlusion = None if self.occlusion is None else self.occlusion(features).sigmoid()
        return Motion(deformation, mask, occlusion)


def sparse_motions(
    kp_driving: Keypoints, kp_source: Keypoints, height: int, width: int
) -> Float[Tensor, "b k1 height width 2"]:
    """Where a pixel z comes from if the background (first: z itself) or keypoint k moves it (FOMM, Eq. 4).

    p_s + J_s J_d⁻¹ (z − p_d), in the keypoints' precision also under autocast.
    """
    grid = coordinate_grid(height, width, kp_driving.value)
    offsets = grid - kp_driving.value[:, :, None, None]
    if kp_driving.jacobian is not None and kp_source.jacobian is not None:
        with torch.autocast(offsets.device.type, enabled=False):
            jacobians = kp_source.jacobian @ torch.inverse(kp_driving.jacobian)
            offsets = torch.einsum("bkij,bkhwj->bkhwi", jacobians, offsets)
    moved = offsets + kp_source.value[:, :, None, None]
    return torch.cat([grid.expand(len(moved), 1, -1, -1, -1), moved], dim=1)
