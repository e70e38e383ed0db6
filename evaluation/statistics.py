"""Means and differences of means with 95 % bootstrap intervals over clips, or blocks of frames where clips are few.

The intervals are percentile intervals of a cluster bootstrap (Efron and Tibshirani 1993, chapters 8 and 13): images of
one clip resemble each other, so whole clips are drawn.
"""

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


@dataclass(frozen=True)
class Difference(Interval):
    """A mean difference of pairs with its interval and its two-sided p (None where the interval is None)."""

    p: float | None = None


def resampling_units(clips: Sequence[str], blocks: Sequence[str]) -> tuple[list[str], str]:
    """The unit of each row, an image, and what is drawn in words: clips from ten on, below that blocks of 25 frames.

    A block holds the images whose drivers come from the same stretch, often one alone. Fewer than two blocks leave
    single images to resample, which the description says.
    """
    images, number = f"{len(clips)} image{'s' if len(clips) != 1 else ''}", len(set(clips))
    if number >= FEW_CLIPS or (number > 1 and list(clips) == list(blocks)):
        return list(clips), f"{images} of {number} clips"
    if len(set(blocks)) < 2:
        return [f"{index:06d}" for index in range(len(clips))], f"{images} of one block, each by itself"
    few = f"{number} clip{'s' if number != 1 else ''}"
    return list(blocks), f"{images} in {len(set(blocks))} blocks (stretches of {BLOCK_FRAMES} driver frames, {few})"


def mean_interval(
    values: Sequence[float], clips: Sequence[str], blocks: Sequence[str], samples: int, seed: int = 0
) -> Interval:
    """Mean of ``values`` and the percentile interval from resampling whole clips (or blocks) with replacement."""
    mean, means, _, description = _resampled(values, clips, blocks, samples, seed)
    if means is None:
        return Interval(mean, None, None, description)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(mean, float(low), float(high), description)


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    clips: Sequence[str],
    blocks: Sequence[str],
    samples: int,
    seed: int = 0,
) -> Difference:
    """Mean of ``first − second``, two methods' scores of the same pairs, with interval and p (paired bootstrap).

    The units are those of :func:`mean_interval`. p is twice the smaller share of resampled means on either side of
    zero, the measured sample counted as one more resample, so that p is never 0 and at least 2 / (samples + 1). With n
    units it is at least 2 / 2ⁿ, the chance that n differences without a tendency all have one sign: resampling two or
    three units that agree never crosses zero, which says little. So fewer than six units never reach .05.
    """
    differences = np.subtract(first, second, dtype=np.float64)
    mean, means, units, description = _resampled(differences.tolist(), clips, blocks, samples, seed)
    if means is None:
        return Difference(mean, None, None, description)
    low, high = np.percentile(means, [2.5, 97.5])
    rarer = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    p = min(1.0, max(2.0 * (rarer + 1) / (samples + 1), 2.0 ** (1 - units)))
    return Difference(mean, float(low), float(high), description, p)


def _resampled(
    values: Sequence[float], clips: Sequence[str], blocks: Sequence[str], samples: int, seed: int
) -> tuple[float, NDArray[np.float64] | None, int, str]:
    """Mean, means of ``samples`` draws of whole units (None below two units), the units' number, and them in words."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise ValueError("no values to average")
    units, description = resampling_units(clips, blocks)
    _, index = np.unique(np.asarray(units, dtype=object).astype(str), return_inverse=True)
    sums, counts = np.bincount(index, weights=numbers), np.bincount(index)
    mean = float(numbers.mean())
    if len(counts) < 2 or not np.isfinite(mean):
        return mean, None, len(counts), description
    drawn = np.random.default_rng(seed).integers(0, len(counts), size=(samples, len(counts)))
    return mean, sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), len(counts), description


def holm(p: Sequence[float]) -> list[float]:
    """p values of one family, adjusted by Holm (1979): reject those that stay at or below the level.

    The family's chance of any false rejection is then at most the level, whatever the dependence.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


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
