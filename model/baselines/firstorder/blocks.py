"""Building blocks of the first-order family, with the parameter names of FOMM's public code.

Images are RGB in [0, 1], coordinates (x, y) in [−1, 1] with pixel i of n at 2i/(n − 1) − 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def coordinate_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "h w 2"]:
    """(x, y) of every pixel, of the type and on the device of ``like``."""
    x, y = (2 * torch.arange(n, dtype=like.dtype, device=like.device) / (n - 1) - 1 for n in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def gaussians(
    points: Float[Tensor, "b k 2"], height: int, width: int, variance: float = 0.01
) -> Float[Tensor, "b k h w"]:
    """exp(−|z − p|² / 2σ²) around every point (FOMM, Eq. 6); ``variance`` is σ²."""
    grid = coordinate_grid(height, width, points)
    return torch.exp(-(grid - points[:, :, None, None]).square().sum(-1) / (2 * variance))


def warp(image: Float[Tensor, "b c h w"], grid: Float[Tensor, "b gh gw 2"], align_corners: bool) -> Tensor:
    """``image`` read at ``grid`` [−1, 1], bilinearly, zeros outside; [b, c, h, w].

    A grid of another size is first resized to the image's (always without aligned corners, as in FOMM).
    ``align_corners`` is True in the torch that FOMM was written for (before 1.3), False in later ones.
    """
    if grid.shape[1:3] != image.shape[2:]:
        grid = F.interpolate(grid.permute(0, 3, 1, 2), image.shape[2:], mode="bilinear", align_corners=False)
        grid = grid.permute(0, 2, 3, 1)
    return F.grid_sample(image, grid, align_corners=align_corners)


def resized_like(maps: Float[Tensor, "b c h w"], other: Float[Tensor, "b d H W"]) -> Float[Tensor, "b c H W"]:
    """``maps`` at the size of ``other``, bilinearly."""
    if maps.shape[2:] == other.shape[2:]:
        return maps
    return F.interpolate(maps, other.shape[2:], mode="bilinear", align_corners=False)


class SameBlock(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return F.relu(self.norm(self.conv(x)))


class DownBlock(SameBlock):
    """A :class:`SameBlock`, then the mean of 2 × 2 pixels."""

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock(SameBlock):
    """Nearest neighbours at twice the size, then a :class:`SameBlock`."""

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o H W"]:
        return super().forward(F.interpolate(x, scale_factor=2.0))


class ResBlock(nn.Module):
    """Pre-activation residual block: twice batch normalisation, ReLU, convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class _Encoder(nn.Module):
    def __init__(self, inputs: int, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(
            DownBlock(a, b) for a, b in zip([inputs, *widths[1:]], widths[1:], strict=False)
        )


class _Decoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        last = len(widths) - 2
        self.up_blocks = nn.ModuleList(
            UpBlock((1 if i == last else 2) * widths[i + 1], widths[i]) for i in range(last, -1, -1)
        )


class Hourglass(nn.Module):
    """U-Net of ``num_blocks`` halvings; gives ``outputs`` = block_expansion + inputs channels at the input's size.

    The input itself is the outermost skip. Level i has min(max_features, block_expansion · 2^i) channels.
    """

    def __init__(self, block_expansion: int, inputs: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_blocks + 1)]
        self.encoder, self.decoder = _Encoder(inputs, widths), _Decoder(widths)
        self.outputs = widths[0] + inputs

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        skips = [x]
        for block in self.encoder.down_blocks:
            skips.append(block(skips[-1]))
        x = skips.pop()
        for block in self.decoder.up_blocks:
            x = torch.cat([block(x), skips.pop()], dim=1)
        return x


class AntiAlias(nn.Module):
    """Every 1/scale-th pixel behind a Gaussian of σ = (1/scale − 1)/2 cut at 4σ, zeros beyond the border.

    The kernel is a buffer ``weight`` [channels, 1, k, k], part of the public checkpoints.
    """

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.step, deviation = round(1 / scale), (1 / scale - 1) / 2
        radius = round(4 * deviation)
        along = torch.arange(-radius, radius + 1, dtype=torch.float32)
        taps = torch.exp(-along.square() / (2 * deviation**2)) if radius else torch.ones(1)
        kernel = taps[:, None] * taps
        self.register_buffer("weight", (kernel / kernel.sum()).repeat(channels, 1, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        if self.step == 1:
            return x
        radius, n = self.weight.shape[-1] // 2, self.step
        return F.conv2d(x, self.weight, stride=n, padding=radius, groups=len(self.weight))
