"""BiSeNet (Yu et al. 2018) for faces, in the layout of face-parsing.PyTorch, whose weights it loads.

The context path is a ResNet-18; its features at an eighth of the size also stand for the spatial path. Of the three
outputs of the published network only the first is used in parsing, but its file holds the weights of all.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, relu
from torchvision.models import resnet18

from preprocessing import weights
from preprocessing.detectors.networks import device, stacks, to_channels_first
from preprocessing.statedicts import fill

CLASSES = 19
SIDE = 512
"""Side of the pictures that the network was trained on and parses, in pixels."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in [0, 1]."""


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """Features weighted by channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x)
        return features * torch.sigmoid(self.bn_atten(self.conv_atten(adaptive_avg_pool2d(features, 1))))


class ContextPath(nn.Module):
    """Features [n, 128, h/8, w/8] of the picture itself and of what surrounds each place."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = resnet18(weights=None)
        del self.resnet.fc
        self.arm16, self.arm32 = AttentionRefinement(256, 128), AttentionRefinement(512, 128)
        self.conv_head32, self.conv_head16 = Convolution(128, 128), Convolution(128, 128)
        self.conv_avg = Convolution(512, 128, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        net = self.resnet
        x = net.layer1(net.maxpool(relu(net.bn1(net.conv1(pictures)))))
        eighth = net.layer2(x)  # [n, 128, h/8, w/8]
        sixteenth = net.layer3(eighth)  # [n, 256, h/16, w/16]
        smallest = net.layer4(sixteenth)  # [n, 512, h/32, w/32]
        mean = self.conv_avg(adaptive_avg_pool2d(smallest, 1))
        context = interpolate(self.arm32(smallest) + mean, sixteenth.shape[2:], mode="nearest")
        context = self.arm16(sixteenth) + self.conv_head32(context)
        return eighth, self.conv_head16(interpolate(context, eighth.shape[2:], mode="nearest"))


class FeatureFusion(nn.Module):
    """Both kinds of features together, weighted by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = Convolution(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        features = self.convblk(torch.cat([spatial, context], dim=1))
        return features * (1 + torch.sigmoid(self.conv2(relu(self.conv1(adaptive_avg_pool2d(features, 1))))))


class Head(nn.Module):
    """Scores of the classes."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, hidden)
        self.conv_out = nn.Conv2d(hidden, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Scores of each pixel's classes; the two auxiliary heads served the published training."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = Head(256, 256, classes)
        self.conv_out16, self.conv_out32 = Head(128, 64, classes), Head(128, 64, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores [n, classes, h, w] of normalised RGB pictures [n, 3, h, w]."""
        scores = self.conv_out(self.ffm(*self.cp(pictures)))
        return interpolate(scores, pictures.shape[2:], mode="bilinear", align_corners=True)


class FaceParser:
    """Classes of CelebAMask-HQ, 0 to 18 in face-parsing.PyTorch's order, for every pixel of a face's picture."""

    def __init__(self, path: Path) -> None:
        self.name = f"face-parsing-bisenet {weights.named(path)}"
        self.network = BiSeNet()
        fill(self.network, weights.load(path), path, "face-parsing.PyTorch's BiSeNet")
        self.network.to(device()).eval()
        self._mean = torch.tensor(MEAN, device=device()).view(3, 1, 1)
        self._deviation = torch.tensor(DEVIATION, device=device()).view(3, 1, 1)

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Classes [S, S] uint8 of each of ``pictures`` [S, S, 3] uint8 RGB: scored at 512², averaged to their size."""
        found: list[np.ndarray] = []
        for stack in stacks(pictures):
            large = to_channels_first(np.stack([_resized(picture) for picture in stack])).float() / 255
            scores = self.network((large - self._mean) / self._deviation)
            classes = adaptive_avg_pool2d(scores, (stack.shape[1], stack.shape[2])).argmax(dim=1)
            found += list(classes.to(torch.uint8).cpu().numpy())
        return found


def _resized(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
