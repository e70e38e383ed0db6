"""Spatially-adaptive normalisation (SPADE, Park et al., CVPR 2019), as the decoders of DaGAN and FNeVR use it."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Spade(nn.Module):
    """Instance normalisation whose scale 1 + γ and shift β are maps that two convolutions read off a label map.

    ``label_channels`` and ``hidden`` are the channels of the label map and of what γ and β share.
    """

    def __init__(self, channels: int, label_channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"], label: Float[Tensor, "b l H W"]) -> Float[Tensor, "b c h w"]:
        """``x`` modulated by ``label``, of which nearest neighbours are taken where sizes differ."""
        shared = self.mlp_shared(F.interpolate(label, x.shape[2:]))
        return F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
