"""StyleGAN2's mapping network: latents and labels → styles, with the public release's conventions and names."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.decoder import EqualizedLinear
from model.stylegan2 import leaky


def normalize_2nd_moment(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Rows scaled to unit root mean square."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


class MappingNetwork(nn.Module):
    """Latent z and label c, each normalised, through fully connected layers ``fc0`` … with a small learning rate.

    ``z_dim`` or ``c_dim`` may be 0 for none; with ``num_ws`` the style is repeated [b, num_ws, w_dim]. The running
    mean of styles, which the release keeps for truncation, has no use here: nothing samples from z.
    """

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None = None,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws, self.num_layers = z_dim, c_dim, num_ws, num_layers
        if c_dim:
            self.embed = EqualizedLinear(c_dim, w_dim)
        for index in range(num_layers):
            inputs = w_dim if index else z_dim + (w_dim if c_dim else 0)
            self.add_module(f"fc{index}", EqualizedLinear(inputs, w_dim, lr_multiplier))

    def forward(
        self, z: Float[Tensor, "b z"] | None, c: Float[Tensor, "b c"] | None
    ) -> Float[Tensor, "b w"] | Float[Tensor, "b n w"]:
        parts = []
        if self.z_dim:
            assert z is not None
            parts.append(normalize_2nd_moment(z))
        if self.c_dim:
            assert c is not None
            parts.append(normalize_2nd_moment(self.embed(c)))
        x = torch.cat(parts, dim=1)
        for index in range(self.num_layers):
            x = leaky(self.get_submodule(f"fc{index}")(x))
        return x if self.num_ws is None else x[:, None].expand(-1, self.num_ws, -1)
