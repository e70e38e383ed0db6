"""The rows of a table: the paper's cells, then the run's own, measured values with their intervals and reasons."""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, field_validator

from evaluation.metrics.catalogue import METRICS, TABLES, Metric
from evaluation.outputs import EMPTY_SCORE
from evaluation.settings import CLAIMS, COPY, COPY_NAME, MINI, TRAINED, UNTRAINED, miniature
from evaluation.statistics import mean_interval
from evaluation.tables.comparisons import Marks, part_name
from evaluation.tables.latex import tex
from evaluation.tables.paper import paper_rows
from evaluation.tables.render import INTERVAL, markdown
from preprocessing.cli import Block, InputError, validated
from preprocessing.files import atomic

COLUMNS = (
    "table",
    "task",
    "dataset",
    "method",
    "metric",
    "motion",
    "measured",
    "ci_low",
    "ci_high",
    "paper",
    "n_used",
    "n_attempted",
    "backend",
    "label",
    "reason",
)
PROTOCOL_OF_TABLE = {1: "self", 2: "self", 3: "cross", 4: "multiview", 5: "cross"}
TASK_OF_TABLE = {
    1: "self-reenactment",
    2: "self-reenactment",
    3: "cross-identity-reenactment",
    4: "multi-view-synthesis",
    5: "ablation",
}
MOTIONS = ("absolute", "relative", "relative_best", "")
Row = dict[str, Any]
# Stands for a score file without rows: the method ran, but the dataset has no such pairs.
NOTHING: Row = {**EMPTY_SCORE, "reason": "the dataset has no pairs for this protocol"}


class Methods(Block):
    """Slug → name of the methods of Tables 1–4 (``main``) and of Table 5 (``ablation``), in print order.

    ``claims``: slug → what a row may claim of it, where that is not "trained here" (:attr:`model.kinds.Kind.claim`).
    ``weights``: slug → the method whose weights it is driven with, where it has none of its own. ``pictures``: slug →
    which of its kind's outputs it gives, where that is not the first.
    """

    main: dict[str, str] = Field(default={"planedict": "PlaneDict"})
    ablation: dict[str, str] = Field(default={})
    claims: dict[str, str] = Field(default={})
    weights: dict[str, str] = Field(default={})
    pictures: dict[str, str] = Field(default={})

    @field_validator("claims")
    @classmethod
    def _begins_well(cls, claims: dict[str, str]) -> dict[str, str]:
        for slug, claim in claims.items():
            if not claim.startswith(CLAIMS) or "; " in claim:
                raise ValueError(f"'{claim}' of {slug} does not begin with {', '.join(CLAIMS)}, or has a semicolon")
        return claims

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        """The option that :meth:`read` reads."""
        parser.add_argument(
            "--methods",
            required=True,
            metavar="JSON",
            help='{"main": {slug: name}, "ablation": {slug: name}, "claims": {slug: "mini, …"},'
            ' "weights": {slug: slug}, "pictures": {slug: output}}',
        )

    @classmethod
    def read(cls, given: str) -> "Methods":
        """Of the command line's JSON; anything wrong raises InputError."""
        try:
            return validated(cls, json.loads(given), "--methods")
        except json.JSONDecodeError as error:
            raise InputError(f"--methods is not valid JSON: {error}.") from None

    @property
    def heads(self) -> dict[str, str]:
        """Slug → what stands above a method's pictures: its name, and whether it is a miniature."""
        names = self.main | self.ablation
        return {slug: f"{name} ({MINI})" if miniature(self.claim(slug)) else name for slug, name in names.items()}

    def claim(self, slug: str) -> str:
        """What a row of a table may claim of a method."""
        return UNTRAINED if slug == COPY else self.claims.get(slug, TRAINED)

    def of_table(self, table: int) -> dict[str, str]:
        """The methods of one table, the copy of the source last."""
        return {**(self.ablation if table == 5 else self.main), COPY: COPY_NAME}


@dataclass(frozen=True)
class Run:
    """What the tables know of the run besides its scores: its label and whom each dataset's test frames show."""

    label: str
    identities: dict[str, str]
    samples: int


