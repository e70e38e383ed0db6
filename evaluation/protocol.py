"""The three protocols: which source meets which driving frame. ``python -m evaluation.protocol`` writes the pairs.

Pairs depend on the data and on a seed of their own, never on the method or the training seed, so that every method
and every run answers the same questions (docs/metrics.md). Beside them lie the real set of FID and ``protocol.json``,
the rules in numbers.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.frozen import Lists, frozen_lists
from evaluation.outputs import FFD_LEAST, PAIR_COLUMNS, REAL_COLUMNS
from evaluation.settings import EvaluationSettings, ProtocolSettings
from evaluation.statistics import BLOCK_FRAMES, FEW_CLIPS
from preprocessing.cli import add_common, load_settings, run_command
from preprocessing.files import atomic, sha256, write_json
from preprocessing.reader import Sample, ShardReader

TEST, UNSEEN = "test", "unseen-clip"
PROTOCOLS = ("self", "cross", "multiview")
MOTIONS = {
    "absolute": "rendered from the driver's camera (multi-view: the requested one); motion code of the driver's frame",
    "relative": "rendered from the source's camera moved by the driver's change since its reference frame",
    "relative_best": "relative to the driver's frame that is most like the source, of methods that offer it",
    "none": "the copy of the source, which does not move",
}
VIEW_OFFSETS = (-0.4, -0.2, 0.0, 0.2, 0.4)
"""Yaw and pitch offsets of the multi-view protocol around the frontal camera, radians."""


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
    groups = by_clip(sources)
    others = {clip: sorted({d.clip for d in drivers if d.person != group[0].person}) for clip, group in groups.items()}
    clips = [clip for clip in groups if others[clip]]
    rows = []
    for turn in range(count if clips else 0):
        group = groups[clips[turn % len(clips)]]
        source = group[rng.integers(len(group))]
        chosen = others[source.clip]
        driver_clip = chosen[rng.integers(len(chosen))]
        candidates = [d for d in drivers if d.clip == driver_clip]
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
    few = len({s.clip for s in test}) < FEW_CLIPS
    return {name: _table(rows, few) for name, rows in lists.items()}


def _table(rows: list[dict[str, object]], few: bool) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[c for c in PAIR_COLUMNS if c not in ("pair", "block")])
    table.insert(0, "pair", range(len(table)))
    blocks = list(table["driver_clip"])
    if few:
        frames = zip(table["driver_key"], table["driver_frame"], strict=True)
        blocks = [f"{key}#{int(frame) // BLOCK_FRAMES}" for key, frame in frames]
    table["block"] = pd.Series(blocks, dtype="str")
    return table[list(PAIR_COLUMNS)]


def real_set(samples: Sequence[Sample], count: int) -> pd.DataFrame:
    """About ``count`` held-out frames (:data:`REAL_COLUMNS`), evenly spread in equal shares over the test clips.

    A clip with fewer frames gives all it has and the others share the rest. FID and FFD compare with these.
    """
    clips = by_clip([sample for sample in samples if sample.split == TEST])
    frames = [[(s.key, index, clip) for s in group for index in range(s.frames)] for clip, group in clips.items()]
    chosen: list[tuple[str, int, str]] = []
    for position, of_clip in enumerate(sorted(frames, key=len)):
        share = min(len(of_clip), -(-(count - len(chosen)) // (len(frames) - position)))
        chosen += [of_clip[i] for i in np.linspace(0, len(of_clip) - 1, max(share, 0)).round().astype(int)]
    return pd.DataFrame(chosen, columns=list(REAL_COLUMNS))


def sampled_lists(samples: Sequence[Sample], settings: ProtocolSettings) -> Lists:
    """The lists of all protocols, and a real set as large as the cross protocol."""
    pairs = all_pairs(samples, settings)
    number = int((~pairs["cross"]["unseen"].astype(bool)).sum())
    return Lists(pairs, real_set(samples, max(number, FFD_LEAST)), [])


def rules(lists: Lists, settings: ProtocolSettings, files: dict[str, Path]) -> dict[str, Any]:
    """``protocol.json``: what was asked for, what there is, the constants behind it, and each written file's sha256."""
    asked = {
        "self": {"frames_per_clip": settings.self_frames_per_clip},
        "cross": {
            "pairs": settings.cross_pairs,
            "pairs_of_unseen_clips": unseen_pairs(settings),
            "seed": settings.seed,
            "seed_of_unseen_clips": settings.seed + 1,
        },
        "multiview": {"pairs": settings.multiview_pairs, "views": len(VIEW_OFFSETS) ** 2},
        "real": {"frames": max(settings.cross_pairs, FFD_LEAST)},
    }
    got: dict[str, dict[str, int]] = {
        name: {
            "pairs": len(table),
            "of_unseen_clips": int(table["unseen"].sum()),
            "source_clips": table["source_clip"].nunique(),
            "driver_clips": table["driver_clip"].nunique(),
            "people": len(set(table["source_person"]) | set(table["driver_person"])),
        }
        for name, table in lists.pairs.items()
    }
    got["real"] = {"frames": len(lists.real), "clips": lists.real["clip"].nunique()}
    return {
        "frozen": None if settings.frozen is None else str(settings.frozen),
        "lists": {
            name: {
                # A frozen list was asked for by nobody here: its size is its own.
                "asked": None if settings.frozen is not None else asked[name],
                "got": got[name],
                "sha256": sha256(path),
            }
            for name, path in files.items()
        },
        "left_out": lists.left_out,
        "view_offsets_radians": {"yaw": VIEW_OFFSETS, "pitch": VIEW_OFFSETS},
        "motions": MOTIONS,
        "block_frames": BLOCK_FRAMES,
        "blocks_below_clips": FEW_CLIPS,
    }


def main(arguments: argparse.Namespace) -> None:
    """Write ``self.csv``, ``cross.csv``, ``multiview.csv`` and ``real.csv``, then ``protocol.json``."""
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").protocol
    samples = ShardReader(arguments.shards).samples
    if settings.frozen is None:
        lists = sampled_lists(samples, settings)
    else:
        lists = frozen_lists(settings.frozen / arguments.shards.resolve().parent.name, PROTOCOLS, samples)
    files = {}
    for name, table in (lists.pairs | {"real": lists.real}).items():
        files[name] = arguments.output / f"{name}.csv"
        with atomic(files[name]) as temporary:
            table.to_csv(temporary, index=False)
    write_json(arguments.output / "protocol.json", rules(lists, settings, files))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.protocol", description=__doc__)
    p.add_argument("--shards", type=Path, required=True, metavar="DIR", help="a dataset's shards")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the pair lists go")
    add_common(p)
    return p


if __name__ == "__main__":
    run_command(main, parser())
