"""EG3D's dual discriminator (Chan et al. 2022, section 4.3): StyleGAN2's, on image and raw image together."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.decoder import EqualizedLinear
from model.mapping import MappingNetwork
from model.stylegan2 import LEAKY_GAIN, channel_widths, downsample, leaky, resized, smooth

CONV_CLAMP = 256.0
"""Activations are limited to ± this (scaled with a layer's gain), as in the public discriminators, at any precision."""


class ConvLayer(nn.Module):
    """Convolution with equalised learning rate [after the low-pass filter, every second pixel], bias, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Literal[1, 3], down: Literal[1, 2] = 1) -> None:
        super().__init__()
        self.down = down
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)

    def forward(self, x: Float[Tensor, "b i h w"], gain: float = 1.0) -> Float[Tensor, "b o h2 w2"]:
        weight, padding = self.weight * self.weight_gain, self.weight.shape[-1] // 2
        if self.down == 2:
            # One more zero on each side for the filter; `smooth` has gain 2 along each axis.
            margin = padding + 1
            x = smooth(smooth(F.pad(x, (margin,) * 4), 2), 3)
            weight, padding = weight / 4, 0
        x = F.conv2d(x, weight, self.bias, stride=self.down, padding=padding)
        return (F.leaky_relu(x, 0.2) * (LEAKY_GAIN * gain)).clamp(-CONV_CLAMP * gain, CONV_CLAMP * gain)


class SkipLayer(nn.Module):
    """The residual path: every second pixel of the filtered input, 1 × 1 convolution; no bias, no activation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Float[Tensor, "b i h w"], gain: float) -> Float[Tensor, "b o h2 w2"]:
        return F.conv2d(downsample(x), self.weight * (self.weight_gain * gain))


class DiscriminatorBlock(nn.Module):
    """[fromrgb →] conv0 → conv1 at half the size, plus the skip path, both scaled by √½."""

    def __init__(self, in_channels: int, out_channels: int, image_channels: int = 0) -> None:
        super().__init__()
        if image_channels:
            self.fromrgb = ConvLayer(image_channels, in_channels, 1)
        self.conv0 = ConvLayer(in_channels, in_channels, 3)
        self.conv1 = ConvLayer(in_channels, out_channels, 3, down=2)
        self.skip = SkipLayer(in_channels, out_channels)
        self.first = image_channels > 0

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        if self.first:
            x = self.fromrgb(x)
        gain = math.sqrt(0.5)
        return self.skip(x, gain) + self.conv1(self.conv0(x), gain)


def minibatch_deviation(x: Float[Tensor, "b c h w"], group_size: int) -> Float[Tensor, "b c+1 h w"]:
    """Append one channel: the standard deviation within groups of samples, averaged over channels and pixels.

    Samples i, i + b/g, i + 2·b/g … form a group of g, the largest divisor of the batch up to ``group_size`` (EG3D takes
    the smaller of both and refuses other batches).
    """
    batch, channels, height, width = x.shape
    group = next(size for size in range(min(group_size, batch), 0, -1) if batch % size == 0)
    grouped = x.reshape(group, -1, channels, height, width)
    variance = (grouped - grouped.mean(0)).square().mean(0)
    deviation = torch.sqrt(variance + 1e-8).mean((1, 2, 3))
    return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """4 × 4 features → minibatch deviation, convolution, two linear layers → projection onto the mapped camera."""

    def __init__(self, channels: int, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.conv = ConvLayer(channels + 1, channels, 3)
        self.fc = EqualizedLinear(channels * 16, channels)
        self.out = EqualizedLinear(channels, channels)

    def forward(self, x: Float[Tensor, "b c 4 4"], condition: Float[Tensor, "b c"]) -> Float[Tensor, "b 1"]:
        x = self.conv(minibatch_deviation(x, self.group_size))
        x = self.out(leaky(self.fc(x.flatten(1))))
        return (x * condition).sum(1, keepdim=True) / math.sqrt(condition.shape[1])


class DualDiscriminator(nn.Module):
    """Logits of pairs (image, raw image) given their cameras; parameters named as in EG3D's public networks.

    ``image`` [b, 3, R, R] and ``raw`` [b, 3, r, r] are in [−1, 1], ``camera`` is the 25-number label. The raw image is
    resized to R (bilinear, antialiased) and both are judged as six channels, so that a super-resolved image that
    disagrees with its rendering is recognised. Twice differentiable, as R1 needs.
    """

    def __init__(
        self,
        resolution: int,
        camera_dim: int = 25,
        channel_base: int = 32768,
        channel_max: int = 512,
        mbstd_group_size: int = 4,
    ) -> None:
        super().__init__()
        width = channel_widths(resolution, channel_base, channel_max)
        self.resolutions = [r for r in reversed(width) if r > 4]
        if not self.resolutions:
            raise ValueError(f"the discriminator's resolution must be at least 8, not {resolution}")
        for r in self.resolutions:
            self.add_module(f"b{r}", DiscriminatorBlock(width[r], width[r // 2], 6 if r == resolution else 0))
        self.mapping = MappingNetwork(0, camera_dim, width[4])
        self.b4 = DiscriminatorEpilogue(width[4], mbstd_group_size)

    def forward(
        self, image: Float[Tensor, "b 3 R R"], raw: Float[Tensor, "b 3 r r"], camera: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b 1"]:
        x = torch.cat([image, resized(raw, image.shape[-1])], dim=1)
        for r in self.resolutions:
            x = self.get_submodule(f"b{r}")(x)
        # As in EG3D the blocks may be computed in reduced precision, their end and the camera's mapping are not.
        with torch.autocast(x.device.type, enabled=False):
            return self.b4(x.to(camera.dtype), self.mapping(None, camera))
