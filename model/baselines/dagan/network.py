"""DaGAN's network: FOMM's with a network that estimates disparity, which keypoints and generator see."""

import torch
from jaxtyping import Float
from torch import Tensor

from model.baselines.dagan.depth import DepthNetwork
from model.baselines.dagan.generator import DepthAwareGenerator, SpadeDepthAwareGenerator
from model.baselines.dagan.settings import DaganModel
from model.baselines.firstorder.keypoints import KpDetector
from model.baselines.firstorder.network import FirstOrderNetwork, Generated, Keypoints, View

NO_DEPTH = 0.5
"""The disparity where there is no depth network."""


class DaganNetwork(FirstOrderNetwork):
    """Keypoints of RGB and disparity, and a generator that attends to where the source's disparity points.

    The depth network, where there is one, is frozen to the rest: it gets no gradient from it, and ``train`` leaves it
    in evaluation mode.
    """

    settings: DaganModel

    def __init__(self, settings: DaganModel) -> None:
        common, params, align_corners = settings.common_params, settings.generator_params, settings.align_corners
        detector = KpDetector(common, settings.kp_detector_params, settings.kp_num_channels)
        generator: DepthAwareGenerator | SpadeDepthAwareGenerator
        if settings.generator == "spade":
            generator = SpadeDepthAwareGenerator(common, params, settings.spade, align_corners)
        else:
            generator = DepthAwareGenerator(common, params, align_corners)
        super().__init__(settings, detector, generator)
        self.depth = None if settings.depth is None else DepthNetwork(settings.depth)

    def train(self, mode: bool = True) -> "DaganNetwork":
        super().train(mode)
        if self.depth is not None:
            self.depth.eval()
        return self

    @torch.no_grad()
    def disparity(self, image: Float[Tensor, "b 3 r r"]) -> Float[Tensor, "b 1 r r"]:
        """What the depth network makes of pictures in [0, 1]; :data:`NO_DEPTH` without one."""
        if self.depth is None:
            return torch.full_like(image[:, :1], NO_DEPTH)
        disparity: Tensor = self.depth(image)[0]
        return disparity

    def view(self, image: Float[Tensor, "b 3 r r"], depth: Float[Tensor, "b 1 r r"] | None = None) -> View:
        """A frame with its keypoints and its disparity, which is estimated unless ``depth`` gives it."""
        if depth is None:
            depth = self.disparity(image)
        return View(image, self.kp_detector(torch.cat([image, depth], dim=1)), depth)

    def generate(self, source: View, driving: Keypoints) -> Generated:
        generated: Generated = self.generator(source.image, driving, source.keypoints, source.depth)
        return generated
