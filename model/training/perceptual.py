"""Perceptual losses. That of the authors' code: L1 between VGG-19's features of two images at four sizes.

The network is Simonyan and Zisserman's, with torchvision's parameter names, written out, since importing torchvision
costs every job four seconds of start-up. Its weights are a file the user has.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from preprocessing.cli import InputError

CONVOLUTIONS = (2, 2, 4, 4, 1)
"""3 × 3 convolutions, each with a ReLU, per stage of VGG-19, up to the last map compared; stages end in pooling."""
VGG19_WIDTHS = (64, 128, 256, 512, 512)
REDUCTIONS = (1, 2, 4, 8)
MAP_WEIGHT = 10.0
"""Weight of every compared map, as in FOMM's perceptual loss, which the authors' code takes over."""


def blurred_every(x: Float[Tensor, "b c h w"], n: int) -> Float[Tensor, "b c h2 w2"]:
    """Every n-th pixel behind a Gaussian of σ = (n − 1)/2, cut at 4σ, zeros beyond the border (FOMM's pyramid)."""
    if n == 1:
        return x
    deviation = (n - 1) / 2
    radius = round(4 * deviation)
    taps = torch.exp(-(torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device) ** 2) / (2 * deviation**2))
    taps, channels = taps / taps.sum(), x.shape[1]
    x = F.conv2d(x, taps[:, None].expand(channels, 1, -1, 1), stride=(n, 1), padding=(radius, 0), groups=channels)
    return F.conv2d(x, taps.expand(channels, 1, 1, -1), stride=(1, n), padding=(0, radius), groups=channels)


class VGG19(nn.Module):
    """The five compared maps of VGG-19: the first ReLU of each stage. Its weights are not trained.

    ``weights`` is a state dict of torchvision's VGG-19 (``features.0.weight`` …); what comes after the last compared
    map is ignored. ``widths`` are the channels per stage. KeyError or ValueError where a parameter is missing or has
    another shape.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Mapping[str, Tensor], widths: tuple[int, ...] = VGG19_WIDTHS) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        position, inputs = 0, 3
        for width, count in zip(widths, CONVOLUTIONS, strict=True):
            layers = nn.ModuleList()
            for _ in range(count):
                layer = nn.Conv2d(inputs, width, 3, padding=1)
                for name, parameter in layer.named_parameters():
                    key = f"features.{position}.{name}"
                    if weights[key].shape != parameter.shape:
                        raise ValueError(f"{key} is {list(weights[key].shape)}, not {list(parameter.shape)}")
                    parameter.data.copy_(weights[key])
                layers.append(layer)
                position, inputs = position + 2, width
            stages.append(layers)
            position += 1
        self.stages = nn.ModuleList(stages)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])
        self.requires_grad_(False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The compared maps of images in [0, 1]; fewer where pooling leaves no pixel."""
        x = (images - self.mean) / self.deviation
        found = []
        for number, stage in enumerate(self.stages):
            if number:
                if x.shape[-1] < 2:
                    break
                x = F.max_pool2d(x, 2)
            assert isinstance(stage, nn.ModuleList)
            for at, layer in enumerate(stage):
                x = torch.relu(layer(x))
                if at == 0:
                    found.append(x)
        return found


class PerceptualLoss(nn.Module):
    """10 · Σ over four sizes and VGG-19's maps of the mean absolute difference of images in [−1, 1]."""

    def __init__(self, network: VGG19) -> None:
        super().__init__()
        self.network = network

    def maps(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The compared maps of images in [−1, 1], values beyond clamped."""
        maps: list[Tensor] = self.network(images.clamp(-1, 1) / 2 + 0.5)
        return maps

    def forward(self, output: Float[Tensor, "b 3 r r"], target: Float[Tensor, "b 3 r r"]) -> Float[Tensor, ""]:
        total = output.new_zeros(())
        for n in REDUCTIONS:
            found = self.maps(blurred_every(output, n))
            with torch.no_grad():
                wanted = self.maps(blurred_every(target, n))
            total = total + sum(F.l1_loss(a, b) for a, b in zip(found, wanted, strict=True))
        return MAP_WEIGHT * total


def load_vgg19(path: Path, widths: tuple[int, ...] = VGG19_WIDTHS) -> VGG19:
    """The network with the weights of the file ``path``, read without running pickled code.

    Raises InputError with one sentence for a file that is missing, damaged or no VGG-19.
    """
    if not path.is_file():
        raise InputError(f"The perceptual loss needs VGG-19's weights, and {path} does not exist.")
    try:
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise InputError(f"Cannot read VGG-19's weights {path}: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(weights, dict):
        raise InputError(f"{path} holds {type(weights).__name__}, not the state dict of a VGG-19.")
    try:
        return VGG19(weights, widths)
    except KeyError as error:
        raise InputError(f"{path} does not hold VGG-19's weights: {error.args[0]} is missing.") from None
    except (AttributeError, ValueError) as error:
        raise InputError(f"{path} does not hold VGG-19's weights: {error}.") from None
