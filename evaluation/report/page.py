"""The page of one run: what is on it, read from ``results/{run}``."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from evaluation.metrics.catalogue import BY_NAME, Metric
from evaluation.report.departures import departures
from evaluation.report.inline import picture_uri, template, video_uri
from evaluation.report.results import Results
from evaluation.report.verdicts import SAID, health_rows
from evaluation.settings import COPY_NAME, ReportSettings
from evaluation.tables.comparisons import Marks, marks
from evaluation.tables.paper import paper_ranks
from evaluation.tables.render import (
    DASH,
    TITLES,
    Line,
    backend_of,
    counts,
    interval,
    label_parts,
    lines,
    metrics_of,
    notes,
    number,
    own_count,
    reasons,
)

FIGURES = {
    1: "One source photo, one driving frame, any camera.",
    3: "Self-reenactment: the first frame of a clip, driven by held-out frames of the same clip.",
    4: "Cross-identity reenactment: one person's photo, another person's motion.",
    5: "Vertex distance of the output from the source's face (low keeps the identity) and from the driver's (high).",
    6: "The driven face from a fan of yaws and a fan of pitches.",
}


TABLE_FILES = ("csv", "md", "tex")


def table_view(frame: pd.DataFrame, table: int, comparisons: pd.DataFrame, files: Sequence[str] = ()) -> dict[str, Any]:
    """One table for the template: the paper's lines and the run's, grouped by dataset, with their marks and files."""
    metrics = metrics_of(table)
    found = marks(comparisons[comparisons["table"] == table], paper_ranks(table))
    own = [line for line in lines(frame) if not line.from_paper]
    paper = [line for line in lines(frame) if line.from_paper]
    return {
        "number": table,
        "title": TITLES[table],
        "notes": notes(frame, table),
        "paper_metrics": [m for m in metrics if m.paper],
        "metrics": [(m, backend_of(frame, m)) for m in metrics],
        "paper": _grouped(paper, lambda line: [_paper_cell(line, m, found) for m in metrics if m.paper]),
        "own": _grouped(own, lambda line: [_own_cell(line, m, found) for m in metrics]),
        "reasons": reasons(frame),
        "files": files,
    }


def _grouped(rows: Iterable[Line], cells: Callable[[Line], list[dict[str, str]]]) -> list[dict[str, Any]]:
    groups: dict[str, list[Line]] = {}
    for line in rows:
        groups.setdefault(line.dataset, []).append(line)
    return [
        {
            "dataset": dataset,
            "label": _group_label(group),
            "lines": [
                {"name": line.name, "cells": cells(line), "images": counts(line).partition(" ")} for line in group
            ],
        }
        for dataset, group in groups.items()
    ]


def _group_label(group: list[Line]) -> str:
    """What the group's trained lines are, without wording about intervals; what not all share follows, by method."""
    trained = [line for line in group if line.method != COPY_NAME] or group[:1]
    words = {line.method: label_parts(str(next(iter(line.cells.values()))["label"]))[0] for line in trained}
    shared = [word for word in next(iter(words.values())) if all(word in others for others in words.values())]
    own: dict[str, list[str]] = {}
    for method, said in words.items():
        if rest := ", ".join(word for word in said if word not in shared):
            own.setdefault(rest, []).append(method)
    return "; ".join([", ".join(shared), *(f"{', '.join(methods)}: {rest}" for rest, methods in own.items())])


def _paper_cell(line: Line, metric: Metric, found: Marks) -> dict[str, str]:
    cell = line.cells.get(metric.name)
    measured = number(cell["measured"], metric) if cell else DASH
    return {
        "value": str(cell["paper"]) if cell else DASH,
        "measured": "" if measured == DASH else measured,
        "rank": line.rank(metric, found),
    }


