"""The network that estimates a face's disparity: monodepth2's (Godard et al., ICCV 2019), which DaGAN uses.

A ResNet encodes the picture; the decoder doubles its last features' size five times, joins the encoder's on the way and
gives a disparity at the four finest sizes. Parameters have the names of the public files.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.dagan.settings import DepthParams
from model.encoder import BasicBlock
from preprocessing.statedicts import fill
from preprocessing.weights import load, located

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
CLASSES = 1000
"""ImageNet's, of the classifier that the public files keep and nothing uses."""
MEAN, DEVIATION = 0.45, 0.225
"""Of all channels of a picture in [0, 1]."""


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions: 1 × 1, 3 × 3, 1 × 1 to four times the channels."""

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """A ResNet-18 or -50 (He et al. 2016) with the names of torchvision's, ``width`` channels in its first level."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.channels = [width]
        basic = layers == 18
        for level, blocks in enumerate(BLOCKS[layers]):
            inner = width * 2**level
            outputs = inner if basic else 4 * inner
            stage = nn.Sequential()
            for number in range(blocks):
                inputs = outputs if number else self.channels[-1]
                stride = 1 if number or not level else 2
                shortcut = None
                if inputs != outputs:
                    project = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
                    shortcut = nn.Sequential(project, nn.BatchNorm2d(outputs))
                make = partial(BasicBlock, norm=nn.BatchNorm2d) if basic else Bottleneck
                stage.append(make(inputs, inner, stride, shortcut))
            self.add_module(f"layer{level + 1}", stage)
            self.channels.append(outputs)
        self.fc = nn.Linear(outputs, CLASSES).requires_grad_(False)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Features at 1/2, 1/4, … 1/32 of the size."""
        features = [torch.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)
        for level in range(1, 5):
            x = self.get_submodule(f"layer{level}")(x)
            features.append(x)
        return features


class DepthEncoder(nn.Module):
    """The ResNet on a picture in [0, 1]."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.encoder = ResNet(layers, width)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        features: list[Tensor] = self.encoder((image - MEAN) / DEVIATION)
        return features


class Padded(nn.Module):
    """3 × 3 convolution behind mirrored borders."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return self.conv(x)


class PaddedElu(nn.Module):
    """A :class:`Padded` convolution, then ELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Padded(inputs, outputs)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return F.elu(self.conv(x))


class DepthDecoder(nn.Module):
    """Features → disparities in [0, 1] at 1, 1/2, 1/4 and 1/8 of the size.

    ``decoder`` lists, from the coarsest level on, each level's two convolutions, then the four that give a disparity.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        widths = [width * 2**level // 4 for level in range(5)]  # the finest first
        blocks: list[nn.Module] = []
        for level in range(4, -1, -1):
            blocks.append(PaddedElu(channels[-1] if level == 4 else widths[level + 1], widths[level]))
            blocks.append(PaddedElu(widths[level] + (channels[level - 1] if level else 0), widths[level]))
        self.decoder = nn.ModuleList([*blocks, *(Padded(widths[scale], 1) for scale in range(4))])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The disparities, the finest first."""
        x, disparities = features[-1], []
        for level in range(4, -1, -1):
            first, second = self.decoder[8 - 2 * level], self.decoder[9 - 2 * level]
            x = F.interpolate(first(x), scale_factor=2.0)
            x = second(torch.cat([x, features[level - 1]], dim=1) if level else x)
            if level < 4:
                disparities.append(torch.sigmoid(self.decoder[10 + level](x)))
        return disparities[::-1]


class DepthNetwork(nn.Module):
    """Picture in [0, 1] → disparities in [0, 1] at four sizes, the picture's own first."""

    def __init__(self, params: DepthParams) -> None:
        super().__init__()
        self.encoder = DepthEncoder(params.layers, params.width)
        self.decoder = DepthDecoder(self.encoder.encoder.channels, params.width)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        disparities: list[Tensor] = self.decoder(self.encoder(image))
        return disparities


def load_depth(network: DepthNetwork, params: DepthParams) -> None:
    """Put the authors' files, where ``params`` names them, into ``network``.

    No pickled code runs. Raises InputError in one sentence where a file cannot be read or has other keys or shapes.
    """
    if params.encoder is None or params.decoder is None:
        return
    # Beside the weights, the encoder's file tells the size of the pictures it was trained on.
    encoder, decoder = located(params.encoder), located(params.decoder)
    weights = {key: value for key, value in load(encoder).items() if isinstance(value, Tensor)}
    fill(network.encoder, _plain(weights), encoder, f"a depth encoder's of {params.layers} layers")
    fill(network.decoder, _plain(load(decoder)), decoder, f"a depth decoder's behind {params.layers} layers")


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Without the ``module.`` that parallel training puts before keys."""
    return {key.removeprefix("module."): value for key, value in state.items()}
