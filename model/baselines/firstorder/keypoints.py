"""FOMM's keypoint detector: where the parts of a face are, and how motion varies around them (FOMM, section 3.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.baselines.firstorder.blocks import AntiAlias, Hourglass, coordinate_grid
from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.settings import CommonParams, KpDetectorParams


class KpDetector(nn.Module):
    """An hourglass on the reduced image, a map for every keypoint and, where estimated, four for its Jacobian.

    ``channels`` of the image are three, or four where disparity is one of them (DaGAN). As in FOMM the maps' 7 × 7
    convolutions have no padding, and coordinates are those of the smaller maps, without a correction for the border.
    """

    def __init__(self, common: CommonParams, params: KpDetectorParams, channels: int) -> None:
        super().__init__()
        self.temperature = params.temperature
        self.down = AntiAlias(channels, params.scale_factor) if params.scale_factor != 1 else nn.Identity()
        self.predictor = Hourglass(params.block_expansion, channels, params.num_blocks, params.max_features)
        self.kp = nn.Conv2d(self.predictor.outputs, common.num_kp, 7)
        self.jacobian: nn.Conv2d | None = None
        if common.estimate_jacobian:
            self.jacobian = nn.Conv2d(self.predictor.outputs, 4 * common.num_kp, 7)
            nn.init.zeros_(self.jacobian.weight)
            self.jacobian.bias = nn.Parameter(torch.eye(2).flatten().repeat(common.num_kp))

    def forward(self, image: Float[Tensor, "b c r r"]) -> Keypoints:
        """Keypoints of ``image``, in [0, 1]; always in the precision of the weights, also under autocast."""
        features = self.predictor(self.down(image))
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.kp.weight.dtype)
            logits = self.kp(features)
            heat = (logits.flatten(2) / self.temperature).softmax(-1)[..., None]  # [b, k, n, 1]
            height, width = logits.shape[2:]
            value = (heat * coordinate_grid(height, width, logits).flatten(0, 1)).sum(2)
            if self.jacobian is None:
                return Keypoints(value, None)
            maps = self.jacobian(features).flatten(2).unflatten(1, (-1, 4)).transpose(2, 3)  # [b, k, n, 4]
            return Keypoints(value, (heat * maps).sum(2).unflatten(-1, (2, 2)))
