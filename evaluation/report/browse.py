"""What stands on the page of a method and on the page of a clip."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.metrics.catalogue import Metric
from evaluation.report.cases import (
    COUNTS,
    MOTIONS,
    Case,
    Failure,
    cases,
    failures,
    headlines,
    main_motion,
    metric_names,
    motion_said,
    spreads,
    used,
    with_unit,
)
from evaluation.report.gallery import Gallery
from evaluation.report.inline import template, video_uri
from evaluation.report.results import Results
from evaluation.settings import COPY
from evaluation.statistics import mean_interval
from evaluation.tables.render import DASH, TITLES, backend_of, counts, interval, lines, metrics_of, number
from preprocessing.reader import Sample

PROTOCOL_NAMES = {"self": "Self-reenactment", "cross": "Cross-identity", "multiview": "Multi-view"}
FAILURES = 12
"""Pictures of failures on a page, at most; all are counted."""


@dataclass(frozen=True)
class Shown:
    """What the pages of one dataset are made of."""

    results: Results
    gallery: Gallery
    names: dict[str, str]
    title: str
    samples: int
    entries: Sequence[Mapping[str, str]]

    @property
    def methods(self) -> dict[str, str]:
        """The methods that were scored on this dataset, slug → name."""
        return {slug: name for slug, name in self.names.items() if self.gallery.protocols(slug)}

    def videos(self, slug: str = "", clip: str = "") -> list[dict[str, Any]]:
        """The videos with this method, its moving camera where there is one, or those driven by this clip."""
        found = []
        for entry in self.results.videos():
            if entry["dataset"] == self.gallery.dataset and (entry["driver"] == clip or slug in entry["methods"]):
                path = self.results.directory / "videos" / entry["alone"].get(slug, entry["file"])
                found.append({**entry, "uri": video_uri(path)})
        return found

    def case(self, slug: str, protocol: str, pair: int, motion: str) -> dict[str, Any]:
        """One pair for the template: its pictures and its clips; what it scored or why it did not is added to it."""
        row = self.gallery.pairs(protocol)[pair]
        view = "" if pd.isna(row["yaw"]) else f"yaw {row['yaw']:+.1f}, pitch {row['pitch']:+.1f}"
        uri = self.gallery.pair(slug, protocol, pair, motion)
        return {"pair": pair, "value": "", "uri": uri, "view": view, "row": row, "motion": "", "reasons": {}}

    def cases(
        self, slug: str, protocol: str, metric: Metric, motion: str, found: Sequence[Case]
    ) -> list[dict[str, Any]]:
        """Several pairs with the metric's value."""
        return [self.case(slug, protocol, c.pair, motion) | {"value": with_unit(c.value, metric)} for c in found]

    def failed(self, slug: str, protocol: str, found: Sequence[Failure]) -> list[dict[str, Any]]:
        """Several pairs with their kind of motion, where there is one, and why they could not be used."""
        return [
            self.case(slug, protocol, f.pair, f.motion)
            | {"motion": f.motion if MOTIONS[f.motion] else "", "reasons": f.reasons}
            for f in found
        ]


def method_page(shown: Shown, slug: str) -> str:
    """The page of one method on one dataset."""
    protocols = []
    for protocol in shown.gallery.protocols(slug):
        scores = shown.gallery.scores(slug, protocol)
        rows = main_motion(scores)
        copy = rows.iloc[:0]
        if slug != COPY and protocol in shown.gallery.protocols(COPY):
            copy = main_motion(shown.gallery.scores(COPY, protocol))
        if rows.empty:
            continue
        picked = {metric: cases(rows, metric, COUNTS) for metric in headlines(rows, protocol)}
        motion, lost = str(rows["motion"].iloc[0]), failures(scores)
        protocols.append(
            {
                "key": protocol,
                "name": PROTOCOL_NAMES[protocol],
                "motion": MOTIONS[motion],
                "pairs": rows["pair"].nunique(),
                "unseen": rows.loc[rows["unseen"], "pair"].nunique(),
                "made": scores[scores["pair"] >= 0].groupby(["pair", "motion"]).ngroups,
                "spreads": spreads(rows, copy, protocol),
                "cases": {
                    metric: {g: shown.cases(slug, protocol, metric, motion, found) for g, found in groups.items()}
                    for metric, groups in picked.items()
                },
                "failed": len(lost),
                "failures": shown.failed(slug, protocol, lost[:FAILURES]),
            }
        )
    return template("method.html.j2").render(
        title=shown.names[slug],
        report=shown.title,
        dataset=shown.gallery.dataset,
        is_copy=slug == COPY,
        tables=numbers(shown.results, shown.gallery.dataset, shown.names[slug]),
        protocols=protocols,
        videos=shown.videos(slug=slug),
        entries=shown.entries,
        here=slug,
    )


