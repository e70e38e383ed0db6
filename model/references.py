"""The frame of a driver that its motion is relative to."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from model.data import CLIPS_KEPT, FrameStore
from model.kinds import Reference
from model.landmarks import hull_area
from preprocessing.detectors.points import as_ibug

At = tuple[str, int]
"""A frame: its sample's key and its number there."""


class References:
    """The reference frames of the clips in ``store``: of all of a clip's samples there but those trained on."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store
        self._shapes = lru_cache(CLIPS_KEPT)(self._shapes_of)

    def frame(self, reference: Reference, source: Float[np.ndarray, "points 3"], clip: str) -> At:
        """The frame of the driver's ``clip`` that is taken as ``reference``; ``source`` are the source's landmarks."""
        if reference == "neutral":
            return self.store.neutral_frames(clip, 1)[0]
        if reference == "first":
            return self._held_out(clip)[0], 0
        return self.best(source, clip)

    def best(self, source: Float[np.ndarray, "points 3"], clip: str) -> At:
        """The frame whose 68 landmarks, freed of place and size, are nearest to the source's.

        As ``find_best_frame`` of FOMM's public demo, with the shards' landmarks; the earlier of two equal frames.
        """
        frames, shapes = self._shapes(clip)
        distances = np.square(shapes - freed(as_ibug(source))).sum((1, 2))
        return frames[int(distances.argmin())]

    def _held_out(self, clip: str) -> list[str]:
        """The clip's samples that were not trained on, in their order."""
        samples = self.store.clips.samples.items()
        return sorted(key for key, sample in samples if sample.clip == clip and sample.split != "train")

    def _shapes_of(self, clip: str) -> tuple[list[At], Float[np.ndarray, "n 68 2"]]:
        keys = self._held_out(clip)
        landmarks = {key: as_ibug(self.store.clips[key].landmarks) for key in keys}
        frames = [(key, index) for key in keys for index in range(len(landmarks[key]))]
        return frames, np.stack([freed(landmarks[key][index]) for key, index in frames])


def freed(landmarks: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 2"]:
    """Landmarks in the picture's plane around their mean, in units of the square root of their hull's area."""
    points = landmarks[:, :2].astype(np.float64)
    points -= points.mean(0)
    return points / np.sqrt(hull_area(points))
