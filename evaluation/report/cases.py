"""One method's scores on single pairs: which cases are worst, median and best, how values spread, what failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.metrics.catalogue import BY_NAME, METRICS, PROTOCOLS, Metric
from evaluation.tables.render import number

HEADLINES = {"self": ("psnr", "lpips"), "cross": ("csim", "prmse", "aucon"), "multiview": ("csim", "prmse")}
"""The metrics whose cases are shown, by protocol."""
COUNTS = {"worst": 3, "median": 2, "best": 3}
BINS = 24
EQUAL = 1e-6  # values nearer than this are rounding
MOTIONS = {
    "absolute": "Absolute motion (the driver's camera; of methods without cameras its keypoints)",
    "none": "",
    "relative": "Relative motion (the source's camera, or keypoints, moved by the driver's change)",
    "relative_best": "Relative motion (from the driver's frame most like the source)",
}
"""The kinds of motion as the pages call them, in the order of which the first is shown where it alone is."""


@dataclass(frozen=True)
class Case:
    """One pair and what it scored."""

    pair: int
    value: float


@dataclass(frozen=True)
class Failure:
    """A pair that some metric could not use under one kind of motion, with the reasons and the metrics they hit."""

    pair: int
    motion: str
    reasons: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Spread:
    """A histogram: shares [:data:`BINS`] of the values between ``low`` and ``high``, and their median."""

    metric: Metric
    backend: str
    count: int
    low: float
    high: float
    median: float
    shares: Sequence[float]
    copy: Sequence[float]

    @property
    def tallest(self) -> float:
        """The largest share, which fills the height."""
        return max([*self.shares, *self.copy, 1e-9])

    def text(self, value: float) -> str:
        """A value of this metric with its unit."""
        return with_unit(value, self.metric)


def with_unit(value: float, metric: Metric) -> str:
    """A value with the metric's decimals and unit."""
    return f"{number(value, metric)} {metric.unit}".rstrip().replace(" °", "°")


def main_motion(scores: pd.DataFrame) -> pd.DataFrame:
    """The pairs' rows of the kind of motion that is shown: absolute where there is one."""
    pairs = scores[scores["pair"] >= 0]
    motion = next((motion for motion in MOTIONS if (pairs["motion"] == motion).any()), None)
    return pairs[pairs["motion"] == motion]


def motion_said(rows: pd.DataFrame) -> str:
    """The kinds of motion of the rows in words; nothing for a method without."""
    return " and ".join(words for motion, words in MOTIONS.items() if words and (rows["motion"] == motion).any())


def used(rows: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The rows of one metric that have a value."""
    return rows[(rows["metric"] == metric.name) & rows["used"]]


def headlines(rows: pd.DataFrame, protocol: str) -> list[Metric]:
    """The protocol's headline metrics that were measured."""
    return [METRICS[key] for key in HEADLINES[protocol] if not used(rows, METRICS[key]).empty]


def cases(rows: pd.DataFrame, metric: Metric, counts: Mapping[str, int]) -> dict[str, list[Case]]:
    """The worst, median and best pairs, each shown once, at most one of a block of frames in each group.

    Equal values go by pair. Neighbouring frames score alike, so a block is shown by its most extreme frame. Where all
    pairs score the same, as the copy does in what is compared with the source, no case is worst or best.
    """
    left = used(rows, metric).sort_values(["value", "pair"], ascending=[metric.higher_is_better, True], kind="stable")
    if len(left) > 1 and np.ptp(left["value"]) < EQUAL:
        return {}
    middle = left["value"].median()
    found = {}
    for group in ("worst", "best", "median"):
        ordered = left.iloc[::-1] if group == "best" else left
        if group == "median":
            ordered = left.iloc[(left["value"] - middle).abs().argsort(kind="stable")]
        chosen = ordered.drop_duplicates("block").head(counts.get(group, 0))
        left = left.drop(chosen.index)
        found[group] = [Case(int(p), float(v)) for p, v in zip(chosen["pair"], chosen["value"], strict=True)]
    return {group: found[group] for group in counts if found[group]}


def failures(rows: pd.DataFrame) -> list[Failure]:
    """The pairs that a metric could not use, in their order, each kind of motion by itself."""
    lost = rows[(rows["pair"] >= 0) & ~rows["used"]]
    return [
        Failure(int(p), str(motion), {str(reason): sorted(part["metric"]) for reason, part in group.groupby("reason")})
        for (p, motion), group in lost.groupby(["pair", "motion"])
    ]


def spreads(rows: pd.DataFrame, copy: pd.DataFrame, protocol: str) -> list[Spread]:
    """Histograms of every metric that was measured on pairs, with the copy's beside it where the copy is no optimum.

    The range holds all values of both; values that are all equal fill one bin.
    """
    found = []
    for metric in (METRICS[key] for key in PROTOCOLS[protocol]):
        mine, theirs = used(rows, metric), used(copy, metric)
        if mine.empty:
            continue
        values = mine["value"].to_numpy(float)
        other = theirs["value"].to_numpy(float) if metric.reference != "source" else np.empty(0)
        low, high = float(min([*values, *other])), float(max([*values, *other]))
        high = low if high - low < EQUAL else high
        shares = [
            (np.histogram(part, BINS, (low, high))[0] / max(len(part), 1)).tolist() if len(part) else []
            for part in (values, other)
        ]
        backend = str(mine["backend"].iloc[0])
        found.append(Spread(metric, backend, len(values), low, high, float(np.median(values)), *shares))
    return found


def metric_names(rows: pd.DataFrame) -> list[Metric]:
    """The metrics with a value on some pair, in the catalogue's order."""
    known = set(rows[rows["used"]]["metric"])
    return [metric for name, metric in BY_NAME.items() if name in known]
