"""LIA's encoder (Wang et al. 2022), which the authors' code has for E: StyleGAN2's residual discriminator → a code."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.settings import EncoderSettings
from model.stylegan2 import LEAKY_GAIN, smooth


class ScaledConv(nn.Module):
    """Convolution with equalised learning rate, without bias; ``down`` halves the size behind a low-pass filter."""

    def __init__(self, inputs: int, outputs: int, kernel: int, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.weight_gain = 1 / math.sqrt(inputs * kernel**2)
        self.down = down

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        weight, padding = self.weight * self.weight_gain, self.weight.shape[-1] // 2
        if not self.down:
            return F.conv2d(x, weight, padding=padding)
        # [1, 3, 3, 1] / 8 along each axis; `smooth` has gain 2 there. The margin keeps every second pixel's window.
        margin = padding + 1
        x = smooth(smooth(F.pad(x, (margin, margin, margin, margin)), 2), 3)
        return F.conv2d(x, weight / 4, stride=2)


class ActivatedConv(ScaledConv):
    """The same with a bias and leaky ReLU 0.2 of gain √2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, down: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, down)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return F.leaky_relu(super().forward(x) + self.bias[:, None, None], 0.2) * LEAKY_GAIN


class HalvingBlock(nn.Module):
    """Two 3 × 3 convolutions, the second at half the size, beside a filtered 1 × 1 shortcut; unit variance kept."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = ActivatedConv(inputs, inputs, 3)
        self.conv1 = ActivatedConv(inputs, outputs, 3, down=True)
        self.skip = ScaledConv(inputs, outputs, 1, down=True)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        return (self.conv1(self.conv0(x)) + self.skip(x)) * math.sqrt(0.5)


class LiaEncoder(nn.Module):
    """Image of side 2^k in [−1, 1] → code: halving blocks down to 4 × 4, then one 4 × 4 convolution without bias.

    ``width`` channels at full size, doubled by each block up to 8 · ``width``: 64 … 512 at the authors' 256². No
    normalisation layers, so a code depends on its own image alone.
    """

    def __init__(self, settings: EncoderSettings, in_channels: int, out_features: int) -> None:
        super().__init__()
        halvings = settings.resolution.bit_length() - 3
        widths = [min(settings.width * 2**i, settings.width * 8) for i in range(halvings + 1)]
        self.stem = ActivatedConv(in_channels, widths[0], 1)
        self.blocks = nn.Sequential(*(HalvingBlock(i, o) for i, o in pairwise(widths)))
        self.output = ScaledConv(widths[-1], out_features, 4)

    def forward(self, image: Float[Tensor, "b c r r"]) -> Float[Tensor, "b features"]:
        x = self.blocks(self.stem(image))
        # One window of the size of the whole map: a matrix product.
        return F.linear(x.flatten(1), self.output.weight.flatten(1) * self.output.weight_gain)
