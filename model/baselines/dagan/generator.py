"""DaGAN's generators: FOMM's encoder and motion, attention between depth and features, and one of two decoders."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.dagan.settings import NARROWING, SpadeParams
from model.baselines.firstorder.blocks import DownBlock, SameBlock, resized_like
from model.baselines.firstorder.generator import OcclusionAwareGenerator, Warped, WarpingEncoder
from model.baselines.firstorder.network import Generated, Keypoints
from model.baselines.firstorder.settings import CommonParams, GeneratorParams
from model.baselines.firstorder.spade import Spade

SLOPE = 0.2
"""Of the leaky ReLUs."""


class DepthAwareAttention(nn.Module):
    """Features gathered from where the depth's features ask for them (DaGAN, section 3.3).

    Queries from depth, keys and values from the features, all behind ReLU. As in the authors' code the products are not
    divided by the square root of their channels. ``gamma`` weighs what is gathered and starts at 0.

    Written out: a fused kernel sums in another order, which SPADE's normalisation can magnify to 1e-3 in the picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels // NARROWING, 1)
        self.key_conv = nn.Conv2d(channels, channels // NARROWING, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, depth: Float[Tensor, "b c h w"], features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        query = F.relu(self.query_conv(depth)).flatten(2)
        key, value = F.relu(self.key_conv(features)).flatten(2), F.relu(self.value_conv(features)).flatten(2)
        shares = (query.transpose(1, 2) @ key).softmax(-1)  # [b, asking, asked]
        gathered = value @ shares.transpose(1, 2)
        return self.gamma * gathered.view_as(features) + features


class DepthWarpingEncoder(WarpingEncoder):
    """FOMM's encoder and motion, the source's disparity encoded as its picture is, and the attention between both."""

    def __init__(self, common: CommonParams, params: GeneratorParams, align_corners: bool) -> None:
        super().__init__(common, params, align_corners)
        self.src_first = SameBlock(1, self.widths[0], kernel=7)
        self.src_down_blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(self.widths))
        self.AttnModule = DepthAwareAttention(self.widths[-1])

    def attended(
        self,
        source_image: Float[Tensor, "b 3 r r"],
        kp_driving: Keypoints,
        kp_source: Keypoints,
        source_depth: Float[Tensor, "b 1 r r"],
    ) -> Warped:
        """The source's features after the attention, and its picture, moved from its keypoints to the driving ones.

        The disparity's features are not warped. The driver's disparity takes no part but in its keypoints.
        """
        depth = self.src_first(source_depth)
        for block in self.src_down_blocks:
            depth = block(depth)
        warped = self.warped(source_image, kp_driving, kp_source)
        return warped._replace(features=self.AttnModule(depth, warped.features))


class DepthAwareGenerator(DepthWarpingEncoder, OcclusionAwareGenerator):
    """The paper's: FOMM's decoder behind the attention."""

    def forward(  # type: ignore[override]  # FOMM's has no depth
        self,
        source_image: Float[Tensor, "b 3 r r"],
        kp_driving: Keypoints,
        kp_source: Keypoints,
        source_depth: Float[Tensor, "b 1 r r"],
    ) -> Generated:
        """``source_image`` [0, 1] with disparity [0, 1] moved from its keypoints to the driving ones."""
        features, motion, deformed = self.attended(source_image, kp_driving, kp_source, source_depth)
        return Generated(self.draw(features), deformed, motion.mask, motion.occlusion_map)


class SpadeBlock(nn.Module):
    """SPADE's residual block (Park et al., CVPR 2019): twice modulation, leaky ReLU, convolution of spectral norm 1.

    Where the channels change, the shortcut is modulated and convolved too.
    """

    def __init__(self, inputs: int, outputs: int, label_channels: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        # The older of torch's two spectral normalisations has the public checkpoints' names.
        self.conv_0 = nn.utils.spectral_norm(nn.Conv2d(inputs, middle, 3, padding=1))
        self.conv_1 = nn.utils.spectral_norm(nn.Conv2d(middle, outputs, 3, padding=1))
        self.norm_0, self.norm_1 = Spade(inputs, label_channels, hidden), Spade(middle, label_channels, hidden)
        self.projects = inputs != outputs
        if self.projects:
            self.conv_s = nn.utils.spectral_norm(nn.Conv2d(inputs, outputs, 1, bias=False))
            self.norm_s = Spade(inputs, label_channels, hidden)

    def forward(self, x: Float[Tensor, "b i h w"], label: Float[Tensor, "b l H W"]) -> Float[Tensor, "b o h w"]:
        shortcut = self.conv_s(self.norm_s(x, label)) if self.projects else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, label), SLOPE))
        return shortcut + self.conv_1(F.leaky_relu(self.norm_1(x, label), SLOPE))


class SpadeDecoder(nn.Module):
    """Features → picture of four times their size, modulated by a few channels of them and by the warped source."""

    def __init__(self, features: int, params: SpadeParams) -> None:
        super().__init__()
        self.compress = nn.Conv2d(features, params.compress, 3, padding=1)
        self.fc = nn.Conv2d(features, params.fc, 3, padding=1)
        conditions = (params.compress + 3, params.hidden)
        self.G_middle_0 = SpadeBlock(params.fc, params.fc, *conditions)
        self.G_middle_1 = SpadeBlock(params.fc, params.fc, *conditions)
        self.G_middle_2 = SpadeBlock(params.fc, params.fc, *conditions)
        self.up_0 = SpadeBlock(params.fc, params.up, *conditions)
        self.up_1 = SpadeBlock(params.up, params.out, *conditions)
        self.conv_img = nn.Conv2d(params.out, 3, 3, padding=1)

    def forward(self, features: Float[Tensor, "b f s s"], warped: Float[Tensor, "b 3 r r"]) -> Float[Tensor, "b 3 r r"]:
        label = torch.cat([F.interpolate(self.compress(features), warped.shape[2:]), warped], dim=1)
        x = self.fc(features)
        for block in (self.G_middle_0, self.G_middle_1, self.G_middle_2):
            x = block(x, label)
        for block in (self.up_0, self.up_1):
            x = block(F.interpolate(x, scale_factor=2.0), label)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))


class SpadeDepthAwareGenerator(DepthWarpingEncoder):
    """The authors' second, published with their code: a SPADE decoder behind the attention."""

    def __init__(self, common: CommonParams, params: GeneratorParams, spade: SpadeParams, align_corners: bool) -> None:
        super().__init__(common, params, align_corners)
        self.decoder = SpadeDecoder(self.widths[-1], spade)

    def forward(
        self,
        source_image: Float[Tensor, "b 3 r r"],
        kp_driving: Keypoints,
        kp_source: Keypoints,
        source_depth: Float[Tensor, "b 1 r r"],
    ) -> Generated:
        """``source_image`` [0, 1] with disparity [0, 1] moved from its keypoints to the driving ones."""
        features, motion, deformed = self.attended(source_image, kp_driving, kp_source, source_depth)
        visible = deformed
        if motion.occlusion_map is not None:
            # As in the authors' code the map that was made the features' size is what is resized.
            visible = deformed * resized_like(resized_like(motion.occlusion_map, features), deformed)
        return Generated(self.decoder(features, visible), deformed, motion.mask, motion.occlusion_map)
