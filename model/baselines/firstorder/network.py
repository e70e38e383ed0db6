"""The network of a first-order method: a keypoint detector and a generator, with the public checkpoints' names."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from model.baselines.firstorder.settings import FirstOrderModel


class Keypoints(NamedTuple):
    """Keypoints (x, y) in [−1, 1] and the Jacobians of the motion near them, None where none are estimated."""

    value: Float[Tensor, "b k 2"]
    jacobian: Float[Tensor, "b k 2 2"] | None


class View(NamedTuple):
    """A frame as the network sees it: picture in [0, 1], keypoints and, where there is one, disparity in [0, 1]."""

    image: Float[Tensor, "b 3 r r"]
    keypoints: Keypoints
    depth: Float[Tensor, "b 1 r r"] | None = None


class Generated(NamedTuple):
    """What a generator makes.

    ``prediction`` is the re-enacted picture, ``deformed`` the source itself warped by the motion, both in [0, 1];
    ``mask`` says which keypoint (background first) moves a pixel, ``occlusion_map`` what the source shows of it (None
    where it is not estimated). ``render`` is FNeVR's rendered picture.
    """

    prediction: Float[Tensor, "b 3 r r"]
    deformed: Float[Tensor, "b 3 r r"]
    mask: Float[Tensor, "b k1 s s"]
    occlusion_map: Float[Tensor, "b 1 s s"] | None
    render: Float[Tensor, "b 3 r r"] | None = None


class FirstOrderNetwork(nn.Module):
    """Keypoint detector and generator; methods with more to see than a picture override :meth:`view`."""

    def __init__(self, settings: FirstOrderModel, kp_detector: nn.Module, generator: nn.Module) -> None:
        super().__init__()
        self.settings, self.kp_detector, self.generator = settings, kp_detector, generator

    def view(self, image: Float[Tensor, "b 3 r r"], depth: Float[Tensor, "b 1 r r"] | None = None) -> View:
        """A frame with its keypoints; ``depth`` is for methods that use it, which otherwise estimate it."""
        return View(image, self.kp_detector(image))

    def generate(self, source: View, driving: Keypoints) -> Generated:
        """``source`` moved so that its keypoints come to ``driving``."""
        generated: Generated = self.generator(source.image, driving, source.keypoints)
        return generated
