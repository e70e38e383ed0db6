"""Figures 1 and 3 to 6 of the paper from this run's re-enacted frames: our rows, with room for any number of methods.

Rows are taken at even steps through the pair lists, not picked.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.canvas import Cell, Grid, Row, beside, footer, notice, stacked
from evaluation.metrics.faces import FaceReader
from evaluation.outputs import Inputs, Reenactments, Shards, read_pairs
from evaluation.protocol import VIEW_OFFSETS
from evaluation.settings import EvaluationSettings, FigureSettings
from evaluation.tables import Methods
from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.files import atomic

Picture = NDArray[np.uint8]
FIGURES = (1, 3, 4, 5, 6)
Pair = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One method under one kind of motion."""

    slug: str
    motion: str
    title: str


class Material:
    """The frames of one dataset: sources and drivers on black, and each method's outputs."""

    def __init__(
        self, pairs: Path, reenactments: Path, shards: Shards, methods: dict[str, str], clips: set[str] | None = None
    ) -> None:
        self.dataset = pairs.name
        self._clips = clips
        self._pairs, self._reenactments, self._shards = pairs, reenactments, shards
        self._methods = methods
        self._open: dict[tuple[str, str], Reenactments | None] = {}
        self._inputs: Inputs | None = None

    def pairs(self, protocol: str) -> list[Pair]:
        """The pair list of one protocol, as far as both clips may be shown."""
        pairs = read_pairs(self._pairs / f"{protocol}.csv")
        if self._clips is not None:
            pairs = pairs[pairs["source_clip"].isin(self._clips) & pairs["driver_clip"].isin(self._clips)]
        return [{**pair, "dataset": self.dataset} for pair in pairs.to_dict("records")]

    def outputs(self, slug: str, protocol: str) -> Reenactments | None:
        """One method's frames under one protocol, None where it was not run."""
        key = (slug, protocol)
        if key not in self._open:
            folder = self._reenactments / slug / protocol
            self._open[key] = Reenactments(folder) if (folder / "index.parquet").is_file() else None
        return self._open[key]

    def columns(self, protocol: str, motions: Sequence[str] = ("absolute",)) -> list[Column]:
        """The methods that have frames of these kinds under ``protocol``."""
        found = []
        for slug, name in self._methods.items():
            outputs = self.outputs(slug, protocol)
            for motion in motions:
                if outputs is not None and motion in outputs.motions:
                    found.append(Column(slug, motion, name if motion == motions[0] else f"{name} ({motion})"))
        return found

    def generated(self, column: Column, protocol: str, pair: Pair) -> Picture | None:
        """What a method made of a pair."""
        outputs = self.outputs(column.slug, protocol)
        member = outputs.members(column.motion).get(int(pair["pair"])) if outputs else None
        return outputs.picture(member) if outputs and member else None

    def source(self, pair: Pair) -> Picture:
        """A pair's source at the shards' own resolution, on black."""
        return self._input(pair["source_key"], pair["source_frame"])

    def driver(self, pair: Pair) -> Picture:
        """A pair's driving frame at the shards' own resolution, on black."""
        return self._input(pair["driver_key"], pair["driver_frame"])

    def _input(self, key: str, frame: int) -> Picture:
        if self._inputs is None:
            self._inputs = Inputs(self._shards, 256)
        return self._inputs.picture(key, int(frame))


