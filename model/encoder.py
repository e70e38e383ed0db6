"""The encoders, a face → a code: the paper's ResNet-10, and by configuration the one of the authors' code."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.discriminator import DiscriminatorBlock
from model.settings import EncoderSettings


class BasicBlock(nn.Module):
    """ResNet's block: two 3 × 3 convolutions beside a shortcut, which is the identity where none is given.

    Written out, since importing torchvision's costs every job four seconds of start-up.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, shortcut: nn.Module | None, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = norm(outputs)
        self.downsample = shortcut

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet10(nn.Module):
    """Residual network with one basic block per stage (He et al. 2016), global pooling and a linear output.

    ``width`` channels in the first stage, doubled at each of the four; the paper's is 64. Input in [−1, 1].
    """

    def __init__(self, settings: EncoderSettings, in_channels: int, out_features: int) -> None:
        super().__init__()
        width = settings.width

        def norm(channels: int) -> nn.Module:
            if settings.norm == "batch":
                return nn.BatchNorm2d(channels)
            return nn.GroupNorm(math.gcd(8, channels), channels)

        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        stages: list[nn.Module] = []
        channels = width
        for stage in range(4):
            planes, stride = width * 2**stage, 1 if stage == 0 else 2
            shortcut = None
            if stride != 1 or channels != planes:
                shortcut = nn.Sequential(nn.Conv2d(channels, planes, 1, stride=stride, bias=False), norm(planes))
            stages.append(BasicBlock(channels, planes, stride, shortcut, norm))
            channels = planes
        self.stages = nn.Sequential(*stages)
        self.output = nn.Linear(channels, out_features)

    def forward(self, image: Float[Tensor, "b c r r"]) -> Float[Tensor, "b features"]:
        x = self.stages(self.stem(image))
        return self.output(torch.flatten(x.mean((2, 3)), 1))


class LiaEncoder(nn.Module):
    """LIA's encoder (Wang et al. 2022), which the authors' code has for E: StyleGAN2's discriminator down to 4 × 4.

    ``width`` channels at full size, doubled by each halving block up to 8 · ``width`` (64 … 512 at the authors' 256²),
    then one 4 × 4 convolution without bias. Input of side 2^k in [−1, 1]. No normalisation layers: a code depends on
    its own image alone.
    """

    def __init__(self, settings: EncoderSettings, in_channels: int, out_features: int) -> None:
        super().__init__()
        halvings = settings.resolution.bit_length() - 3
        widths = [min(settings.width * 2**i, settings.width * 8) for i in range(halvings + 1)]
        images = [in_channels] + [0] * (halvings - 1)
        self.blocks = nn.Sequential(
            *(DiscriminatorBlock(*ends, channels) for ends, channels in zip(pairwise(widths), images, strict=True))
        )
        self.weight = nn.Parameter(torch.randn(out_features, widths[-1], 4, 4))
        self.weight_gain = 1 / math.sqrt(16 * widths[-1])

    def forward(self, image: Float[Tensor, "b c r r"]) -> Float[Tensor, "b features"]:
        # The kernel is as large as the map: a matrix product.
        return F.linear(self.blocks(image).flatten(1), self.weight.flatten(1) * self.weight_gain)


def build_encoder(settings: EncoderSettings, in_channels: int, out_features: int) -> nn.Module:
    """The encoder that the settings name: images [b, in_channels, resolution, resolution] → [b, out_features]."""
    if settings.kind == "lia":
        return LiaEncoder(settings, in_channels, out_features)
    return ResNet10(settings, in_channels, out_features)
