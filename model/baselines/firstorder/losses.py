"""The losses of the first-order family: perceptual pyramid, feature matching, least-squares GAN."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.training.perceptual import VGG19, blurred_every


def pyramid(images: Float[Tensor, "b 3 r r"], scales: Sequence[float]) -> dict[float, Tensor]:
    """The images at every scale, blurred before pixels are left out."""
    return {scale: blurred_every(images, round(1 / scale)) for scale in scales}


class PyramidLoss(nn.Module):
    """Σ over sizes and maps of weight · mean |a − b|, of VGG-19's five maps or, without a network, of pixels.

    FOMM's perceptual loss (Siarohin et al. 2019, Eq. 12), after Johnson et al. 2016. ValueError where an image is so
    small that VGG-19 has fewer maps than there are weights.
    """

    def __init__(self, weights: Sequence[float], network: VGG19 | None) -> None:
        super().__init__()
        self.weights, self.network = weights, network

    def maps(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """What is compared of images in [0, 1]."""
        return [images] if self.network is None else self.network(images)

    def forward(self, generated: Mapping[float, Tensor], real: Mapping[float, Tensor]) -> Float[Tensor, ""]:
        """The loss of a pyramid against that of the truth, which gets no gradient."""
        terms = []
        for scale, images in generated.items():
            with torch.no_grad():
                wanted = self.maps(real[scale])
            terms.append(weighted_l1(self.maps(images), wanted, self.weights))
        return torch.stack(terms).sum()


def weighted_l1(found: Sequence[Tensor], wanted: Sequence[Tensor], weights: Sequence[float]) -> Float[Tensor, ""]:
    """Σ over maps of weight · mean |a − b|; feature matching (Wang et al. 2018) where they are a discriminator's."""
    maps = zip(found, wanted, weights, strict=True)
    return torch.stack([weight * F.l1_loss(a, b) for a, b, weight in maps]).sum()


def generator_loss(generated: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Mean (1 − D(generated))² (Mao et al. 2017)."""
    return (1 - generated).square().mean()


def discriminator_loss(real: Float[Tensor, "b 1 h w"], generated: Float[Tensor, "b 1 h w"]) -> Float[Tensor, ""]:
    """Mean (1 − D(real))² + D(generated)² (Mao et al. 2017)."""
    return ((1 - real).square() + generated.square()).mean()
