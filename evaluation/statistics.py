"""Means with 95 % bootstrap intervals over clips, or over blocks of frames where clips are few."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEW_CLIPS = 10
"""Below this many test clips, intervals are taken over blocks of :data:`BLOCK_FRAMES` frames instead of clips."""
BLOCK_FRAMES = 25
SET_SAMPLES = 100  # resamples of a set-level distance, each of which costs a decomposition


@dataclass(frozen=True)
class Interval:
    """A mean, its 95 % interval (None where there is only one unit to resample) and what was resampled."""

    value: float
    low: float | None
    high: float | None
    units: str


def resampling_units(clips: Sequence[str], blocks: Sequence[str]) -> tuple[list[str], str]:
    """The unit of each row and its description: clips from ten clips on, below that blocks of 25 frames.

    Fewer than two blocks leave single frames to resample, which the description says.
    """
    number = len(set(clips))
    if number >= FEW_CLIPS or (number > 1 and list(clips) == list(blocks)):
        return list(clips), f"{number} clips"
    if len(set(blocks)) < 2:
        return [f"{index:06d}" for index in range(len(clips))], f"{len(clips)} single frames of one block"
    few = f"{number} clip{'s' if number != 1 else ''}"
    return list(blocks), f"{len(set(blocks))} blocks of {BLOCK_FRAMES} frames ({few})"


def mean_interval(
    values: Sequence[float], clips: Sequence[str], blocks: Sequence[str], samples: int, seed: int = 0
) -> Interval:
    """Mean of ``values`` and the percentile interval from resampling whole clips (or blocks) with replacement."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise ValueError("no values to average")
    units, description = resampling_units(clips, blocks)
    _, index = np.unique(np.asarray(units, dtype=object).astype(str), return_inverse=True)
    sums, counts = np.bincount(index, weights=numbers), np.bincount(index)
    mean = float(numbers.mean())
    if len(counts) < 2 or not np.isfinite(mean):
        return Interval(mean, None, None, description)
    drawn = np.random.default_rng(seed).integers(0, len(counts), size=(samples, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(mean, float(low), float(high), description)


def set_interval(
    distance: Callable[[NDArray[np.floating], NDArray[np.floating]], float],
    real: NDArray[np.floating],
    generated: NDArray[np.floating],
    clips: Sequence[str],
    blocks: Sequence[str],
    seed: int = 0,
) -> Interval:
    """Distance of two sets of features [N, D], [M, D] and its interval from resampling the generated set's units.

    Resamples repeat images, which biases a Fréchet distance upwards; the interval is the resamples' spread moved to
    the measured value. ``clips`` and ``blocks`` belong to the generated images.
    """
    value = distance(real, generated)
    units, description = resampling_units(clips, blocks)
    names, index = np.unique(np.asarray(units, dtype=object).astype(str), return_inverse=True)
    members = [np.flatnonzero(index == i) for i in range(len(names))]
    if len(members) < 2:
        return Interval(value, None, None, description)
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(SET_SAMPLES):
        chosen = np.concatenate([members[i] for i in generator.integers(0, len(members), size=len(members))])
        if len(chosen) > 1:
            draws.append(distance(real, generated[chosen]))
    spread = np.percentile(np.asarray(draws) - np.mean(draws), [2.5, 97.5])
    return Interval(value, max(0.0, value + float(spread[0])), value + float(spread[1]), description)
