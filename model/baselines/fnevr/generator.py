"""FNeVR's generator: FOMM's warped features, what volume rendering makes of them, and a decoder that sees both."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.baselines.firstorder.generator import WarpingEncoder
from model.baselines.firstorder.network import Generated, Keypoints
from model.baselines.fnevr.decoder import SpadeDecoder
from model.baselines.fnevr.render import RenderModel
from model.baselines.fnevr.settings import FnevrModel


class FnevrGenerator(WarpingEncoder):
    """Encoder and dense motion are FOMM's. State-dict keys are those of the public checkpoint."""

    def __init__(self, settings: FnevrModel) -> None:
        params = settings.generator_params
        super().__init__(settings.common_params, params, settings.align_corners)
        self.Render_model = RenderModel(params.features, params.render_params)
        self.decoder = SpadeDecoder(params.features + params.render_params.render_channels, params.spade_params)

    def forward(self, source_image: Float[Tensor, "b 3 r r"], kp_driving: Keypoints, kp_source: Keypoints) -> Generated:
        """``source_image`` [0, 1] moved from its keypoints to the driving ones; ``render`` is in [0.5, 1)."""
        features, motion, deformed = self.warped(source_image, kp_driving, kp_source)
        rendered = self.Render_model(features)
        prediction = self.decoder(torch.cat([features, rendered.features], dim=1))
        return Generated(prediction, deformed, motion.mask, motion.occlusion_map, rendered.picture)
