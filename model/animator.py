"""PlaneDict as users drive it: the source's work once, then frames. No training, no files."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.data import to_images
from model.planedict import Output, PlaneDict

BATCH = 4
"""Frames rendered at once: enough to amortise overhead, little memory."""
SPARSE = 0.5
"""Share of cells with something in them, above which looking for empty space takes longer than it saves."""


@dataclass(frozen=True)
class Source:
    """An encoded source: codes and identity planes, batch of one, and whether there is empty space to skip.

    ω_m is None where motion has an encoder of its own.
    """

    identity: Float[Tensor, "1 d"]
    motion: Float[Tensor, "1 m"] | None
    planes: Float[Tensor, "1 c r r"]
    sparse: bool


class Animator:
    """A trained model that animates: encode a source, read motion, render. Everything without gradients."""

    def __init__(self, model: PlaneDict) -> None:
        self.model = model.eval()
        with torch.inference_mode():
            self.bases = model.scaled_bases()

    @torch.inference_mode()
    def source(self, image: Float[Tensor, "1 3 e e"]) -> Source:
        """Encode a source photo (black background, encoder resolution, [−1, 1])."""
        identity, motion = self.model.codes(image)
        return self.encoded(identity, motion, self.model.identity_planes(identity))

    @torch.inference_mode()
    def encoded(self, identity: Tensor, motion: Tensor | None, planes: Float[Tensor, "1 c r r"]) -> Source:
        """A source of these codes and identity planes."""
        still = self.model.planes(planes, torch.zeros_like(planes))
        occupancy = self.model.occupancy(still, self.model.settings.neural_rendering_resolution**2)
        return Source(identity, motion, planes, occupancy is not None and occupancy.share() < SPARSE)

    @torch.inference_mode()
    def motion(
        self, drivers: Float[Tensor, "n c d d"], neutral: Float[Tensor, "1 c d d"] | None = None
    ) -> Float[Tensor, "n m"]:
        """ω_m of driving frames, relative to ``neutral`` (the driver's reference) where the model wants that."""
        codes = torch.cat([self.model.motion_code(part) for part in drivers.split(64)])
        if self.model.settings.relative_codes:
            if neutral is None:
                raise ValueError("this model takes codes relative to a neutral frame of the driver")
            codes = codes - self.model.motion_code(neutral)
        return codes

    @torch.inference_mode()
    def outputs(self, source: Source, motion: Float[Tensor, "n m"], labels: Float[Tensor, "n 25"]) -> Iterator[Output]:
        """Renderings, with depth, of ``source`` with each row's motion from each row's camera, a few at a time."""
        for part, cameras in zip(motion.split(BATCH), labels.split(BATCH), strict=True):
            codes = self.model.driving_code(part, source.motion)
            planes = self.model.planes(source.planes, self.model.motion_planes(codes, self.bases))
            identity = source.identity.expand(len(codes), -1)
            yield self.model.render(planes, cameras, identity, codes, skip_empty=source.sparse)

    def drive(
        self, source: Source, motion: Float[Tensor, "n m"], labels: Float[Tensor, "n 25"]
    ) -> UInt8[np.ndarray, "n r r 3"]:
        """The images of :meth:`outputs`."""
        images = [to_images(output.image) for output in self.outputs(source, motion, labels)]
        side = self.model.settings.resolution
        return np.concatenate(images) if images else np.zeros((0, side, side, 3), np.uint8)
