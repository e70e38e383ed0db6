"""Which method is better, and only where it is significant: paired comparisons of a table's methods, and their marks.

Two methods answered the same pairs, so their scores are subtracted pair by pair before anything is resampled; what
makes one pair harder than another cancels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.metrics.catalogue import BY_NAME, METRICS, TABLES, Metric
from evaluation.settings import COPY_NAME
from evaluation.statistics import Difference, holm, paired_difference
from preprocessing.cli import InputError

COLUMNS = (
    "table",
    "dataset",
    "metric",
    "motion",
    "method",
    "other",
    "difference",
    "ci_low",
    "ci_high",
    "p",
    "n_pairs",
    "units",
    "better",
)
NUMBERS = ("difference", "ci_low", "ci_high", "p")
LEVEL = 0.05
PER_COMPARISON = 100
"""Least resamples for each comparison of a family: Holm's first step asks for p ≤ LEVEL / comparisons."""
Key = tuple[str, str, str, str]  # dataset, method, motion, metric
Row = dict[str, Any]


def part_name(dataset: str, unseen: bool) -> str:
    """How the tables call a dataset, or its clips that training never saw."""
    return f"{dataset}-unseen-clip" if unseen else dataset


def compare(table: int, scores: pd.DataFrame, names: dict[str, str], samples: int) -> pd.DataFrame:
    """Every two methods of one table on the pairs that both measured; columns as in :data:`COLUMNS`.

    ``scores`` are the rows of the table's protocol (seeds pooled), ``names`` its methods, slug → name. Methods meet
    within one kind of motion; the copy of the source, which has none, meets all. ``better`` names the better method
    where the difference is significant (Holm within dataset, metric and motion, :data:`LEVEL`), else it is empty;
    where nothing could be compared, ``units`` says why.
    """
    scores = scores[scores["method"].isin(names)].assign(method=scores["method"].map(names))
    order = {name: place for place, name in enumerate(names.values())}
    rows: list[Row] = []
    for dataset in sorted(scores["dataset"].unique()):
        of_dataset = scores[scores["dataset"] == dataset]
        for unseen in (False, True):
            images = of_dataset[(of_dataset["pair"] >= 0) & (of_dataset["unseen"] == unseen)]
            for motion in [motion for motion in images["motion"].unique() if motion]:
                kind = images[images["motion"].isin((motion, ""))]
                for metric in (METRICS[key] for key in TABLES[table]):
                    methods = sorted(kind["method"].unique(), key=order.__getitem__)
                    family = list(_family(kind[kind["metric"] == metric.name], metric, methods, samples))
                    where = {"table": table, "dataset": part_name(dataset, unseen)}
                    rows += [where | {"metric": metric.name, "motion": motion} | row for row in family]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _family(scores: pd.DataFrame, metric: Metric, methods: list[str], samples: int) -> Iterator[Row]:
    """The comparisons of one column: one dataset, metric and kind of motion."""
    couples = list(combinations(methods, 2))
    samples = max(samples, PER_COMPARISON * len(couples))
    used = scores[scores["used"]]
    values = used.pivot(index=["run", "pair"], columns="method", values="value")
    clips = used.drop_duplicates(["run", "pair"]).set_index(["run", "pair"])[["driver_clip", "block"]]
    backends = used.groupby("method")["backend"].unique().to_dict()
    found: list[tuple[Difference | None, int, str]] = []
    for couple in couples:
        if metric.reference == "real":
            found.append((None, 0, "not compared: one distance of sets, no value per pair"))
            continue
        both = values.dropna(subset=list(couple)) if set(couple) <= set(values) else values.iloc[:0]
        if both.empty:
            found.append((None, 0, "not compared: no pair that both measured"))
        elif len(measured_by := sorted({name for method in couple for name in backends[method]})) > 1:
            found.append((None, 0, f"not compared: measured by {' and '.join(measured_by)}"))
        else:
            at = clips.loc[both.index]
            first, second = (both[method].tolist() for method in couple)
            measured = paired_difference(first, second, at["driver_clip"].tolist(), at["block"].tolist(), samples)
            asked = scores[scores["method"].isin(couple)].groupby(["run", "pair"]).ngroups
            left = f"; {asked - len(both)} of {asked} pairs not measured by both" if asked > len(both) else ""
            found.append((measured, len(both), measured.units + left))
    adjusted = iter(holm([result.p for result, _, _ in found if result is not None and result.p is not None]))
    for (method, other), (result, pairs, units) in zip(couples, found, strict=True):
        row: Row = dict.fromkeys(NUMBERS) | {"method": method, "other": other, "n_pairs": pairs, "units": units}
        row["better"] = ""
        if result is not None:
            row |= {"difference": result.value, "ci_low": result.low, "ci_high": result.high, "p": result.p}
            if result.p is not None and next(adjusted) <= LEVEL:
                row["better"] = method if (result.value > 0) == metric.higher_is_better else other
        yield row


def read_comparisons(path: Path) -> pd.DataFrame:
    """``comparisons.csv``; an unreadable file or missing columns raise InputError."""
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in NUMBERS})
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the comparisons {path}: {error}.") from None
    if absent := [name for name in COLUMNS if name not in frame]:
        raise InputError(f"The comparisons {path} lack the columns {', '.join(absent)}.")
    return frame


@dataclass(frozen=True)
class Marks:
    """What is marked in a table: ``rank`` (best, second) among the methods, ``copy`` (better, worse) than the copy."""

    rank: dict[Key, str] = field(default_factory=dict)
    copy: dict[Key, str] = field(default_factory=dict)


def marks(comparisons: pd.DataFrame, paper: dict[Key, str]) -> Marks:
    """The marks of one table: ``paper``'s own ranks, and the significant ones of its comparisons.

    best: significantly better than every other method. second: than all others but one (of three methods on). The copy
    of the source takes no part; against it no colour is given where it is perfect by construction (CSIM, AVD), nor to
    relative motion, which does not aim at the driver's frame.
    """
    found = Marks(dict(paper))
    measured = comparisons[comparisons["p"].notna()]
    for (dataset, metric, motion), column in measured.groupby(["dataset", "metric", "motion"], sort=False):
        against_copy = column["other"] == COPY_NAME
        rest = column[~against_copy]
        for method, place in _ranks(rest[["method", "other", "better"]].itertuples(index=False, name=None)).items():
            found.rank[dataset, method, motion, metric] = place
        if motion == "absolute" and BY_NAME[metric].reference in ("target", "pose"):
            for method, better in column[against_copy & (column["better"] != "")][["method", "better"]].values:
                found.copy[dataset, method, motion, metric] = "better" if better == method else "worse"
    return found


def _ranks(couples: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """best or second by method, from (method, other, better)."""
    wins: dict[str, int] = {}
    for method, other, better in couples:
        for name in (method, other):
            wins[name] = wins.get(name, 0) + (name == better)
    rivals = len(wins) - 1
    places = {rivals: "best"} | ({rivals - 1: "second"} if rivals >= 2 else {})
    return {name: places[count] for name, count in wins.items() if count in places}
