"""FOMM's generator: the source's features warped by the dense motion, and a picture drawn from them."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.baselines.firstorder.blocks import DownBlock, ResBlock, SameBlock, UpBlock, resized_like, warp
from model.baselines.firstorder.dense_motion import DenseMotionNetwork, Motion
from model.baselines.firstorder.network import Generated, Keypoints
from model.baselines.firstorder.settings import CommonParams, GeneratorParams


class Warped(NamedTuple):
    """What the decoders of the family start from.

    ``features`` of the source, warped and occluded; ``deformed``, the source's picture warped alike, in [0, 1].
    """

    features: Float[Tensor, "b f s s"]
    motion: Motion
    deformed: Float[Tensor, "b 3 r r"]


class WarpingEncoder(nn.Module):
    """What all generators of the family share: an encoder of the source, and the dense motion that moves its features.

    ``widths`` are the channels of the encoder's levels, the features' last.
    """

    def __init__(self, common: CommonParams, params: GeneratorParams, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.dense_motion_network = DenseMotionNetwork(
            common, params.dense_motion_params, params.estimate_occlusion_map, align_corners
        )
        self.widths = [params.block_expansion]
        self.widths += [
            min(params.max_features, params.block_expansion * 2**i) for i in range(1, params.num_down_blocks + 1)
        ]
        self.first = SameBlock(common.num_channels, self.widths[0], kernel=7)
        self.down_blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(self.widths))

    def warped(self, source_image: Float[Tensor, "b 3 r r"], kp_driving: Keypoints, kp_source: Keypoints) -> Warped:
        """The source's features and picture, moved from its keypoints to the driving ones."""
        features = self.first(source_image)
        for block in self.down_blocks:
            features = block(features)
        motion: Motion = self.dense_motion_network(source_image, kp_driving, kp_source)
        features = warp(features, motion.deformation, self.align_corners)
        if motion.occlusion_map is not None:
            features = features * resized_like(motion.occlusion_map, features)
        return Warped(features, motion, warp(source_image, motion.deformation, self.align_corners))


class OcclusionAwareGenerator(WarpingEncoder):
    """FOMM's: residual blocks on the warped features, then upsampling to the picture."""

    def __init__(self, common: CommonParams, params: GeneratorParams, align_corners: bool) -> None:
        super().__init__(common, params, align_corners)
        self.bottleneck = nn.Sequential()
        for i in range(params.num_bottleneck_blocks):
            self.bottleneck.add_module(f"r{i}", ResBlock(self.widths[-1]))
        rising = self.widths[::-1]
        self.up_blocks = nn.ModuleList(UpBlock(a, b) for a, b in pairwise(rising))
        self.final = nn.Conv2d(self.widths[0], common.num_channels, 7, padding=3)

    def draw(self, features: Float[Tensor, "b f s s"]) -> Float[Tensor, "b 3 r r"]:
        """The picture, in [0, 1], of warped features."""
        features = self.bottleneck(features)
        for block in self.up_blocks:
            features = block(features)
        return torch.sigmoid(self.final(features))

    def forward(self, source_image: Float[Tensor, "b 3 r r"], kp_driving: Keypoints, kp_source: Keypoints) -> Generated:
        """``source_image`` [0, 1] moved from its keypoints to the driving ones."""
        features, motion, deformed = self.warped(source_image, kp_driving, kp_source)
        return Generated(self.draw(features), deformed, motion.mask, motion.occlusion_map)
