"""Which source meets which driving frame in the three protocols, sampled from the shards' held-out clips.

Pairs depend on the data and on a seed of their own, never on the method or the training seed, so that every method
and every run answers the same questions (docs/metrics.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evaluation.metrics.catalogue import METRICS
from evaluation.outputs import PAIR_COLUMNS, REAL_COLUMNS
from evaluation.settings import ProtocolSettings
from evaluation.statistics import BLOCK_FRAMES, FEW_CLIPS
from preprocessing.reader import Sample
from preprocessing.sources.entries import SPLITS

TRAIN, TEST, UNSEEN = SPLITS
VIEW_OFFSETS = (-0.4, -0.2, 0.0, 0.2, 0.4)
"""Yaw and pitch offsets of the multi-view protocol around the frontal camera, radians."""


@dataclass(frozen=True)
class Lists:
    """What one dataset's protocols compare: pair lists by protocol, the real set, and what had to be left out.

    ``left_out`` rows hold list, pair (its number; of the real set row, from 0) and reason.
    """

    pairs: dict[str, pd.DataFrame]
    real: pd.DataFrame
    left_out: list[dict[str, Any]] = field(default_factory=list)


def first_samples(samples: Sequence[Sample]) -> dict[str, Sample]:
    """Each clip's first sample, of whatever split: its frame 0 is the clip's first frame.

    Where time is held out (known people), that frame lies in the training part; the driving frames never do.
    """
    first: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda s: s.key):
        first.setdefault(sample.clip, sample)
    return first


def by_clip(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Samples grouped by clip, both in the order given."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.clip, []).append(sample)
    return groups


def self_pairs(
    samples: Sequence[Sample], first: dict[str, Sample], settings: ProtocolSettings
) -> list[dict[str, object]]:
    """Each clip's first frame against ``self_frames_per_clip`` of its other held-out frames, evenly spread."""
    rows: list[dict[str, object]] = []
    for clip, group in by_clip(samples).items():
        source = first[clip]
        frames = [(s, index) for s in group for index in range(s.frames) if (s.key, index) != (source.key, 0)]
        count = min(settings.self_frames_per_clip, len(frames))
        for position in np.linspace(0, len(frames) - 1, count).round().astype(int) if count else []:
            sample, index = frames[position]
            rows.append(_row(source, 0, sample, index))
    return rows


def cross_pairs(sources: Sequence[Sample], drivers: Sequence[Sample], count: int, seed: int) -> list[dict[str, object]]:
    """``count`` seeded pairs: first frame of a source sample, one frame of a driver sample of another person.

    Source clips take turns, so that long videos do not crowd out short ones.
    """
    rng = np.random.default_rng(seed)
    groups, driving = by_clip(sources), by_clip(drivers)
    names = sorted(driving)
    # By person, where their clips stand among all names: a list of the others' for each clip would be quadratic.
    own: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        own.setdefault(driving[name][0].person, []).append(position)
    clips = [clip for clip, group in groups.items() if len(own.get(group[0].person, ())) < len(names)]
    rows = []
    for turn in range(count if clips else 0):
        group = groups[clips[turn % len(clips)]]
        source = group[rng.integers(len(group))]
        theirs = own.get(source.person, [])
        number = int(rng.integers(len(names) - len(theirs)))
        for position in theirs:
            number += position <= number
        candidates = driving[names[number]]
        driver = candidates[rng.integers(len(candidates))]
        rows.append(_row(source, 0, driver, int(rng.integers(driver.frames))))
    return rows


def multiview_rows(pairs: Sequence[dict[str, object]], count: int) -> list[dict[str, object]]:
    """The first ``count`` cross pairs at 25 views each."""
    return [
        {**pair, "yaw": yaw, "pitch": pitch} for pair in pairs[:count] for pitch in VIEW_OFFSETS for yaw in VIEW_OFFSETS
    ]


def _row(source: Sample, source_frame: int, driver: Sample, driver_frame: int) -> dict[str, object]:
    return {
        "source_key": source.key,
        "source_frame": source_frame,
        "driver_key": driver.key,
        "driver_frame": driver_frame,
        "source_clip": source.clip,
        "source_person": source.person,
        "driver_clip": driver.clip,
        "driver_person": driver.person,
        "yaw": None,
        "pitch": None,
        "unseen": source.split == UNSEEN,
    }


def unseen_pairs(settings: ProtocolSettings) -> int:
    """How many cross pairs start from unseen clips, where there are any: a fifth as many again."""
    return settings.cross_pairs // 5


def all_pairs(samples: Sequence[Sample], settings: ProtocolSettings) -> dict[str, pd.DataFrame]:
    """The pair lists of all protocols for one dataset's samples; the unseen clips' pairs follow the test clips'."""
    test = [s for s in samples if s.split == TEST and s.frames]
    unseen = [s for s in samples if s.split == UNSEEN and s.frames]
    first = first_samples(samples)
    cross = cross_pairs(test, test, settings.cross_pairs, settings.seed)
    cross_unseen = cross_pairs(unseen, test, unseen_pairs(settings) if unseen else 0, settings.seed + 1)
    lists = {
        "self": self_pairs(test, first, settings) + self_pairs(unseen, first, settings),
        "cross": cross + cross_unseen,
        "multiview": multiview_rows(cross, settings.multiview_pairs),
    }
    return {name: _table(rows, samples) for name, rows in lists.items()}


def _table(rows: list[dict[str, object]], samples: Sequence[Sample]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[c for c in PAIR_COLUMNS if c not in ("pair", "block")])
    table.insert(0, "pair", range(len(table)))
    table["block"] = blocks(table, samples)
    return table[list(PAIR_COLUMNS)]


def blocks(table: pd.DataFrame, samples: Sequence[Sample]) -> pd.Series:
    """What each pair is resampled with: its driver's clip, or where there are few test clips a piece of its sample."""
    names = list(table["driver_clip"])
    if len({s.clip for s in samples if s.split == TEST and s.frames}) < FEW_CLIPS:
        frames = zip(table["driver_key"], table["driver_frame"], strict=True)
        names = [f"{key}#{int(frame) // BLOCK_FRAMES}" for key, frame in frames]
    return pd.Series(names, dtype="str")


def real_set(samples: Sequence[Sample], count: int) -> pd.DataFrame:
    """About ``count`` held-out frames (:data:`REAL_COLUMNS`), evenly spread in equal shares over the test clips.

    A clip with fewer frames gives all it has and the others share the rest. FID and FFD compare with these.
    """
    clips = by_clip([sample for sample in samples if sample.split == TEST])
    chosen: list[tuple[str, int, str]] = []
    for position, group in enumerate(sorted(clips.values(), key=lambda group: sum(s.frames for s in group))):
        share = min(sum(s.frames for s in group), -(-(count - len(chosen)) // (len(clips) - position)))
        if share <= 0:
            continue
        of_clip = [(s.key, index, s.clip) for s in group for index in range(s.frames)]
        chosen += [of_clip[i] for i in np.linspace(0, len(of_clip) - 1, share).round().astype(int)]
    return pd.DataFrame(chosen, columns=list(REAL_COLUMNS))


def sampled_lists(samples: Sequence[Sample], settings: ProtocolSettings) -> Lists:
    """The lists of all protocols, and a real set as large as the cross protocol."""
    pairs = all_pairs(samples, settings)
    number = int((~pairs["cross"]["unseen"].astype(bool)).sum())
    return Lists(pairs, real_set(samples, max(number, METRICS["ffd"].least_images)))
