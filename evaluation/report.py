"""One self-contained page that says what a run did and what came out, pictures and videos inside.

Everything is read from ``results/{run}``; what is absent there is said to be absent. No request leaves the page.
"""

import argparse
import base64
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from evaluation.comparisons import COLUMNS as COMPARED
from evaluation.comparisons import Marks, marks, read_comparisons
from evaluation.departures import departures
from evaluation.metrics.catalogue import BY_NAME, Metric
from evaluation.paper import odd, paper_ranks
from evaluation.render import (
    DASH,
    LEGEND,
    NOTE,
    TITLES,
    UNNAMED,
    Line,
    backend_of,
    counts,
    interval,
    interval_units,
    lines,
    metrics_of,
    number,
    own_count,
    reasons,
)
from evaluation.settings import COPY_NAME, EvaluationSettings, ReportSettings
from preprocessing.cli import InputError, add_common, load_settings, read_mapping, run_command
from preprocessing.files import atomic

TEMPLATES = Path(__file__).with_name("templates")
FIGURES = {
    1: "One source photo, one driving frame, any camera.",
    3: "Self-reenactment: the first frame of a clip, driven by held-out frames of the same clip.",
    4: "Cross-identity reenactment: one person's photo, another person's motion.",
    5: "Vertex distance of the output from the source's face (low keeps the identity) and from the driver's (high).",
    6: "The driven face from a fan of yaws and a fan of pitches.",
}


@dataclass(frozen=True)
class Health:
    """One figure of ``health.json``: what it means and from where on it counts as passed (None: for information)."""

    key: str
    name: str
    meaning: str
    least: float | None
    unit: str = ""


HEALTH = (
    Health("face_found", "Face found", "share of outputs in which FaceMesh finds a face", 0.95),
    Health("yaw_correlation", "Yaw follows", "correlation of the output's yaw with the driver's", 0.9),
    Health("mouth_correlation", "Mouth follows, self", "correlation of the mouth opening with the driver's", 0.5),
    Health("mouth_correlation_cross", "Mouth follows, cross", "the same when another person drives", 0.5),
    Health("shuffle_drop_db", "Motion code is used", "PSNR lost in eyes and mouth by shuffling codes", 1.5, " dB"),
    Health("code_spread", "Motion code varies", "its deviation over a clip, relative to its size", 0.05),
    Health("swap_ratio", "Swap test", "mouth error with the opposite extreme's code over its own; 1: ignored", None),
    Health("source_nearer", "Identity stays", "share of cross outputs nearer to the source than to the driver", 0.85),
    Health("source_nearer_embedding", "Identity stays, embedding", "the same by face embeddings", None),
    Health("recognised", "Person recognised", "share of cross outputs that dlib takes for the source's person", None),
    Health("eye_correlation", "Eyes follow", "correlation of the lids' opening with the driver's", None),
    Health("gaze_correlation", "Gaze follows", "correlation of the irises' place with the driver's", None),
)  # fmt: skip
GAIN_MEAN, GAIN_EACH = 5.0, 2.0


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as a data: URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def picture_uri(path: Path, side: int, lossy: bool = True) -> str:
    """A picture as a data: URI, no longer than ``side``; JPEG for photographs, PNG for plots."""
    try:
        picture = Image.open(path).convert("RGB")
    except OSError as error:
        raise InputError(f"Cannot read the picture {path}: {error}.") from None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    if lossy:
        picture.save(stream, "JPEG", quality=88, optimize=True, subsampling=0)
        return data_uri(stream.getvalue(), "image/jpeg")
    picture.quantize(128).save(stream, "PNG", optimize=True)
    return data_uri(stream.getvalue(), "image/png")