def read_scores(directories: Iterable[Path]) -> pd.DataFrame:
    """All score files of all given runs with columns run, dataset, method (slug) and protocol added."""
    directories = list(directories)
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise InputError("--scores names the same folder twice.")
    parts = []
    for directory in directories:
        files = sorted(directory.glob("*/*/*.parquet"))
        if not files:
            raise InputError(f"No scores ({{dataset}}/{{method}}/{{protocol}}.parquet) in {directory}.")
        for path in files:
            try:
                part = pd.read_parquet(path)
            except (OSError, ValueError) as error:
                raise InputError(f"Cannot read the scores {path}: {error}.") from None
            dataset, method, protocol = path.parent.parent.name, path.parent.name, path.stem
            part = part if len(part) else pd.DataFrame([NOTHING])
            parts.append(part.assign(run=str(directory), dataset=dataset, method=method, protocol=protocol))
    scores = pd.concat(parts, ignore_index=True)
    scores["motion"] = scores["motion"].replace("none", "")
    return scores


def identities(shards: Iterable[Path], train_on: Iterable[str] | None = None) -> dict[str, str]:
    """For each dataset (folder ``data/{dataset}/shards``): known identity, unseen identity, or partly known.

    A test person is known when a training sample of the datasets in ``train_on`` (default: all given) shows the same.
    """
    people: dict[str, dict[str, set[str]]] = {}
    for directory in shards:
        split = people.setdefault(directory.parent.name, {"train": set(), "test": set()})
        for path in sorted(directory.glob("[!.]*.json")):
            for sample in json.loads(path.read_text(encoding="utf-8")).get("samples", []):
                split.get(sample["split"], set()).add(sample["person"])
    trained = set(people if train_on is None else train_on)
    known = set().union(*(split["train"] for name, split in people.items() if name in trained)) if people else set()
    words = {}
    for name, split in people.items():
        shared = len(split["test"] & known)
        words[name] = (
            "unseen identity"
            if not shared
            else "known identity"
            if shared == len(split["test"])
            else "partly known identity"
        )
    return words


def build(table: int, scores: pd.DataFrame, methods: Methods, run: Run) -> pd.DataFrame:
    """One table: a row for each of the paper's cells, then the run's own rows; columns as in :data:`COLUMNS`."""
    own = _own_rows(table, scores, methods, run)
    rows = paper_rows(table, own) + own
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    key = ["table", "dataset", "method", "metric", "motion"]
    if frame.duplicated(key).any():
        twice = frame[frame.duplicated(key)].iloc[0]
        raise InputError(f"Table {table} would hold {twice['method']} / {twice['metric']} of {twice['dataset']} twice.")
    return frame


def _own_rows(table: int, scores: pd.DataFrame, methods: Methods, run: Run) -> list[Row]:
    part = scores[scores["protocol"] == PROTOCOL_OF_TABLE[table]]
    rows: list[Row] = []
    for dataset in sorted(part["dataset"].unique()):
        for unseen in (False, True):
            for slug, name in methods.of_table(table).items():
                chosen = part[(part["dataset"] == dataset) & (part["method"] == slug)]
                rows += _method_rows(table, chosen, dataset, unseen, name, methods.claim(slug), run)
    return rows


def _method_rows(
    table: int, scores: pd.DataFrame, dataset: str, unseen: bool, method: str, claim: str, run: Run
) -> list[Row]:
    measured = scores[(scores["pair"] >= 0) & (scores["unseen"] == unseen)]
    if scores.empty or (measured.empty and unseen):
        return []
    motions = sorted(measured["motion"].unique(), key=MOTIONS.index) or ["" if method == COPY_NAME else "absolute"]
    rows = []
    for motion in motions:
        for metric in (METRICS[key] for key in TABLES[table]):
            of_metric = (scores["motion"] == motion) & (scores["metric"] == metric.name)
            chosen = scores if measured.empty else scores[of_metric]
            attempted = measured[measured["motion"] == motion].groupby("run")["pair"].nunique().sum()
            row = _cell(metric, chosen, unseen, run.samples, int(attempted))
            label = _label(run, dataset, unseen, claim, row.pop("units"), scores["run"].nunique())
            rows.append(
                {
                    "table": table,
                    "task": TASK_OF_TABLE[table],
                    "dataset": part_name(dataset, unseen),
                    "method": method,
                    "metric": metric.name,
                    "motion": motion,
                    "paper": "",
                    "label": label,
                    "claim": claim,  # for the paper's rows; no column
                    **row,
                }
            )
    return rows


