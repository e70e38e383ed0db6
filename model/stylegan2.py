"""StyleGAN2 parts in plain PyTorch, with the public release's conventions and parameter names (Karras et al. 2020)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.decoder import EqualizedLinear

Noise = Literal["none", "const", "random"]
LEAKY_GAIN = math.sqrt(2)


def smooth(x: Tensor, dim: int) -> Tensor:
    """The [1, 3, 3, 1] / 4 low-pass filter along one axis, three samples shorter; gain 2, for zero-stuffed signals.

    Sums of slices: on a CPU their backward is many times cheaper than a depthwise convolution's.
    """
    n = x.shape[dim] - 3
    outer = x.narrow(dim, 0, n) + x.narrow(dim, 3, n)
    inner = x.narrow(dim, 1, n) + x.narrow(dim, 2, n)
    return torch.add(inner * 0.75, outer, alpha=0.25)


def upsample(x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height2 width2"]:
    """Twice the size: zeros between the samples, then the [1, 3, 3, 1] filter with gain 4, zeros beyond the border.

    Written by phase: even outputs are (x[i−1] + 3·x[i]) / 4 along each axis, odd ones (3·x[i] + x[i+1]) / 4.
    """
    for dim in (2, 3):
        padding = (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0)
        padded = F.pad(x, padding)
        n = x.shape[dim]
        before, after = padded.narrow(dim, 0, n), padded.narrow(dim, 2, n)
        centre = x * 0.75
        phases = [torch.add(centre, before, alpha=0.25), torch.add(centre, after, alpha=0.25)]
        x = torch.stack(phases, dim=dim + 1).flatten(dim, dim + 1)
    return x


def downsample(x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height2 width2"]:
    """Half the size: the [1, 3, 3, 1] / 8 filter along each axis at every second sample, zeros beyond the border."""
    for dim in (2, 3):
        padding = (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0)
        even, odd = F.pad(x, padding).unflatten(dim, (-1, 2)).unbind(dim + 1)
        n = even.shape[dim] - 1
        outer = even.narrow(dim, 0, n) + odd.narrow(dim, 1, n)
        inner = odd.narrow(dim, 0, n) + even.narrow(dim, 1, n)
        x = torch.add(inner * 0.375, outer, alpha=0.125)
    return x


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU 0.2 with gain √2, the activation of every layer but the outputs."""
    return F.leaky_relu(x, 0.2) * LEAKY_GAIN


def channel_widths(resolution: int, channel_base: int, channel_max: int) -> dict[int, int]:
    """Feature channels at 4, 8, … ``resolution``; ValueError where that is not a power of two of at least 4."""
    if resolution < 4 or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two of at least 4, not {resolution}")
    return {r: max(1, min(channel_base // r, channel_max)) for r in (2**i for i in range(2, resolution.bit_length()))}


def resized(images: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b c side side"]:
    """Bilinear resizing with antialiasing, EG3D's filter for raw images."""
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


def modulated_conv2d(
    x: Float[Tensor, "batch in height width"],
    weight: Float[Tensor, "out in k k"],
    styles: Float[Tensor, "batch in"],
    up: Literal[1, 2] = 1,
    demodulate: bool = True,
) -> Float[Tensor, "batch out height_out width_out"]:
    """Convolution whose input channels are scaled per sample, output renormalised when ``demodulate``.

    Demodulation divides by √(Σ (w·s)² + 1e-8). Scaling input and output is the same as scaling the weights and needs
    no grouped convolution. ``up=2``: transposed convolution, then the [1, 3, 3, 1] filter with gain 4.
    """
    x = x * styles[:, :, None, None]
    padding = weight.shape[-1] // 2
    if up == 1:
        x = F.conv2d(x, weight, padding=padding)
    else:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        # The filter wants two zeros before and one after the stuffed signal, of which the kernel's overlap is a part.
        margin = weight.shape[-1] // 2 + 3 - weight.shape[-1]
        x = F.pad(x, (margin, margin, margin, margin))
        x = smooth(smooth(x, 2), 3)
    if demodulate:
        squared = weight.square().sum((2, 3))
        scale = torch.rsqrt(styles.square() @ squared.t() + 1e-8)
        x = x * scale[:, :, None, None]
    return x


class SynthesisLayer(nn.Module):
    """Style affine, modulated 3 × 3 convolution, noise, bias, leaky ReLU 0.2 with gain √2."""

    noise_const: Tensor

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, resolution: int, up: Literal[1, 2] = 1) -> None:
        super().__init__()
        self.up: Literal[1, 2] = up
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Float[Tensor, "b i h w"], w: Float[Tensor, "b d"], noise: Noise) -> Float[Tensor, "b o H W"]:
        x = modulated_conv2d(x, self.weight, self.affine(w), up=self.up)
        if noise == "const":
            x = x + self.noise_const * self.noise_strength
        elif noise == "random":
            x = x + torch.randn_like(x[:, :1]) * self.noise_strength
        return leaky(x + self.bias[:, None, None])


class ToRGBLayer(nn.Module):
    """Modulated 1 × 1 convolution without demodulation, to the output channels."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Float[Tensor, "b i h w"], w: Float[Tensor, "b d"]) -> Float[Tensor, "b o h w"]:
        x = modulated_conv2d(x, self.weight, self.affine(w) * self.weight_gain, demodulate=False)
        return x + self.bias[:, None, None]


class SynthesisBlock(nn.Module):
    """One resolution of the skip architecture: (constant | conv0) → conv1 → toRGB added to the upsampled image."""

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, resolution: int, img_channels: int, up: Literal[1, 2] = 2
    ) -> None:
        super().__init__()
        self.up = up
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, up=up)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution)
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim)
        self.num_conv = 1 if in_channels == 0 else 2

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Float[Tensor, "b n d"], noise: Noise
    ) -> tuple[Float[Tensor, "b c r r"], Float[Tensor, "b i r r"]]:
        styles = iter(ws.unbind(1))
        x = self.const.expand(len(ws), -1, -1, -1) if x is None else self.conv0(x, next(styles), noise)
        x = self.conv1(x, next(styles), noise)
        out = self.torgb(x, next(styles))
        if image is not None:
            out = out + (upsample(image) if self.up == 2 else image)
        return x, out


class SynthesisNetwork(nn.Module):
    """Styles → image (or planes) by skip connections; parameters named as in the public release (``b4.const`` …)."""

    def __init__(
        self, w_dim: int, resolution: int, channels: int, channel_base: int = 32768, channel_max: int = 512
    ) -> None:
        super().__init__()
        width = channel_widths(resolution, channel_base, channel_max)
        self.resolutions = list(width)
        for r in self.resolutions:
            self.add_module(f"b{r}", SynthesisBlock(width.get(r // 2, 0), width[r], w_dim, r, channels))
        self.num_ws = 2 * len(self.resolutions)

    def forward(self, ws: Float[Tensor, "b n d"], noise: Noise = "const") -> Float[Tensor, "b channels r r"]:
        x, image, position = None, None, 0
        for r in self.resolutions:
            block = self.get_submodule(f"b{r}")
            assert isinstance(block, SynthesisBlock)
            # A block's toRGB style is the next block's first: the windows overlap by one.
            x, image = block(x, image, ws[:, position : position + block.num_conv + 1], noise)
            position += block.num_conv
        assert image is not None
        return image
