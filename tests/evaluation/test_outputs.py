"""Choosing the real set and reading inputs at the generated frames' size."""

import numpy as np

from evaluation.outputs import Inputs, held_out_frames
from preprocessing.reader import Sample


def sample(clip: str, frames: int, split: str = "test", tube: int = 0) -> Sample:
    return Sample(f"{clip}_{tube:02d}", clip, clip, split, frames, 25.0, "00000", "tiny")


def test_held_out_frames_are_shared_among_clips():
    samples = [sample("a", 5), sample("b", 100), sample("c", 60), sample("c", 60, tube=1), sample("d", 99, "train")]
    chosen = held_out_frames(samples, 45)
    assert len(chosen) == len(set(chosen)) == 45
    per_clip = {clip: sum(key.startswith(clip) for key, _ in chosen) for clip in "abcd"}
    assert per_clip == {"a": 5, "b": 20, "c": 20, "d": 0}
    assert held_out_frames([], 9) == [] and len(held_out_frames([sample("a", 3)], 9)) == 3


def test_inputs_are_black_where_the_mask_is_background():
    class Shards:
        samples = [sample("a", 1)]  # noqa: RUF012

        def frames(self, key, indices):
            return np.full((len(indices), 8, 8, 3), 200, np.uint8)

        def masks(self, key, indices):
            mask = np.zeros((len(indices), 8, 8), np.uint8)
            mask[:, :, 4:] = 3
            return mask

    picture = Inputs(Shards(), 4).picture("a_00", 0)
    assert picture.shape == (4, 4, 3) and (picture[:, :2] == 0).all() and (picture[:, 2:] == 200).all()
