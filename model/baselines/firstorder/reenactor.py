"""A trained method of the first-order family as evaluation and users drive it."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.baselines.firstorder.network import FirstOrderNetwork, Keypoints, View
from model.baselines.firstorder.relative import relative_keypoints
from model.data import Frames, to_images
from model.kinds import Kind
from model.method import Reenactor

BATCH = 4
"""Frames made at once: enough to amortise overhead, little memory."""


class FirstOrderReenactor(Reenactor[View]):
    """Moves the source's keypoints to the driver's (``absolute``) or as the driver's moved (``relative…``)."""

    def __init__(self, kind: Kind, network: FirstOrderNetwork, output: str) -> None:
        """``output``: "prediction", the generator's picture, or "deformed", the source warped by the motion alone."""
        self.kind, self.network, self.output = kind, network.eval(), output
        self.frames = network.settings.frames
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def encode(self, source: Frames) -> View:
        """The source's picture in [0, 1], keypoints and, where the method has it, depth."""
        return self._view(source.images)

    @torch.inference_mode()
    def drive(self, source: View, driving: Frames, reference: Frames, motion: str) -> UInt8[np.ndarray, "n r r 3"]:
        if not len(driving.images):
            return np.zeros((0, self.frames.side, self.frames.side, 3), np.uint8)
        initial = None if motion == "absolute" else self._view(reference.images).keypoints
        return np.concatenate([self._moved(source, part, initial) for part in driving.images.split(BATCH)])

    def _moved(
        self, source: View, images: Float[Tensor, "b 3 r r"], initial: Keypoints | None
    ) -> UInt8[np.ndarray, "b r r 3"]:
        keypoints = self._view(images).keypoints
        if initial is not None:
            keypoints = relative_keypoints(
                source.keypoints, keypoints, initial, self.network.settings.adapt_movement_scale
            )
        generated = self.network.generate(_repeated(source, len(images)), keypoints)
        return to_images(getattr(generated, self.output) * 2 - 1)

    def _view(self, images: Float[Tensor, "b 3 r r"]) -> View:
        return self.network.view((images.to(self.device) + 1) / 2)


def _repeated(view: View, count: int) -> View:
    """A view of one frame as a batch of ``count``."""
    image, (value, jacobian), depth = view
    keypoints = Keypoints(value.expand(count, -1, -1), None if jacobian is None else jacobian.expand(count, -1, -1, -1))
    return View(image.expand(count, -1, -1, -1), keypoints, None if depth is None else depth.expand(count, -1, -1, -1))