def _cell(metric: Metric, scores: pd.DataFrame, unseen: bool, samples: int, attempted: int) -> Row:
    """Value, interval, counts, backend and reason of one metric from all seeds' rows, pooled."""
    empty: Row = {"measured": None, "ci_low": None, "ci_high": None, "n_used": 0, "n_attempted": attempted, "units": ""}
    backends = sorted(scores["backend"].unique())
    if len(backends) > 1:
        raise InputError(f"{metric.name} was measured by {' and '.join(backends)}; score the runs with one backend.")
    empty["backend"] = backends[0] if backends else ""
    images = scores[(scores["pair"] >= 0) & (scores["unseen"] == unseen)]
    sets = scores[(scores["pair"] < 0) & (scores["unseen"] == unseen) & scores["used"]]
    if metric.reference == "real" and not sets.empty:
        return empty | _pooled_sets(sets)
    used = images[images["used"]]
    if used.empty:
        refusals = scores[~scores["used"] & (scores["unseen"].eq(unseen) | scores["pair"].lt(0))]["reason"]
        return empty | {"reason": refusals.mode().iloc[0] if len(refusals) else "not scored in this run"}
    interval = mean_interval(used["value"].tolist(), used["driver_clip"].tolist(), used["block"].tolist(), samples)
    lost = Counter(images[~images["used"]]["reason"])
    return empty | {
        "measured": interval.value,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "n_used": len(used),
        "n_attempted": len(images),
        "units": "" if interval.low is None else f"{INTERVAL}{interval.units}",
        "reason": "; ".join(f"{number} left out: {reason}" for reason, number in sorted(lost.items())),
    }


def _pooled_sets(sets: pd.DataFrame) -> Row:
    """A distance of sets is measured once per seed: the seeds' mean, and the mean of their intervals' ends."""
    several = f", mean of {len(sets)} seeds" if len(sets) > 1 else ""
    return {
        "measured": float(sets["value"].mean()),
        "ci_low": _or_none(sets["ci_low"].mean()),
        "ci_high": _or_none(sets["ci_high"].mean()),
        "n_used": int(sets["n_used"].sum()),
        "n_attempted": int(sets["n_attempted"].sum()),
        "units": f"{INTERVAL}resampled clips or blocks of generated images{several}",
        "reason": "; ".join(sorted(set(sets["reason"]) - {""})),
    }


def _label(run: Run, dataset: str, unseen: bool, claim: str, units: str, seeds: int) -> str:
    words = [run.label, claim]
    words.append("unseen clip of a known identity" if unseen else run.identities.get(dataset, ""))
    words.append(f"{seeds} seeds pooled" if seeds > 1 else "")
    words.append(units)
    return "; ".join(word for word in words if word)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def write(frame: pd.DataFrame, table: int, found: Marks, directory: Path) -> None:
    """Write ``table{n}.csv``, ``.md`` and ``.tex`` into ``directory``; the CSV last."""
    for suffix, text in ((".md", markdown(frame, table, found)), (".tex", tex(frame, table, found))):
        with atomic(directory / f"table{table}{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_csv(frame, ("measured", "ci_low", "ci_high"), directory / f"table{table}.csv")


def write_csv(frame: pd.DataFrame, numbers: Iterable[str], path: Path) -> None:
    text = frame.assign(**{name: [_number(value) for value in frame[name]] for name in numbers})
    with atomic(path) as temporary:
        text.to_csv(temporary, index=False, lineterminator="\n")


def _number(value: Any) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
