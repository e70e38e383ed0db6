"""Super-resolution of the rendered features: two StyleGAN-modulated blocks (EG3D's ``SuperresolutionHybrid4X``)."""

from jaxtyping import Float
from torch import Tensor, nn

from model.stylegan2 import SynthesisBlock, resized


class SuperResolution(nn.Module):
    """Features at half the output's size → image; block 0 keeps the size, block 1 doubles it.

    Inputs of another size are first resized (bilinear, antialiased). The defaults are the paper's 128² → 256².
    """

    def __init__(
        self, in_channels: int = 32, w_dim: int = 512, resolution: int = 256, channels: tuple[int, int] = (128, 64)
    ) -> None:
        super().__init__()
        self.input_resolution = resolution // 2
        self.block0 = SynthesisBlock(in_channels, channels[0], w_dim, resolution // 2, img_channels=3, up=1)
        self.block1 = SynthesisBlock(channels[0], channels[1], w_dim, resolution, img_channels=3, up=2)

    def forward(
        self, rgb: Float[Tensor, "b 3 s s"], features: Float[Tensor, "b c s s"], w: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b 3 r r"]:
        styles = w[:, None].expand(-1, 3, -1)
        if features.shape[-1] != self.input_resolution:
            features, rgb = (resized(x, self.input_resolution) for x in (features, rgb))
        x, image = self.block0(features, rgb, styles, "none")
        return self.block1(x, image, styles, "none")[1]
