"""FNeVR's decoder: SPADE blocks that modulate the features by a label map made from the same features."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.spade import Spade
from model.baselines.fnevr.settings import SpadeParams


class SpadeBlock(nn.Module):
    """Twice :class:`Spade`, ReLU, convolution; no skip."""

    def __init__(self, inputs: int, outputs: int, params: SpadeParams) -> None:
        super().__init__()
        labels, hidden = params.label_channels, params.hidden_channels
        self.SPADE_0 = Spade(inputs, labels, hidden)
        self.conv_0 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.SPADE_1 = Spade(inputs, labels, hidden)
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "b i h w"], label: Float[Tensor, "b l H W"]) -> Float[Tensor, "b o h w"]:
        x = self.conv_0(F.relu(self.SPADE_0(x, label)))
        return self.conv_1(F.relu(self.SPADE_1(x, label)))


def doubled(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c H W"]:
    """Twice the size, bilinearly, corner pixels staying corners."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


class SpadeDecoder(nn.Module):
    """Features [b, inputs, h, w] → picture in [0, 1] at four times their size; channels are quartered twice."""

    def __init__(self, inputs: int, params: SpadeParams) -> None:
        super().__init__()
        middle, last = inputs // 4, inputs // 4 // 4
        self.seg_conv = nn.Sequential(nn.Conv2d(inputs, params.label_channels, 3, padding=1), nn.ReLU())
        self.SPADE_0 = SpadeBlock(inputs, middle, params)
        self.SPADE_1 = SpadeBlock(middle, last, params)
        self.SPADE_2 = SpadeBlock(last, last, params)
        self.SPADE_3 = SpadeBlock(last, last, params)
        self.final = nn.Sequential(nn.Conv2d(last, 3, 7, padding=3), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b 3 r r"]:
        label = self.seg_conv(x)
        x = doubled(self.SPADE_0(x, label))
        x = doubled(self.SPADE_1(x, label))
        picture: Tensor = self.final(self.SPADE_3(self.SPADE_2(x, label), label))
        return picture
