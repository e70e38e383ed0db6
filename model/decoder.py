"""The light decoder of the tri-plane: features → density and colour features."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class EqualizedLinear(nn.Module):
    """Linear layer with StyleGAN's equalised learning rate.

    The effective weight is W · lr_multiplier / √fan_in and the effective bias b · lr_multiplier; parameters
    ``weight`` [out, in] and ``bias`` [out].
    """

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1.0, bias_init: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        return F.linear(x, self.weight * self.weight_gain, bias)


class TriplaneDecoder(nn.Module):
    """Linear → softplus → linear (EG3D's ``OSGDecoder``).

    Output 0 is the raw density; the rest are colour features sigmoid(·)·1.002 − 0.001, so in [−0.001, 1.001].
    With ``direction_channels`` the viewing direction is concatenated to the input (paper's text; off in EG3D).
    """

    def __init__(
        self,
        in_channels: int = 32,
        hidden_channels: int = 64,
        out_channels: int = 32,
        lr_multiplier: float = 1.0,
        direction_channels: int = 0,
    ) -> None:
        super().__init__()
        self.fc1 = EqualizedLinear(in_channels + direction_channels, hidden_channels, lr_multiplier)
        self.fc2 = EqualizedLinear(hidden_channels, 1 + out_channels, lr_multiplier)
        self.direction_channels = direction_channels

    def forward(
        self, features: Float[Tensor, "*batch in"], directions: Float[Tensor, "*batch 3"] | None = None
    ) -> tuple[Float[Tensor, "*batch 1"], Float[Tensor, "*batch out"]]:
        if self.direction_channels:
            if directions is None:
                raise ValueError("this decoder was built with view directions and needs them")
            features = torch.cat([features, directions], dim=-1)
        x = self.fc2(F.softplus(self.fc1(features)))
        return x[..., :1], torch.sigmoid(x[..., 1:]) * 1.002 - 0.001
