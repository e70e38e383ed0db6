"""Tables for reading: the grid that Markdown, LaTeX (:mod:`evaluation.tables.latex`) and the report share."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.metrics.catalogue import BY_NAME, METRICS, TABLES, Metric
from evaluation.settings import CLAIMS, COPY_NAME, MINI, miniature
from evaluation.tables.comparisons import Marks
from evaluation.tables.paper import odd

TITLES = {
    1: "Visual quality of self-reenactment",
    2: "Identity fidelity and motion accuracy of self-reenactment",
    3: "Cross-identity reenactment",
    4: "Multi-view synthesis",
    5: "Ablation of the plane dictionary (cross-identity)",
}
UNNAMED = {1, 2, 4}
NOTE = "The paper names no dataset for this table; this project measures it on VoxCeleb1's test set."
PRINTED = "The paper's columns: bold and underlined are best and second best by its printed numbers."
EMBEDDED = (
    "Embedded backends (dlib, FaceMesh: their weights lie inside installed packages) are not the paper's: their "
    "numbers compare methods within this run, not with the paper."
)
IMAGES = "Images: measured of those attempted; fewer where no face was found"
DASH = "—"
INTERVAL = "interval over "
"""Begins the last word of a row's label, which says what was resampled."""


@dataclass(frozen=True)
class Line:
    """One method on one dataset: its cells by metric name."""

    dataset: str
    method: str
    motion: str
    from_paper: bool
    cells: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """The method, whether it is a miniature, and its motion where there is one."""
        mini = any(miniature(claim_in(str(cell["label"]))) for cell in self.cells.values())
        said = ", ".join(word for word in (MINI if mini else "", self.motion) if word)
        return f"{self.method} ({said})" if said else self.method

    def rank(self, metric: Metric, found: Marks) -> str:
        """best, second or nothing."""
        return found.rank.get((self.dataset, self.method, self.motion, metric.name), "")

    def against_copy(self, metric: Metric, found: Marks) -> str:
        """better or worse than the copy of the source, or nothing."""
        return found.copy.get((self.dataset, self.method, self.motion, metric.name), "")


