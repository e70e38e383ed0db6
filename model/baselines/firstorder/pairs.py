"""The stream of training pairs of the first-order family: two frames of one clip.

A batch is a pure function of (seed, step, part), as PlaneDict's are (:mod:`model.training.pairs`).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.baselines.firstorder.augmentation import draw_flips, jittered
from model.baselines.firstorder.settings import FirstOrderTraining
from model.data import FrameStore
from model.training.pairs import ClipSampler
from preprocessing.cameras import flip_camera


class FramePairs(NamedTuple):
    """One micro-batch: frames in [0, 1] on black, row by row of one clip, and their camera labels."""

    sources: Float[Tensor, "b 3 r r"]
    driving: Float[Tensor, "b 3 r r"]
    source_labels: Float[Tensor, "b 25"]
    driving_labels: Float[Tensor, "b 25"]
    step: int
    clips: list[str]

    def to(self, device: torch.device) -> "FramePairs":
        """The batch with its tensors on ``device``."""
        tensors = {name: value for name, value in self._asdict().items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return self._replace(**moved)


class FramePairSampler(ClipSampler):
    """Pairs as FOMM draws them: a person, a random clip of theirs, two random frames of it, the earlier the source.

    Both may be the same frame. People come in shuffled rounds, pairs are augmented as the settings say.
    """

    def __init__(self, store: FrameStore, settings: FirstOrderTraining, seed: int) -> None:
        super().__init__(store, settings.people, seed)
        self.settings = settings

    def batch(self, step: int, part: int = 0) -> FramePairs:
        """The pairs of one step; ``part`` counts what devices and accumulation add."""
        rng = np.random.default_rng([self.seed, step, part])
        people = self.draw_people(self.settings.batch_size, rng)
        clips = [str(rng.choice(self.people[person])) for person in people]
        pairs = [self._pair(clip, rng) for clip in clips]
        images = torch.from_numpy(np.stack([frames for frames, _ in pairs])).permute(1, 0, 4, 2, 3).float() / 255
        labels = torch.from_numpy(np.stack([cameras for _, cameras in pairs], axis=1))
        return FramePairs(images[0].contiguous(), images[1].contiguous(), labels[0], labels[1], step, clips)

    def _pair(self, clip: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two frames [2, r, r, 3] uint8 of a clip, source first, and their camera labels [2, 25], augmented."""
        augmentation = self.settings.augmentation
        wanted = [self.frame(clip, int(number)) for number in np.sort(rng.integers(self.length(clip), size=2))]
        frames, labels = self.store.images(wanted), self.store.labels(wanted).numpy()
        if augmentation.flip:
            swapped, mirrored = draw_flips(rng)
            if swapped:
                frames, labels = frames[::-1], labels[::-1]
            if mirrored:
                frames, labels = frames[:, :, ::-1], flip_camera(labels)
        return jittered(frames, augmentation, rng), labels