def spread(items: Sequence[Pair], count: int, group: Callable[[Pair], Any]) -> list[Pair]:
    """At most ``count`` pairs: the groups take turns, and each gives its pairs at even steps."""
    groups: dict[Any, list[Pair]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    share = -(-count // max(1, len(groups)))
    stepped = [[g[i] for i in _steps(len(g), share)] for g in groups.values()]
    turns = [pair for turn in zip_longest(*stepped) for pair in turn if pair is not None]
    return turns[:count]


def _steps(length: int, count: int) -> list[int]:
    """``count`` different positions in the middle of even slices."""
    return sorted({min(length - 1, int((i + 0.5) * length / count)) for i in range(count)})


def _people(pair: Pair) -> tuple[bool, str, str]:
    return bool(pair["unseen"]), pair["source_clip"], pair["driver_clip"]


def _label(pair: Pair) -> str:
    return f"{pair['source_clip']}, unseen clip" if pair["unseen"] else str(pair["source_clip"])


def figure3(material: list[Material], settings: FigureSettings, label: str) -> Image.Image:
    """Self-reenactment: source, driver, and each method's output."""
    return _grid(material, "self", settings, ("absolute",), f"Self-reenactment of held-out frames ({label}).")


def figure4(material: list[Material], settings: FigureSettings, label: str) -> Image.Image:
    """Cross-identity reenactment: source, driver, and each method's output with absolute and relative motion."""
    return _grid(material, "cross", settings, ("absolute", "relative"), f"Cross-identity reenactment ({label}).")


def _grid(
    material: list[Material], protocol: str, settings: FigureSettings, motions: Sequence[str], caption: str
) -> Image.Image:
    columns = _all_columns(material, protocol, motions)
    rows = []
    for data, pair in _chosen(material, protocol, settings.rows):
        cells = [Cell(data.source(pair)), Cell(data.driver(pair))]
        cells += [Cell(data.generated(column, protocol, pair)) for column in columns]
        rows.append(Row(cells, _label(pair)))
    if not rows or not columns:
        return notice(f"This run has no {protocol} pairs to show.")
    return Grid(["Source", "Driving", *(column.title for column in columns)], rows, caption=caption).draw(settings.cell)


def _chosen(material: list[Material], protocol: str, count: int) -> list[tuple[Material, Pair]]:
    by_name = {data.dataset: data for data in material}
    pairs = [pair for data in material for pair in data.pairs(protocol)]
    ordered = spread(pairs, count, lambda pair: (pair["dataset"], *_people(pair)))
    return [(by_name[pair["dataset"]], pair) for pair in sorted(ordered, key=lambda p: bool(p["unseen"]))]


def _all_columns(material: list[Material], protocol: str, motions: Sequence[str]) -> list[Column]:
    return list(dict.fromkeys(column for data in material for column in data.columns(protocol, motions)))


def figure5(material: list[Material], settings: FigureSettings, label: str) -> Image.Image:
    """Vertex distance of each output from its source (low is good) and from its driver (high is good)."""
    from evaluation.heatmap import colour_bar, heat_map, vertex_distances

    columns = _all_columns(material, "cross", ("absolute",))
    reader, rows = FaceReader(), []
    for data, pair in _chosen(material, "cross", settings.rows):
        source, driver = data.source(pair), data.driver(pair)
        cells = [Cell(source), Cell(driver)]
        faces = [reader.read(source), reader.read(driver)]
        for column in columns:
            made = data.generated(column, "cross", pair)
            face = None if made is None else reader.read(made)
            cells.append(Cell(made))
            for reference, arrow in zip(faces, "↓↑", strict=True):
                if face is None or reference is None:
                    cells.append(Cell(None, "no face found"))
                    continue
                distances = vertex_distances(reference.landmarks, face.landmarks)
                cells.append(Cell(heat_map(distances, settings.cell), f"{arrow} {distances.mean():.3f} dm"))
        rows.append(Row(cells, _label(pair)))
    if not rows or not columns:
        return notice("This run has no cross pairs to show.")
    heads = ["Source", "Driving"] + ["Output", "From source ↓", "From driver ↑"] * len(columns)
    groups = [(2 + 3 * i, 4 + 3 * i, column.title) for i, column in enumerate(columns)]
    caption = f"Mean distance of 468 FaceMesh points after similarity alignment ({label}); expression is not removed."
    page = Grid(heads, rows, groups, caption).draw(settings.cell)
    return stacked([page, Image.fromarray(colour_bar(page.width, max(60, settings.cell // 3)))])


def _views(data: Material) -> dict[tuple[str, int, str, int], dict[tuple[float, float], Pair]]:
    """The multi-view pairs by source and driver frame, then by rounded (yaw, pitch)."""
    groups: dict[tuple[str, int, str, int], dict[tuple[float, float], Pair]] = {}
    for pair in data.pairs("multiview"):
        key = (pair["source_key"], pair["source_frame"], pair["driver_key"], pair["driver_frame"])
        groups.setdefault(key, {})[round(float(pair["yaw"]), 3), round(float(pair["pitch"]), 3)] = pair
    return groups


def _fan(offsets: Sequence[float], count: int) -> list[float]:
    """``count`` of the offsets, symmetric around zero."""
    if count >= len(offsets):
        return list(offsets)
    return [offsets[i] for i in sorted({round(x) for x in np.linspace(0, len(offsets) - 1, count)})]


def _radians(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−") if value else "0"


def figure6(material: list[Material], settings: FigureSettings, label: str) -> Image.Image:
    """Each cross pair from a fan of yaws and a fan of pitches."""
    fan = _fan(VIEW_OFFSETS, settings.views)
    wanted = [(yaw, 0.0) for yaw in fan] + [(0.0, pitch) for pitch in fan]
    rows = []
    for data in material:
        for views in list(_views(data).values())[: settings.rows]:
            first = next(iter(views.values()))
            for column in data.columns("multiview"):
                shown = [views.get(view) for view in wanted]
                cells = [Cell(None if pair is None else data.generated(column, "multiview", pair)) for pair in shown]
                rows.append(Row([Cell(data.source(first)), Cell(data.driver(first)), *cells], column.title))
    if not rows:
        return notice("This run has no multi-view pairs to show: they need two people.")
    heads = ["Source", "Driving", *(_radians(yaw) for yaw in fan), *(_radians(pitch) for pitch in fan)]
    groups = [(2, 1 + len(fan), "yaw (rad)"), (2 + len(fan), 1 + 2 * len(fan), "pitch (rad)")]
    caption = f"One expression from several cameras ({label}); offsets from the frontal camera."
    return Grid(heads, rows, groups, caption).draw(max(48, settings.cell * 3 // 4))


def figure1(material: list[Material], settings: FigureSettings, label: str) -> Image.Image:
    """The overview: one source photo, one driving frame, and the driven face from yaw × pitch views."""
    fan, pages = _fan(VIEW_OFFSETS, settings.views), []
    for data in material:
        for column in data.columns("multiview")[:1]:
            for views in list(_views(data).values())[:2]:
                pages.append(_overview(data, column, views, fan, settings.cell // 2))
    if not pages:
        return notice("This run has no multi-view pairs to show: they need two people.")
    page = beside(pages[:2], settings.cell // 6)
    caption = f"One-shot multi-view reenactment: source identity, driver's expression, free camera ({label})."
    return stacked([page, footer(caption, page.width, max(14, settings.cell // 11))])


def _overview(
    data: Material, column: Column, views: dict[tuple[float, float], Pair], fan: Sequence[float], cell: int
) -> Image.Image:
    """Source and driver, large, at the left of a grid of views."""
    rows = []
    for pitch in fan:
        shown = [views.get((yaw, pitch)) for yaw in fan]
        cells = [Cell(None if pair is None else data.generated(column, "multiview", pair)) for pair in shown]
        rows.append(Row(cells, f"pitch {_radians(pitch)}"))
    grid = Grid([f"yaw {_radians(yaw)}" for yaw in fan], rows, [(0, len(fan) - 1, column.title)]).draw(cell)
    first, large = next(iter(views.values())), round(grid.height / 2 / 1.18)
    inputs = [
        Grid([t], [Row([Cell(p)])]).draw(large)
        for t, p in (("Source", data.source(first)), ("Driving", data.driver(first)))
    ]
    return beside([stacked(inputs), grid], 0)


DRAW: dict[int, Callable[[list[Material], FigureSettings, str], Image.Image]] = {
    1: figure1,
    3: figure3,
    4: figure4,
    5: figure5,
    6: figure6,
}


def main(argv: list[str] | None = None) -> None:
    """Command line: draw figures 1 and 3 to 6 of one run."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.figures", description=__doc__)
    parser.add_argument(
        "--shards",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="data/{dataset}/shards of the test datasets",
    )
    parser.add_argument(
        "--pairs", type=Path, required=True, nargs="+", metavar="DIR", help="results/{run}/pairs/{dataset}"
    )
    parser.add_argument(
        "--reenactments",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="results/{run}/reenactments/{dataset}, in the order of --pairs",
    )
    parser.add_argument(
        "--methods", required=True, metavar="JSON", help='{"main": {slug: name}, "ablation": {…}} as for the tables'
    )
    parser.add_argument("--label", default="", help="the run's label, such as demo-scale")
    parser.add_argument(
        "--clips", nargs="+", metavar="CLIP", help="show only pairs of these clips (for pictures to be published)"
    )
    parser.add_argument("--credit", default="", help="ends every caption: whose clips are seen")
    parser.add_argument("--only", type=int, nargs="+", choices=FIGURES, default=list(FIGURES), help="draw only these")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="results/{run}/figures")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from preprocessing.reader import ShardReader

    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").figures
    if [path.name for path in arguments.pairs] != [path.name for path in arguments.reenactments]:
        raise InputError("--pairs and --reenactments must name the same datasets in the same order.")
    methods = Methods.read(arguments.methods)
    shards = ShardReader(arguments.shards)
    material = [
        Material(pairs, reenactments, shards, methods.main, set(arguments.clips) if arguments.clips else None)
        for pairs, reenactments in zip(arguments.pairs, arguments.reenactments, strict=True)
    ]
    for number in arguments.only:
        page = DRAW[number](material, settings, arguments.label or "this run")
        if arguments.credit:
            page = stacked([page, footer(arguments.credit, page.width, max(11, settings.cell // 14))])
        with atomic(arguments.output / f"figure{number}.png") as temporary:
            page.save(temporary, "PNG", optimize=True, dpi=(settings.dpi, settings.dpi))


if __name__ == "__main__":
    main()
