"""Tables 1–5: every cell of the paper, then what this run measured on its own datasets.

One CSV, Markdown and LaTeX file per table, and one CSV of the methods' paired comparisons, from which the marks come.
A paper's number and an embedded backend's never share a row.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from evaluation.comparisons import COLUMNS as COMPARED
from evaluation.comparisons import NUMBERS, Marks, compare, marks, part_name
from evaluation.latex import tex
from evaluation.metrics.catalogue import METRICS, TABLES, Metric
from evaluation.outputs import EMPTY_SCORE
from evaluation.paper import paper_ranks, paper_rows
from evaluation.render import markdown
from evaluation.settings import COPY, COPY_NAME, EvaluationSettings
from evaluation.statistics import mean_interval
from preprocessing.cli import Block, InputError, add_common, load_settings, run_command, validated
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
    """Slug → name of the methods of Tables 1–4 (``main``) and of Table 5 (``ablation``), in print order."""

    main: dict[str, str] = Field(default={"planedict": "PlaneDict"})
    ablation: dict[str, str] = Field(default={})

    @classmethod
    def read(cls, given: str) -> "Methods":
        """Of the command line's JSON; anything wrong raises InputError."""
        try:
            return validated(cls, json.loads(given), "--methods")
        except json.JSONDecodeError as error:
            raise InputError(f"--methods is not valid JSON: {error}.") from None

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
        for path in sorted(directory.glob("*.json")):
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
                rows += _method_rows(table, chosen, dataset, unseen, name, run)
    return rows


def _method_rows(table: int, scores: pd.DataFrame, dataset: str, unseen: bool, method: str, run: Run) -> list[Row]:
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
            label = _label(run, dataset, unseen, method, row.pop("units"), scores["run"].nunique())
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
        "units": f"interval over {interval.units}",
        "reason": "; ".join(f"{number} left out: {reason}" for reason, number in sorted(lost.items())),
    }


def _pooled_sets(sets: pd.DataFrame) -> Row:
    """A distance of sets is measured once per seed: the seeds' mean, and the mean of their intervals' ends."""
    several = f"; mean of {len(sets)} seeds" if len(sets) > 1 else ""
    return {
        "measured": float(sets["value"].mean()),
        "ci_low": _or_none(sets["ci_low"].mean()),
        "ci_high": _or_none(sets["ci_high"].mean()),
        "n_used": int(sets["n_used"].sum()),
        "n_attempted": int(sets["n_attempted"].sum()),
        "units": f"interval over resampled generated images{several}",
        "reason": "below 2,048 images" if sets["n_used"].max() < 2048 else "",
    }


def _label(run: Run, dataset: str, unseen: bool, method: str, units: str, seeds: int) -> str:
    words = [run.label, "no training" if method == COPY_NAME else "trained here"]
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
    _write_csv(frame, ("measured", "ci_low", "ci_high"), directory / f"table{table}.csv")


def _write_csv(frame: pd.DataFrame, numbers: Iterable[str], path: Path) -> None:
    text = frame.assign(**{name: [_number(value) for value in frame[name]] for name in numbers})
    with atomic(path) as temporary:
        text.to_csv(temporary, index=False, lineterminator="\n")


def _number(value: Any) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"


def main(argv: list[str] | None = None) -> None:
    """Command line: tables 1–5 of one run, or of several seeds pooled."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.tables", description=__doc__)
    parser.add_argument(
        "--scores",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="results/{run}/scores of one run, or of its seeds",
    )
    parser.add_argument(
        "--methods", required=True, metavar="JSON", help='{"main": {slug: name}, "ablation": {slug: name}}'
    )
    parser.add_argument(
        "--shards",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="data/{dataset}/shards: tells known from unseen identities",
    )
    parser.add_argument(
        "--train-on", nargs="*", metavar="DATASET", help="datasets trained on (default: all of --shards)"
    )
    parser.add_argument("--label", default="", help="the run's label, such as demo-scale")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/tables")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation")
    methods = Methods.read(arguments.methods)
    run = Run(arguments.label, identities(arguments.shards, arguments.train_on), settings.bootstrap_samples)
    scores = read_scores(arguments.scores)
    comparisons = []
    for table in TABLES:
        of_table = scores[scores["protocol"] == PROTOCOL_OF_TABLE[table]]
        comparisons.append(compare(table, of_table, methods.of_table(table), run.samples))
        found = marks(comparisons[-1], paper_ranks(table))
        write(build(table, scores, methods, run), table, found, arguments.output)
    joined = pd.DataFrame([row for part in comparisons for row in part.to_dict("records")], columns=list(COMPARED))
    _write_csv(joined, NUMBERS, arguments.output / "comparisons.csv")


if __name__ == "__main__":
    main()
