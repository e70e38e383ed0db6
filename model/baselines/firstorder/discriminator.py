"""The family's discriminator, which judges patches of a picture at one or more sizes, as pix2pix's does."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.blocks import gaussians
from model.baselines.firstorder.settings import CommonParams, DiscriminatorParams


class Judgement(NamedTuple):
    """Feature maps after every block, and a map of verdicts: 1 for real, 0 for made, as least squares have it."""

    maps: list[Tensor]
    prediction: Float[Tensor, "b 1 h w"]


class Block(nn.Module):
    """Convolution without padding, instance normalisation (not the first), leaky ReLU, halving (not the last)."""

    def __init__(self, inputs: int, outputs: int, norm: bool, pool: bool, sn: bool) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, 4, sn)
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if norm else nn.Identity()
        self.pool = nn.AvgPool2d(2) if pool else nn.Identity()

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        out: Tensor = self.pool(F.leaky_relu(self.norm(self.conv(x)), 0.2))
        return out


class Discriminator(nn.Module):
    """Judges pictures of one size, shown with the driver's heat maps where ``use_kp`` is set."""

    def __init__(self, params: DiscriminatorParams, common: CommonParams) -> None:
        super().__init__()
        self.use_kp = params.use_kp
        widths = [min(params.max_features, params.block_expansion * 2**i) for i in range(params.num_blocks + 1)]
        inputs = [common.num_channels + common.num_kp * params.use_kp, *widths[1:]]
        last = params.num_blocks - 1
        self.down_blocks = nn.ModuleList(
            Block(a, b, norm=i > 0, pool=i < last, sn=params.sn)
            for i, (a, b) in enumerate(zip(inputs, widths[1:], strict=False))
        )
        self.conv = convolution(widths[-1], 1, 1, params.sn)

    def forward(self, image: Float[Tensor, "b 3 r r"], kp: Float[Tensor, "b k 2"] | None = None) -> Judgement:
        """The verdict on ``image`` [0, 1]; ``kp`` are the driver's keypoints, needed where they are shown."""
        x = image
        if self.use_kp:
            assert kp is not None, "this discriminator is shown keypoints"
            x = torch.cat([x, gaussians(kp, *x.shape[2:])], dim=1)
        maps = []
        for block in self.down_blocks:
            x = block(x)
            maps.append(x)
        return Judgement(maps, self.conv(x))


class MultiScaleDiscriminator(nn.Module):
    """A :class:`Discriminator` for every size of ``scales``; one of scale 0.5 is named ``discs.0-5``."""

    def __init__(self, params: DiscriminatorParams, common: CommonParams) -> None:
        super().__init__()
        self.scales = {scale: f"{scale:g}".replace(".", "-") for scale in params.scales}
        self.discs = nn.ModuleDict({name: Discriminator(params, common) for name in self.scales.values()})

    def forward(
        self, pyramid: Mapping[float, Float[Tensor, "b 3 h w"]], kp: Float[Tensor, "b k 2"] | None = None
    ) -> dict[float, Judgement]:
        """A verdict for every scale on the picture of that scale in ``pyramid``, in [0, 1]."""
        return {scale: self.discs[name](pyramid[scale], kp) for scale, name in self.scales.items()}


def convolution(inputs: int, outputs: int, kernel: int, sn: bool) -> nn.Module:
    """A convolution, of spectral norm 1 if ``sn`` (by the older of torch's two forms, whose names checkpoints have)."""
    conv = nn.Conv2d(inputs, outputs, kernel)
    return nn.utils.spectral_norm(conv) if sn else conv
