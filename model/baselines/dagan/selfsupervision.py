"""How the depth network is trained on our own clips: monodepth2's self-supervision (Godard et al., ICCV 2019, §3).

The head stands still in the world and the camera moves around it. A frame's disparity is right if another frame of the
clip, read where its pixels lie there, looks like it. monodepth2 learns the camera's motion between two frames along
with depth; here it is known from the cameras of the shards (PnP on landmarks), so that depth has a scale.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from model.baselines.dagan.settings import DaganTraining, DepthParams
from model.baselines.firstorder.blocks import resized_like
from model.cameras import REFERENCE_RADIUS, split_label

SSIM_SHARE = 0.85
"""Of the photometric error; the rest is L1."""
SSIM_CONSTANTS = (0.01**2, 0.03**2)
TIE = 1e-5
"""Noise that decides where warped and unwarped are equally good, as where both are flat."""


class Seen(NamedTuple):
    """Frames and the cameras that saw them."""

    image: Float[Tensor, "b 3 h w"]
    labels: Float[Tensor, "b 25"]


def depths(
    disparity: Float[Tensor, "b 1 h w"], near: float, far: float, labels: Float[Tensor, "b 25"]
) -> Float[Tensor, "b 1 h w"]:
    """Depths along the viewing axis, world units: linear in their inverse, ``far`` at disparity 0 and ``near`` at 1.

    ``near`` and ``far`` are for a camera 2.7 from the head's centre and grow with its distance, which differs from clip
    to clip.
    """
    radius = split_label(labels)[0][:, :3, 3].norm(dim=1)[:, None, None, None]
    return radius / REFERENCE_RADIUS / (1 / far + (1 / near - 1 / far) * disparity)


def reprojected(
    source: Float[Tensor, "b c h w"],
    depth: Float[Tensor, "b 1 h w"],
    labels: Float[Tensor, "b 25"],
    source_labels: Float[Tensor, "b 25"],
) -> Float[Tensor, "b c h w"]:
    """``source`` as the camera ``labels``, whose pixels have ``depth`` [world units], sees it.

    ``source_labels`` is the source's own camera. Differentiable in ``depth``; borders repeat.
    """
    with torch.autocast(depth.device.type, enabled=False):
        depth, (height, width) = depth.float(), depth.shape[2:]
        cam2world, intrinsics = split_label(labels.float())
        source_cam2world, source_intrinsics = split_label(source_labels.float())
        x, y = ((torch.arange(n, device=depth.device) + 0.5) / n for n in (width, height))
        across, down = torch.meshgrid(x, y, indexing="xy")
        pixels = torch.stack([across, down, torch.ones_like(across)]).flatten(1)  # [3, hw]
        points = depth.flatten(2) * (torch.linalg.inv(intrinsics) @ pixels)  # [b, 3, hw], in the frame's camera
        relative = torch.linalg.inv(source_cam2world) @ cam2world
        points = source_intrinsics @ (relative[:, :3, :3] @ points + relative[:, :3, 3:])
        places = (points[:, :2] / points[:, 2:]).unflatten(2, (height, width))
        grid = 2 * places.permute(0, 2, 3, 1) - 1
        return F.grid_sample(source.float(), grid, padding_mode="border", align_corners=False)


def dissimilarity(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """(1 − SSIM)/2 over 3 × 3 pixels with mirrored borders, and L1, .85 : .15, mean over channels."""

    def local(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1)

    c1, c2 = SSIM_CONSTANTS
    mean_a, mean_b = local(a), local(b)
    variances = local(a * a) - mean_a * mean_a + local(b * b) - mean_b * mean_b
    covariance = local(a * b) - mean_a * mean_b
    ssim = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    ssim = ssim / ((mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2))
    error = SSIM_SHARE * ((1 - ssim) / 2).clamp(0, 1) + (1 - SSIM_SHARE) * (a - b).abs()
    return error.mean(1, keepdim=True)


def smoothness(disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
    """Mean |∂d|·exp(−|∂I|) across and down, of the disparity divided by its mean."""
    disparity = disparity / (disparity.mean((2, 3), keepdim=True) + 1e-7)
    total = disparity.new_zeros(())
    for axis in (2, 3):
        slope = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (disparity.diff(dim=axis).abs() * torch.exp(-slope)).mean()
    return total


def shown(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """1 where a frame with black background shows something, else 0."""
    return (image.amax(1, keepdim=True) > 0).to(image.dtype)


def depth_loss(
    disparities: list[Tensor], driving: Seen, source: Seen, params: DepthParams, settings: DaganTraining
) -> dict[str, tuple[float, Tensor]]:
    """Weights and values of the terms for ``disparities`` [b, 1, s, s] of the driving frame, the finest first.

    ``photometric``: error of the source warped into the driving frame, mean over the face's pixels. Where the unwarped
    source is as good, it is taken instead (auto-masking): no gradient comes from there. ``smoothness``: half as heavy
    from size to size. ``background``: mean disparity where nothing is shown; monodepth2 has no such term, and no black
    background either, which no photometric error can place. All are means over the sizes.
    """
    image = driving.image
    face = shown(image)
    still = dissimilarity(source.image, image)
    still = still + TIE * torch.randn_like(still)
    photometric, smooth, background = [], [], []
    for number, disparity in enumerate(disparities):
        depth = depths(resized_like(disparity, image), params.near, params.far, driving.labels)
        warped = dissimilarity(reprojected(source.image, depth, driving.labels, source.labels), image)
        photometric.append((torch.minimum(warped, still) * face).sum() / face.sum().clamp(min=1))
        size = disparity.shape[2:]
        smooth.append(smoothness(disparity, F.interpolate(image, size, mode="area")) / 2**number)
        empty = 1 - F.adaptive_max_pool2d(face, size)
        background.append((disparity * empty).sum() / empty.sum().clamp(min=1))
    return {
        "depth_photometric": (1.0, torch.stack(photometric).mean()),
        "depth_smoothness": (settings.depth_smoothness, torch.stack(smooth).mean()),
        "depth_background": (settings.depth_background, torch.stack(background).mean()),
    }
