"""Tables for reading: Markdown, LaTeX, and the grid that the report turns into HTML."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.metrics.catalogue import BY_NAME, METRICS, TABLES, Metric

TITLES = {
    1: "Visual quality of self-reenactment",
    2: "Identity fidelity and motion accuracy of self-reenactment",
    3: "Cross-identity reenactment",
    4: "Multi-view synthesis",
    5: "Ablation of the plane dictionary (cross-identity)",
}
UNNAMED = {1, 2, 4}
NOTE = "The paper names no dataset for this table; this project measures it on VoxCeleb1's test set."
DASH = "—"


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
        """The method, with its motion where there is one."""
        return f"{self.method} ({self.motion})" if self.motion else self.method


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


def with_interval(cell: dict[str, Any] | None, metric: Metric) -> str:
    """A measured value and its 95 % interval, or a dash."""
    if cell is None or number(cell["measured"], metric) == DASH:
        return DASH
    text = number(cell["measured"], metric)
    if number(cell["ci_low"], metric) == DASH:
        return text
    return f"{text} [{number(cell['ci_low'], metric)}, {number(cell['ci_high'], metric)}]"


def counts(line: Line) -> str:
    """Images used / attempted over the line's metrics: one pair where all agree, else the least used."""
    pairs = [
        (int(c["n_used"]), int(c["n_attempted"]))
        for c in line.cells.values()
        if number(c["measured"], BY_NAME[c["metric"]]) != DASH
    ]
    if not pairs:
        return DASH
    used, attempted = min(pairs)
    return f"{used}/{attempted}"


def backend_of(frame: pd.DataFrame, metric: Metric) -> str:
    """The backend that measured a metric in this table, or an empty string."""
    named = frame[(frame["metric"] == metric.name) & (frame["backend"] != "")]["backend"]
    return str(named.iloc[0]) if len(named) else ""


def reasons(frame: pd.DataFrame) -> list[str]:
    """Why cells of the run's own rows are empty or incomplete, each once."""
    found: dict[str, None] = {}
    for row in frame[(frame["paper"] == "") & (frame["reason"] != "")].to_dict("records"):
        empty = number(row["measured"], BY_NAME[row["metric"]]) == DASH
        where = "" if empty else f", {row['method']}{' ' + row['motion'] if row['motion'] else ''}, {row['dataset']}"
        found[f"{row['metric']}{where}: {row['reason']}"] = None
    return list(found)


def labels(frame: pd.DataFrame) -> list[str]:
    """What each of the run's datasets and methods is, without the interval's wording, each once."""
    found: dict[str, None] = {}
    for row in frame[frame["paper"] == ""].to_dict("records"):
        words = [word for word in str(row["label"]).split("; ") if not word.startswith("interval")]
        found[f"{row['dataset']}, {row['method']}: {'; '.join(words)}"] = None
    return list(found)


def interval_units(frame: pd.DataFrame) -> list[str]:
    """What the table's intervals were resampled over, each wording once."""
    found: dict[str, None] = {}
    for label in frame[frame["paper"] == ""]["label"]:
        for word in str(label).split("; "):
            if word.startswith("interval"):
                found[word] = None
    return list(found)


def markdown(frame: pd.DataFrame, table: int) -> str:
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
            if metric.paper:
                row.append(str(cell["paper"]) if cell and cell["paper"] != "" else DASH)
            row.append(with_interval(cell, metric))
        row.append(counts(line))
        body.append(row)
    text = [f"# Table {table}. {TITLES[table]}", ""]
    if table in UNNAMED:
        text += [NOTE, ""]
    text += [_markdown_row(head), _markdown_row(["---"] * 2 + ["---:"] * (len(head) - 2))]
    text += [_markdown_row(row) for row in body]
    text += ["", "Brackets: 95 % bootstrap interval" + "".join(f"; {unit}" for unit in interval_units(frame)) + "."]
    text += [
        "An embedded backend is not the paper's: its numbers compare methods within this run, not with the paper.",
        "",
    ]
    text += [f"- {label}" for label in labels(frame)] + [f"- {reason}" for reason in reasons(frame)]
    return "\n".join(text).rstrip() + "\n"


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tex(frame: pd.DataFrame, table: int) -> str:
    """One table as LaTeX (booktabs): the paper's rows, then this run's, over the same columns."""
    metrics = metrics_of(table)
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
    head = ["Method"] + [f"{_tex(metric.name)} {arrows[metric.arrow]}" for metric in metrics]
    text = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(TITLES[table])}.}}",
        rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}",
    ]
    text += [r"\toprule", " & ".join(head) + r" \\"]
    section = None
    for line in lines(frame):
        here = (
            f"Paper{', ' + line.dataset if line.dataset else ''}"
            if line.from_paper
            else f"Measured here, {line.dataset}"
        )
        if here != section:
            text += [r"\midrule", rf"\multicolumn{{{len(head)}}}{{l}}{{\textit{{{_tex(here)}}}}} \\"]
            section = here
        cells = [line.cells.get(metric.name) for metric in metrics]
        values = [
            (str(cell["paper"]) or "--")
            if cell and line.from_paper
            else with_interval(cell, metric).replace(DASH, "--")
            for cell, metric in zip(cells, metrics, strict=True)
        ]
        text.append(" & ".join([_tex(line.name)] + ["--" if value == "" else value for value in values]) + r" \\")
    return "\n".join([*text, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _tex(text: str) -> str:
    for plain, escaped in (("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#")):
        text = text.replace(plain, escaped)
    return text