def health_rows(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The health figures with their thresholds and verdicts (True, False, or None where there is none)."""
    if document is None:
        return []
    gains = {person: float(gain) for person, gain in (document.get("psnr_gain_db") or {}).items() if gain is not None}
    rows = []
    if gains:
        mean = sum(gains.values()) / len(gains)
        each = ", ".join(f"{person} {gain:+.1f}" for person, gain in sorted(gains.items()))
        rows.append(
            {
                "name": "Better than the copy",
                "meaning": f"PSNR of self-reenactment over the copy of the source ({each})",
                "value": f"{mean:+.1f} dB",
                "least": f"≥ {GAIN_MEAN:g} dB, each ≥ {GAIN_EACH:g}",
                "passed": mean >= GAIN_MEAN and min(gains.values()) >= GAIN_EACH,
            }
        )
    for item in HEALTH:
        value = document.get(item.key)
        known = value is not None
        rows.append(
            {
                "name": item.name,
                "meaning": item.meaning,
                "value": f"{float(value):.2f}{item.unit}" if value is not None else DASH,
                "least": "" if item.least is None else f"≥ {item.least:g}{item.unit}",
                "passed": None if item.least is None or not known else float(value or 0) >= item.least,
            }
        )
    return rows


def table_view(frame: pd.DataFrame, table: int, comparisons: pd.DataFrame) -> dict[str, Any]:
    """One table for the template: the paper's lines and the run's, grouped by dataset, with their marks."""
    metrics = metrics_of(table)
    found = marks(comparisons[comparisons["table"] == table], paper_ranks(table))
    own = [line for line in lines(frame) if not line.from_paper]
    paper = [line for line in lines(frame) if line.from_paper]
    return {
        "number": table,
        "title": TITLES[table],
        "note": NOTE if table in UNNAMED else "",
        "odd": odd(table),
        "paper_metrics": [m for m in metrics if m.paper],
        "metrics": [(m, backend_of(frame, m)) for m in metrics],
        "paper": _grouped(paper, lambda line: [_paper_cell(line, m, found) for m in metrics if m.paper]),
        "own": _grouped(own, lambda line: [_own_cell(line, m, found) for m in metrics]),
        "reasons": reasons(frame),
        "units": interval_units(frame),
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
    """The label of the group's first trained line, without the wording about intervals."""
    trained = next((line for line in group if line.method != COPY_NAME), group[0])
    words = str(next(iter(trained.cells.values()))["label"]).split("; ")
    return ", ".join(word for word in words if not word.startswith("interval"))


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


class Results:
    """The files of one run, each optional."""

    def __init__(self, directory: Path, settings: ReportSettings) -> None:
        if not directory.is_dir():
            raise InputError(f"There are no results in {directory}.")
        self.directory, self.settings = directory, settings

    def document(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the run, None when it is not there."""
        path = self.directory / name
        return read_mapping(path) if path.is_file() else None

    def accounts(self) -> list[dict[str, Any]]:
        """The survival tables, one per dataset."""
        return [{"dataset": p.stem, **read_mapping(p)} for p in sorted((self.directory / "dataset").glob("*.json"))]

    def tables(self) -> list[dict[str, Any]]:
        """Tables 1 to 5 for the template; without their comparisons nothing of the run's is marked."""
        path = self.directory / "tables" / "comparisons.csv"
        comparisons = read_comparisons(path) if path.is_file() else pd.DataFrame(columns=list(COMPARED))
        views = []
        for table in TITLES:
            path = self.directory / "tables" / f"table{table}.csv"
            if path.is_file():
                text = dict.fromkeys(
                    ("dataset", "method", "metric", "motion", "paper", "backend", "label", "reason"), str
                )
                frame = pd.read_csv(
                    path,
                    dtype=text,
                    keep_default_na=False,
                    na_values={n: [""] for n in ("measured", "ci_low", "ci_high")},
                )
                views.append(table_view(frame, table, comparisons))
        return views

    def figures(self) -> list[dict[str, Any]]:
        """The figures as data: URIs."""
        found = []
        for figure, text in FIGURES.items():
            path = self.directory / "figures" / f"figure{figure}.png"
            if path.is_file():
                with Image.open(path) as picture:
                    broad = picture.width > 1.6 * picture.height
                uri = picture_uri(path, self.settings.picture_side)
                found.append({"number": figure, "uri": uri, "text": text, "broad": broad})
        return found

    def curves(self) -> list[dict[str, str]]:
        """Training curves by method, the longest training first."""
        found = []
        for path in sorted((self.directory / "training").glob("*.png")):
            table = path.with_suffix(".parquet")
            steps = int(pd.read_parquet(table, columns=["step"])["step"].max()) if table.is_file() else 0
            found.append((-steps, {"method": path.stem, "steps": f"{steps:,}", "uri": picture_uri(path, 1300, False)}))
        return [entry for _, entry in sorted(found, key=lambda item: (item[0], item[1]["method"]))]

    def videos(self) -> tuple[list[str], list[dict[str, Any]]]:
        """The panels' names and the driven clips as data: URIs."""
        index = self.document("videos/videos.json")
        if index is None:
            return [], []
        clips = [
            {**entry, "uri": data_uri((self.directory / "videos" / entry["file"]).read_bytes(), "video/mp4")}
            for entry in index["videos"]
        ]
        return index["panels"], clips


def page(results: Results, samples: list[Path], title: str) -> str:
    """The whole page as HTML."""
    provenance = results.document("provenance.json") or {}
    panels, videos = results.videos()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    config = provenance.get("config") or {}
    times = provenance.get("wall_time") or {}
    return environment.get_template("report.html.j2").render(
        title=title,
        config=config,
        label=config.get("label") or "",
        accounts=results.accounts(),
        samples=[{"name": _sample_title(p), "uri": picture_uri(p, results.settings.picture_side)} for p in samples],
        curves=results.curves(),
        health=health_rows(results.document("health.json")),
        seeds=(results.document("health.json") or {}).get("seeds") or [],
        tables=results.tables(),
        legend=LEGEND,
        figures=results.figures(),
        panels=panels,
        videos=videos,
        departures=departures(config) if config else [],
        provenance=provenance,
        times=sorted(times.items(), key=lambda item: -item[1]["seconds"]),
        longest=max((t["seconds"] for t in times.values()), default=1) or 1,
        by_name=BY_NAME,
        config_text=json.dumps(config, indent=1, ensure_ascii=False),
    )


def _sample_title(path: Path) -> str:
    return path.stem.replace("_", " ").replace("-", " ")


def main(argv: list[str] | None = None) -> None:
    """Command line: the page of one run."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report", description=__doc__)
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="results/{run}")
    parser.add_argument(
        "--samples", type=Path, nargs="*", default=[], metavar="PNG", help="contact sheets of the stages"
    )
    parser.add_argument("--title", help="default: PlaneDict and the folder's name")
    parser.add_argument("--output", type=Path, required=True, metavar="HTML", help="results/{run}/report.html")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").report
    results = Results(arguments.results, settings)
    text = page(results, arguments.samples, arguments.title or f"PlaneDict: {arguments.results.resolve().name}")
    with atomic(arguments.output) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
