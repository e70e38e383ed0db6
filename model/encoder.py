"""The encoders, a face → a code: the paper's ResNet-10, and by configuration the one of the authors' code."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.encoder_lia import LiaEncoder
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


def build_encoder(settings: EncoderSettings, in_channels: int, out_features: int) -> nn.Module:
    """The encoder that the settings name: images [b, in_channels, resolution, resolution] → [b, out_features]."""
    if settings.kind == "lia":
        return LiaEncoder(settings, in_channels, out_features)
    return ResNet10(settings, in_channels, out_features)