def lines(frame: pd.DataFrame) -> list[Line]:
    """The rows of a table grouped into methods, in the table's order."""
    grouped: dict[tuple[str, str, str, bool], dict[str, dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        key = (str(row["dataset"]), str(row["method"]), str(row["motion"]), row["paper"] != "")
        grouped.setdefault(key, {})[str(row["metric"])] = {str(k): v for k, v in row.items()}
    return [Line(*key, cells) for key, cells in grouped.items()]


def metrics_of(table: int) -> list[Metric]:
    """The metrics of a table in print order."""
    return [METRICS[key] for key in TABLES[table]]


def number(value: Any, metric: Metric) -> str:
    """A value with the metric's decimals, or a dash."""
    if value is None or value == "" or math.isnan(float(value)):
        return DASH
    return f"{float(value):.{metric.decimals}f}"


def interval(cell: dict[str, Any] | None, metric: Metric) -> str:
    """The 95 % interval of a measured value in brackets, or nothing."""
    if cell is None or DASH in (low := number(cell["ci_low"], metric), high := number(cell["ci_high"], metric)):
        return ""
    return f"[{low}, {high}]"


def _count(cell: dict[str, Any]) -> tuple[int, int] | None:
    """Images used and attempted by a cell; None where nothing could be attempted (no weights, say)."""
    # Without a value, the reason tells: "no face found in the generated image" is of pictures, others of the set-up.
    attempted = number(cell["measured"], BY_NAME[cell["metric"]]) != DASH or str(cell["reason"]).endswith(" image")
    return (int(cell["n_used"]), int(cell["n_attempted"])) if attempted else None


def _used(line: Line) -> tuple[int, int] | None:
    """Images used and attempted by the line's metric that used the fewest."""
    return min(filter(None, map(_count, line.cells.values())), default=None)


def counts(line: Line) -> str:
    """Images used / attempted over the line's metrics, the least used, and the share where some were left out."""
    pair = _used(line)
    if pair is None:
        return DASH
    used, attempted = pair
    return f"{used}/{attempted}" + (f" ({100 * used / attempted:.1f} %)" if used < attempted else "")


def own_count(line: Line, metric: Metric) -> str:
    """``used/attempted`` of a cell where it is not the line's (:func:`counts`), or nothing."""
    cell = line.cells.get(metric.name)
    pair = None if cell is None else _count(cell)
    return "" if pair is None or pair == _used(line) else f"{pair[0]}/{pair[1]}"


def backend_of(frame: pd.DataFrame, metric: Metric) -> str:
    """The backend that measured a metric in this table, or an empty string."""
    named = frame[(frame["metric"] == metric.name) & (frame["backend"] != "")]["backend"]
    return str(named.iloc[0]) if len(named) else ""


def reasons(frame: pd.DataFrame) -> list[str]:
    """Why cells of the run's own rows are empty or incomplete; what shares a reason shares a line."""
    metrics: dict[tuple[str, str, str], list[str]] = {}
    for row in frame[(frame["paper"] == "") & (frame["reason"] != "")].to_dict("records"):
        empty = number(row["measured"], BY_NAME[row["metric"]]) == DASH
        method, dataset = ("", "") if empty else (" ".join((row["method"], row["motion"])).strip(), row["dataset"])
        named = metrics.setdefault((method, dataset, str(row["reason"])), [])
        named += [row["metric"]] if row["metric"] not in named else []
    methods: dict[tuple[str, str, str], list[str]] = {}
    for (method, dataset, reason), named in metrics.items():
        methods.setdefault((", ".join(named), dataset, reason), []).append(method)
    return [
        f"{' / '.join(filter(None, (named, ', '.join(filter(None, of)), dataset)))}: {reason}"
        for (named, dataset, reason), of in methods.items()
    ]


def labels(frame: pd.DataFrame) -> list[str]:
    """What each of the run's datasets and methods is, without the interval's wording; equal methods share a line."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in frame[frame["paper"] == ""].to_dict("records"):
        words, _ = label_parts(str(row["label"]))
        found.setdefault((str(row["dataset"]), "; ".join(words)), {})[str(row["method"])] = None
    return [f"{dataset}, {', '.join(methods)}: {words}" for (dataset, words), methods in found.items()]


def claim_in(label: str) -> str:
    """What a row's label claims of its method: its second word after the run's own label, or the first without one."""
    return next((word for word in label.split("; ")[1::-1] if word.startswith(CLAIMS)), "")


def label_parts(label: str) -> tuple[list[str], str]:
    """A row's label: what its numbers are, word by word, and what its interval was resampled over (or nothing)."""
    words = label.split("; ")
    over = [word.removeprefix(INTERVAL) for word in words if word.startswith(INTERVAL)]
    return [word for word in words if not word.startswith(INTERVAL)], "".join(over)


def interval_units(frame: pd.DataFrame) -> list[str]:
    """What the intervals of each dataset were resampled over, by the cell with the most images; sets by themselves."""
    found: dict[tuple[str, bool], tuple[int, str]] = {}
    for row in frame[frame["paper"] == ""].to_dict("records"):
        of_sets = BY_NAME[row["metric"]].reference == "real"
        name = f"{row['metric']} of {row['dataset']}" if of_sets else str(row["dataset"])
        if over := label_parts(str(row["label"]))[1]:
            most = found.get((name, of_sets), (-1, ""))
            found[name, of_sets] = max(most, (int(row["n_used"]), over), key=lambda item: item[0])
    return [f"{name}, {over}" for (name, _), (_, over) in found.items()]


def notes(frame: pd.DataFrame, table: int) -> list[str]:
    """What a reader of this very table must know, a paragraph each; the runs' labels and reasons follow elsewhere."""
    metrics, own = metrics_of(table), frame[frame["paper"] == ""]
    units = interval_units(frame)
    apart = any(own_count(line, metric) for line in lines(own) for metric in metrics)
    strange = [f"Odd in the paper, reported and not corrected: {text}" for text in odd(table)]
    found = [
        NOTE if table in UNNAMED else "",
        PRINTED,
        _marks_said(own, metrics),
        f"{IMAGES}{'; in a cell where it differs from the line’s' if apart else ''}.",
        f"Beside a value its 95 % bootstrap interval, drawn from: {'; '.join(units)}." if units else "",
        _relative_said(own, metrics),
        EMBEDDED if any(backend_of(own, m) not in ("", m.standard) for m in metrics) else "",
        *strange,
    ]
    return [note for note in found if note]


def _marks_said(own: pd.DataFrame, metrics: list[Metric]) -> str:
    """What bold and underlined mean among the run's own methods; nothing where none has a rival."""
    trained = own[own["method"] != COPY_NAME]
    rivals = trained.groupby(["dataset", "motion"])["method"].nunique().max() if len(trained) else 0
    if rivals < 2:
        return ""
    second = ", underlined better than all but one" if rivals > 2 else ""
    sets = " and ".join(metric.name for metric in metrics if metric.reference == "real")
    return (
        f"Measured here: bold is significantly better than every other method of the same dataset and kind of motion"
        f"{second} (paired bootstrap over the pairs that both measured, p ≤ .05 by Holm within a column; the copy of"
        f" the source takes no part).{f' {sets}: no value per pair, so not marked.' if sets else ''}"
    )


def _relative_said(own: pd.DataFrame, metrics: list[Metric]) -> str:
    """What the kinds of motion are and what the numbers of relative motion are not, where the table has such rows."""
    compared = ", ".join(metric.name for metric in metrics if metric.reference in ("target", "pose"))
    relative = own[own["motion"].str.startswith("relative")]
    if relative.empty or not compared:
        return ""
    # Of the methods that offer it from the best frame, as those do that move keypoints and know no camera.
    keypoints = list(relative[relative["motion"] == "relative_best"]["method"].unique())
    said = "Relative motion moves the source's own camera by the driver's change"
    if keypoints:
        said = (
            f"{said} since its frame with the most closed mouth; of {', '.join(keypoints)}, which know no cameras, "
            "the source's keypoints by the change of the driver's since its clip's first held-out frame "
            "(relative_best: since the one most like the source), where absolute motion takes the driver's keypoints "
            "as they are"
        )
    return f"{said}: the driver's frame, with which {compared} compare, is not its aim."


def markdown(frame: pd.DataFrame, table: int, found: Marks) -> str:
    """One table as GitHub Markdown: for each metric of the paper its number and ours side by side."""
    metrics = metrics_of(table)
    head = ["Dataset", "Method"]
    for metric in metrics:
        backend = backend_of(frame, metric)
        if metric.paper:
            head.append(f"{metric.name} {metric.arrow} paper")
        head.append(f"{metric.name} {metric.arrow} measured" + (f" ({backend})" if backend else ""))
    head.append("images")
    body = []
    for line in lines(frame):
        row = [line.dataset or (DASH if line.from_paper else ""), line.name]
        for metric in metrics:
            cell = line.cells.get(metric.name)
            rank = line.rank(metric, found)
            if metric.paper:
                printed = str(cell["paper"]) if cell and cell["paper"] != "" else ""
                row.append(_marked(printed, rank) if printed else DASH)
            value = number(cell["measured"], metric) if cell else DASH
            own = value if line.from_paper or value == DASH else _marked(value, rank)
            count = own_count(line, metric)
            row.append(" ".join(part for part in (own, interval(cell, metric), f"({count})" if count else "") if part))
        row.append(counts(line))
        body.append(row)
    text = [f"# Table {table}. {TITLES[table]}", ""]
    text += [_markdown_row(head), _markdown_row(["---"] * 2 + ["---:"] * (len(head) - 2))]
    text += [_markdown_row(row) for row in body]
    for note in notes(frame, table):
        text += ["", note]
    text += ["", *(f"- {item}" for item in [*labels(frame), *reasons(frame)])]
    return "\n".join(text).rstrip() + "\n"


def _marked(text: str, rank: str) -> str:
    """GitHub's own underline is ``<ins>``."""
    return {"best": f"**{text}**", "second": f"<ins>{text}</ins>"}.get(rank, text)


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
