"""A photo driven by a prepared video through the interface that every kind of method has."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from model.animate.animation import Frame, Timeline
from model.animator import BATCH
from model.data import Frames, FrameStore, resized, to_tensor
from model.kinds import FrameFormat
from model.landmarks import aligned_face, standardised
from model.method import Reenactor
from model.references import References
from preprocessing.prepare import Photo


class DrivenPhoto:
    """The output frames of one photo, driven by the one video in ``store`` with one of the kind's motions.

    The source's work is done once, here; :class:`model.animate.animation.Animation` does the same for PlaneDict, which
    turns cameras besides.
    """

    def __init__(
        self,
        reenactor: Reenactor[Any],
        photo: Photo,
        store: FrameStore,
        times: Float[np.ndarray, "frames"],
        motion: str,
    ) -> None:
        self.reenactor, self.store, self.motion = reenactor, store, motion
        self.timeline = Timeline.of(store, times)
        clip, name = next(iter(store.clips.values())).sample.clip, reenactor.kind.motions[motion]
        self.reference = store.frames([References(store).frame(name, photo.landmarks, clip)])
        self.source = reenactor.encode(photo_frames(photo, reenactor.frames))

    def __len__(self) -> int:
        return len(self.timeline.shown)

    def driver(self, frame: int) -> UInt8[np.ndarray, "s s 3"]:
        """The driving frame, as filmed, that one output frame shows."""
        key, index = self.timeline.shown[frame]
        return self.store.reader.frames(key, [index])[0]

    def frames(self) -> Iterator[Frame]:
        """All output frames in order, without depth, several at a time."""
        for first in range(0, len(self), BATCH):
            driving = self.store.frames(self.timeline.shown[first : first + BATCH])
            for image in self.reenactor.drive(self.source, driving, self.reference, self.motion):
                yield Frame(image)


def photo_frames(photo: Photo, form: FrameFormat) -> Frames:
    """A photo as a store would give it."""
    images = to_tensor(resized(resized(photo.on_black[None], form.side), form.source_side))
    drivers = images
    if form.driver_side is not None:
        aligned = aligned_face(photo.frame, photo.landmarks, form.driver_side)
        drivers = torch.from_numpy(standardised(aligned[None]))[:, None]
    return Frames(images, drivers, torch.from_numpy(photo.camera)[None].float())
