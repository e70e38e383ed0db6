"""Tables 1–5 as LaTeX: plain ASCII, balanced, for any document that loads ``booktabs`` and ``graphicx``."""

import pandas as pd

from evaluation.metrics.catalogue import Metric
from evaluation.tables.comparisons import Marks
from evaluation.tables.render import (
    DASH,
    TITLES,
    Line,
    backend_of,
    counts,
    interval,
    labels,
    lines,
    metrics_of,
    notes,
    number,
    own_count,
    reasons,
)

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"$<$",
        ">": r"$>$",
        "|": r"$|$",
        '"': "''",
        "\n": " ",
        "“": "``",
        "”": "''",
        "‘": "`",
        "’": "'",
        "–": "--",
        "—": "---",
        "…": r"\dots{}",
        "×": r"$\times$",
        "±": r"$\pm$",
        "°": r"$^\circ$",
        "²": r"$^2$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "\u00a0": "~",
    }
)
NARROW = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # only wider tables are scaled
NEAR = "[-0.5ex]"  # an interval stands close below its value


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; letters beyond ASCII other than :data:`ESCAPES` stay (UTF-8)."""
    return text.translate(ESCAPES)


def tex(frame: pd.DataFrame, table: int, found: Marks) -> str:
    """One table: the paper's rows, then this run's over the same columns, each with its intervals beneath."""
    metrics = metrics_of(table)
    head = ["Method", *(f"{metric.name} {metric.arrow}" for metric in metrics), "images"]
    text = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption{{{escaped(_caption(frame, table, metrics))}}}",
        rf"\label{{tab:planedict-{table}}}",
        NARROW,
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        _row([escaped(name) for name in head]),
    ]
    section = None
    for line in lines(frame):
        paper = ", ".join(word for word in ("Paper", line.dataset) if word)
        here = paper if line.from_paper else f"Measured here, {line.dataset}"
        if here != section:
            text += [r"\midrule", rf"\multicolumn{{{len(head)}}}{{l}}{{\textit{{{escaped(here)}}}}} \\"]
            section = here
        text += _rows(line, metrics, found)
    text += [r"\bottomrule", r"\end{tabular}}", r"\par\smallskip", r"\begin{minipage}{\linewidth}\scriptsize"]
    text += [f"{escaped(note)}\\par" for note in [*notes(frame, table), *labels(frame), *reasons(frame)]]
    return "\n".join([*text, r"\end{minipage}", r"\end{table*}", ""])


def _caption(frame: pd.DataFrame, table: int, metrics: list[Metric]) -> str:
    """Title, datasets and backends."""
    datasets = list(dict.fromkeys(frame[frame["paper"] == ""]["dataset"]))
    backends = [f"{m.name} by {backend}" for m in metrics if (backend := backend_of(frame, m))]
    measured = f" Measured here: {', '.join(datasets)}." if datasets else ""
    return f"{TITLES[table]}.{measured}" + (f" Backends: {', '.join(backends)}." if backends else "")


def _rows(line: Line, metrics: list[Metric], found: Marks) -> list[str]:
    cells = [line.cells.get(metric.name) for metric in metrics]
    if line.from_paper:
        ranks = [line.rank(metric, found) for metric in metrics]
        values = [_marked(str(cell["paper"]), rank) if cell else "--" for cell, rank in zip(cells, ranks, strict=True)]
        measured = [number(cell["measured"], m) if cell else DASH for cell, m in zip(cells, metrics, strict=True)]
        rows = [_row([escaped(line.name), *values, ""])]
        if any(value != DASH for value in measured):
            here = ["--" if value == DASH else value for value in measured]
            rows.append(_row([r"\quad measured here", *here, escaped(counts(line))]))
        return rows
    values, beneath = [], []
    for cell, metric in zip(cells, metrics, strict=True):
        value = number(cell["measured"], metric) if cell else DASH
        values.append("--" if value == DASH else _marked(value, line.rank(metric, found)))
        extra = " ".join(part for part in (interval(cell, metric), own_count(line, metric)) if part)
        beneath.append(rf"{{\scriptsize {extra}}}" if extra else "")
    row = _row([escaped(line.name), *values, escaped(counts(line)).replace("---", "--")])
    return [f"{row}{NEAR}", _row(["", *beneath, ""])] if any(beneath) else [row]


def _marked(value: str, rank: str) -> str:
    return {"best": rf"\textbf{{{value}}}", "second": rf"\underline{{{value}}}"}.get(rank, value)


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