def numbers(results: Results, dataset: str, name: str) -> list[dict[str, Any]]:
    """A method's rows of the run's tables on one dataset and on its unseen clips."""
    found = []
    for table, frame in results.tables().items():
        of_dataset = frame["dataset"].isin((dataset, f"{dataset}-unseen-clip"))
        own = frame[(frame["paper"] == "") & of_dataset & (frame["method"] == name)]
        metrics = metrics_of(table)
        rows = [
            {
                "name": f"{line.dataset}{f', {line.motion}' if line.motion else ''}",
                "cells": [_cell(line.cells.get(metric.name), metric) for metric in metrics],
                "counts": counts(line),
            }
            for line in lines(own)
        ]
        if rows:
            heads = [(metric, backend_of(own, metric)) for metric in metrics]
            found.append({"number": table, "title": TITLES[table], "metrics": heads, "rows": rows})
    return found


def _cell(cell: dict[str, Any] | None, metric: Metric) -> dict[str, str]:
    if cell is None:
        return {"value": DASH, "interval": "", "title": ""}
    return {
        "value": number(cell["measured"], metric),
        "interval": interval(cell, metric).strip("[]").replace(", ", "–"),
        "title": f"{cell['n_used']} of {cell['n_attempted']} images. {cell['reason']}".strip(),
    }


def clip_page(shown: Shown, clip: str, samples: Sequence[Sample], everything: int) -> str:
    """The page of one clip: what became of it, its frames, and what every method makes of it."""
    account = shown.results.accounts.get(shown.gallery.dataset, {"clips": []})
    protocols = []
    for protocol in ("self", "cross"):
        rows = {
            slug: part
            for slug in shown.methods
            if protocol in shown.gallery.protocols(slug)
            and len(part := _of_clip(main_motion(shown.gallery.scores(slug, protocol)), clip))
        }
        if not rows:
            continue
        metrics = metric_names(pd.concat(rows.values()))
        shown_metrics = headlines(pd.concat(rows.values()), protocol)
        protocols.append(
            {
                "key": protocol,
                "name": PROTOCOL_NAMES[protocol],
                "pairs": max(part["pair"].nunique() for part in rows.values()),
                "motion": motion_said(pd.concat(rows.values())),
                "metrics": [(metric, _backends(rows.values(), metric)) for metric in metrics],
                "rows": [
                    {"name": shown.names[slug], "cells": [_mean(part, metric, shown.samples) for metric in metrics]}
                    for slug, part in rows.items()
                ],
                "cases": {
                    metric: {
                        shown.names[slug]: {
                            group: shown.cases(slug, protocol, metric, str(part["motion"].iloc[0]), found)
                            for group, found in cases(part, metric, {"worst": 1, "best": 1}).items()
                        }
                        for slug, part in rows.items()
                    }
                    for metric in shown_metrics
                },
            }
        )
    splits: dict[str, int] = {}
    for sample in samples:
        splits[sample.split] = splits.get(sample.split, 0) + sample.frames
    return template("clip.html.j2").render(
        title=clip,
        report=shown.title,
        dataset=shown.gallery.dataset,
        person=samples[0].person,
        splits=splits,
        fps=samples[0].fps,
        tubes=len(samples),
        survival=[row for row in account["clips"] if row["clip"] == clip],
        contact=shown.gallery.contact(samples),
        videos=shown.videos(clip=clip),
        protocols=protocols,
        entries=shown.entries,
        here=clip,
        everything=everything,
    )


def _of_clip(rows: pd.DataFrame, clip: str) -> pd.DataFrame:
    """The pairs in which the clip is source or driver."""
    return rows[(rows["source_clip"] == clip) | (rows["driver_clip"] == clip)]


def _backends(parts: Iterable[pd.DataFrame], metric: Metric) -> str:
    """What measured a metric."""
    return ", ".join(sorted({str(name) for part in parts for name in used(part, metric)["backend"]}))


def _mean(rows: pd.DataFrame, metric: Metric, samples: int) -> dict[str, str]:
    part = used(rows, metric)
    if part.empty:
        return {"value": DASH, "interval": "", "title": "not measured"}
    values, clips, blocks = (part[name].tolist() for name in ("value", "driver_clip", "block"))
    mean = mean_interval(values, clips, blocks, samples)
    ends = [number(end, metric) for end in (mean.low, mean.high)]
    return {
        "value": number(mean.value, metric),
        "interval": "" if DASH in ends else "–".join(ends),
        "title": f"{len(part)} of {(rows['metric'] == metric.name).sum()} images; interval over {mean.units}",
    }
