"""FNeVR's face volume rendering: every pixel of the warped features is a ray through a few floors.

Sizes: b frames of h × w pixels, f floors, e and s channels of a sample's colour and density features.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.blocks import UpBlock
from model.baselines.fnevr.settings import RenderParams


class Rendered(NamedTuple):
    """Features in (0, 1) for the decoder, and a picture in [0.5, 1) at four times their size."""

    features: Float[Tensor, "b c h w"]
    picture: Float[Tensor, "b 3 r r"]


def compositing_weights(sigma: Float[Tensor, "b h w f"]) -> Float[Tensor, "b h w f"]:
    """What each floor adds to its pixel, w_i = exp(−Σ_{j≤i} σ_j) · (1 − exp(−σ_i)) with σ = max(``sigma``, 0).

    NeRF's quadrature (Mildenhall et al., Eq. 3) sums over j < i, the light that *reaches* a sample, and multiplies σ by
    the length of the step. Here the sample dims itself as well and steps have no length, so the weights of an opaque
    ray go to zero rather than add up to one.
    """
    density = sigma.relu()
    return torch.exp(-density.cumsum(-1)) * -torch.expm1(-density)


class ResBlock3d(nn.Module):
    """Pre-activation residual block on a volume: twice batch normalisation, ReLU, convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Float[Tensor, "b s f h w"]) -> Float[Tensor, "b s f h w"]:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class FloorPredictor(nn.Module):
    """Features of every floor, from a convolution whose channels go floor by floor within a feature."""

    def __init__(self, inputs: int, channels: int, floors: int) -> None:
        super().__init__()
        self.floors = floors
        self.down_conv = nn.Conv2d(inputs, channels, 3, padding=1)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e f h w"]:
        return self.down_conv(features).unflatten(1, (-1, self.floors))


class SigmaPredictor(FloorPredictor):
    """Density features: as for colours, then residual blocks that look along the ray and at neighbouring rays.

    Their output is the volume that the authors tie to DECA's vertices in training.
    """

    def __init__(self, inputs: int, channels: int, floors: int) -> None:
        super().__init__(inputs, channels, floors)
        width = channels // floors
        blocks = (part for _ in range(3) for part in (ResBlock3d(width), nn.BatchNorm3d(width)))
        self.res_conv3d = nn.Sequential(*blocks)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b s f h w"]:
        volume: Tensor = self.res_conv3d(super().forward(features))
        return volume


class RadianceField(nn.Module):
    """The layers that turn a sample's features into density and colour, and composite a ray's samples.

    The last layer is linear: it reads the composited hidden units of a ray rather than those of every sample.
    """

    def __init__(self, rgb: int, sigma: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layer1 = nn.Linear(sigma, hidden)
        self.layer2 = nn.Linear(hidden, hidden)
        self.layer3_1 = nn.Linear(hidden, 1)
        self.layer3_2 = nn.Linear(hidden, hidden // 4)
        self.layer3_3 = nn.Linear(rgb, hidden)
        self.layer4 = nn.Linear(hidden // 4 + hidden, hidden)
        self.layer5 = nn.Linear(hidden, hidden)
        self.layer6 = nn.Linear(hidden, outputs)

    def forward(self, rgb: Float[Tensor, "b h w f e"], sigma: Float[Tensor, "b h w f s"]) -> Float[Tensor, "b h w c"]:
        x = F.relu(self.layer2(F.relu(self.layer1(sigma))))
        weights = compositing_weights(self.layer3_1(x).squeeze(-1))
        x = torch.cat([F.relu(self.layer3_2(x)), F.relu(self.layer3_3(rgb))], dim=-1)
        x = F.relu(self.layer5(F.relu(self.layer4(x))))
        ray = (weights.unsqueeze(-2) @ x).squeeze(-2)
        return F.linear(ray, self.layer6.weight) + weights.sum(-1, keepdim=True) * self.layer6.bias


class RenderModel(nn.Module):
    """Face volume rendering: warped features [b, inputs, h, w] → :class:`Rendered`.

    The picture's last block ends in a ReLU before the sigmoid, hence its lower bound of one half.
    """

    def __init__(self, inputs: int, params: RenderParams) -> None:
        super().__init__()
        rgb, sigma, floors = params.simpled_channel_rgb, params.simpled_channel_sigma, params.floor_num
        outputs, mini = params.render_channels, params.mini_channels
        self.rgb_predict = FloorPredictor(inputs, rgb, floors)
        self.sigma_predict = SigmaPredictor(inputs, sigma, floors)
        self.nerf_module = RadianceField(rgb // floors, sigma // floors, params.hidden_size, outputs)
        self.mini_decoder = nn.Sequential(UpBlock(outputs, mini), nn.ReLU(), UpBlock(mini, 3), nn.Sigmoid())

    def forward(self, features: Float[Tensor, "b i h w"]) -> Rendered:
        rgb, sigma = (p(features).permute(0, 3, 4, 2, 1) for p in (self.rgb_predict, self.sigma_predict))
        rendered = self.nerf_module(rgb, sigma).permute(0, 3, 1, 2).sigmoid()
        return Rendered(rendered, self.mini_decoder(rendered))