def _own_cell(line: Line, metric: Metric, found: Marks) -> dict[str, str]:
    """Value, interval, images lost, the reason of a dash, the rank, and how it stands against the copy."""
    cell = line.cells.get(metric.name)
    if cell is None or number(cell["measured"], metric) == DASH:
        empty = dict.fromkeys(("interval", "rank", "mark"), "")
        title = str(cell["reason"]) if cell else ""
        return empty | {"value": DASH, "count": own_count(line, metric), "title": title}
    return {
        "value": number(cell["measured"], metric),
        "interval": interval(cell, metric).strip("[]").replace(", ", "–"),
        "count": own_count(line, metric),
        "title": f"{cell['n_used']} of {cell['n_attempted']} images. {cell['label']}. {cell['reason']}".strip(),
        "rank": line.rank(metric, found),
        "mark": line.against_copy(metric, found),
    }


def figures(directory: Path, side: int) -> list[dict[str, Any]]:
    """The figures as data: URIs, the paper's numbers."""
    found = []
    for figure, text in FIGURES.items():
        path = directory / f"figure{figure}.png"
        if path.is_file():
            with Image.open(path) as picture:
                broad = picture.width > 1.6 * picture.height
            found.append({"number": figure, "uri": picture_uri(path, side), "text": text, "broad": broad})
    return found


def curves(directory: Path) -> list[dict[str, str]]:
    """Training curves by method, the longest training first."""
    found = []
    for path in sorted(directory.glob("*.png")):
        table = path.with_suffix(".parquet")
        steps = int(pd.read_parquet(table, columns=["step"])["step"].max()) if table.is_file() else 0
        found.append((-steps, {"method": path.stem, "steps": f"{steps:,}", "uri": picture_uri(path, 1300, False)}))
    return [entry for _, entry in sorted(found, key=lambda item: (item[0], item[1]["method"]))]


def videos(results: Results) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The opening video (the first main method with its moving camera) and the cross videos of all methods."""
    entries = [entry for entry in results.videos() if entry["kind"] == "cross"] or results.videos()
    folder = results.directory / "videos"
    opening = [{**entry, "uri": video_uri(folder / next(iter(entry["alone"].values()), entry["file"]))}
               for entry in entries[:1]]  # fmt: skip
    return opening, [{**entry, "uri": video_uri(folder / entry["file"])} for entry in entries]


def page(results: Results, samples: list[Path], title: str, settings: ReportSettings) -> str:
    """The whole page as HTML."""
    provenance, health = results.document("provenance.json") or {}, results.document("health.json")
    config = provenance.get("config") or {}
    times = provenance.get("wall_time") or {}
    opening, driven = videos(results)
    compared = results.comparisons()
    return template("report.html.j2").render(
        title=title,
        config=config,
        label=config.get("label") or "",
        accounts=[{"dataset": dataset, **account} for dataset, account in results.accounts.items()],
        samples=[{"name": _sample_title(p), "uri": picture_uri(p, settings.picture_side)} for p in samples],
        curves=curves(results.directory / "training"),
        health=health_rows(health),
        health_parts=SAID,
        seeds=(health or {}).get("seeds") or [],
        tables=[
            table_view(frame, n, compared, results.files(*(f"tables/table{n}.{kind}" for kind in TABLE_FILES)))
            for n, frame in results.tables().items()
        ],
        compared=results.files("tables/comparisons.csv"),
        embedded_data=[name for name, block in (config.get("datasets") or {}).items() if _embedded(block)],
        embedded_detectors=(config.get("evaluation") or {}).get("backend") == "embedded",
        figures=figures(results.directory / "figures", settings.picture_side),
        opening=opening,
        videos=driven,
        pages=results.pages(),
        departures=departures(config) if config else [],
        provenance=provenance,
        times=sorted(times.items(), key=lambda item: -item[1]["seconds"]),
        longest=max((t["seconds"] for t in times.values()), default=1) or 1,
        by_name=BY_NAME,
        config_text=json.dumps(config, indent=1, ensure_ascii=False),
    )


def _embedded(dataset: Any) -> bool:
    """Whether a dataset's configuration asks for the clips of installed packages."""
    return isinstance(dataset, dict) and (dataset.get("source") or {}).get("kind") == "embedded"


def _sample_title(path: Path) -> str:
    return path.stem.replace("_", " ").replace("-", " ")
