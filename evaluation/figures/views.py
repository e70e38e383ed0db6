"""Figures 1 and 6: the driven face from other cameras."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from evaluation.figures.canvas import Cell, Grid, Row, beside, footer, notice, stacked
from evaluation.figures.material import Column, Material, Pair, all_columns, origin
from evaluation.sampling import VIEW_OFFSETS
from evaluation.settings import FigureSettings

Views = dict[tuple[float, float], Pair]
NO_VIEWS = "This run has no multi-view pairs to show: they need two people and a method that renders views."


def views(data: Material) -> list[Views]:
    """The multi-view pairs of each source and driver frame, by rounded (yaw, pitch)."""
    groups: dict[tuple[str, int, str, int], Views] = {}
    for pair in data.pairs("multiview"):
        key = (pair["source_key"], pair["source_frame"], pair["driver_key"], pair["driver_frame"])
        groups.setdefault(key, {})[round(float(pair["yaw"]), 3), round(float(pair["pitch"]), 3)] = pair
    return list(groups.values())


def fan(count: int) -> list[float]:
    """At most ``count`` of the protocol's offsets in radians, symmetric around zero."""
    offsets = list(VIEW_OFFSETS)
    if count == 1:
        return [offsets[len(offsets) // 2]]
    places = np.linspace(0, len(offsets) - 1, min(count, len(offsets)))
    return [offsets[i] for i in sorted({round(x) for x in places})]


def _radians(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−") if value else "0"


def _shown(data: Material, column: Column, pairs: Views, wanted: Sequence[tuple[float, float]]) -> list[Cell]:
    """A method's frames of these (yaw, pitch)."""
    made = [data.generated(column, "multiview", pairs[view]) if view in pairs else None for view in wanted]
    return [Cell(picture, "" if picture is not None else "—") for picture in made]


def figure6(material: list[Material], settings: FigureSettings, scale: str) -> Image.Image:
    """Each multi-view pair from a fan of yaws and a fan of pitches, by every method that renders views."""
    offsets = fan(settings.views)
    rows: list[Row] = []
    fans = {"yaw": [(x, 0.0) for x in offsets], "pitch": [(0.0, x) for x in offsets]}
    for data in material:
        columns = data.columns("multiview")
        for pairs in views(data)[: settings.rows] if columns else []:
            first = next(iter(pairs.values()))
            given = [Cell(data.source(first), "source"), Cell(data.driver(first), "driving")]
            turns = [(turn, column) for turn in fans for column in columns]
            for place, (turn, column) in enumerate(turns):
                cells = [given[place] if place < 2 else Cell(None), *_shown(data, column, pairs, fans[turn])]
                rows.append(Row(cells, f"{column.name}\n{turn}", apart=place == 0 and bool(rows)))
    if not rows:
        return notice(NO_VIEWS)
    heads = ["Given", *(_radians(x) for x in offsets)]
    text = (
        "Multi-view reenactment: the source's face with one expression of another person, from cameras turned about"
        f" the frontal one by yaw and by pitch. {_unable(material)}{origin(material, scale)}"
    )
    return Grid(heads, rows, [(1, len(offsets), "camera offset, radians")], text).draw(settings.cell)


def _unable(material: Sequence[Material]) -> str:
    """Names the methods that were run but render no other views."""
    able = {column.slug for column in all_columns(material, "multiview")}
    names = [column.name for column in all_columns(material, "cross") if column.slug not in able]
    return f"Not shown, as they render no other views: {', '.join(names)}. " if names else ""


def figure1(material: list[Material], settings: FigureSettings, scale: str) -> Image.Image:
    """The overview: one source photo, one driving frame, and the driven face from yaw × pitch views."""
    columns = all_columns(material, "multiview")[:1]
    examples = [(data, pairs) for data in material for pairs in views(data)[:2] if columns][:2]
    if not examples:
        return notice(NO_VIEWS)
    offsets, cell = fan(settings.views), settings.cell // 2
    size = max(13, cell // 4)
    page = beside([_overview(data, columns[0], pairs, offsets, cell, size) for data, pairs in examples], cell // 3)
    text = (
        f"One-shot multi-view reenactment by {columns[0].name}: a source photo, another person's expression, and the"
        f" camera turned by yaw (across) and pitch (down), in radians. {_unable(material)}{origin(material, scale)}"
    )
    return stacked([page, footer(text, page.width, size)])


def _overview(
    data: Material, column: Column, pairs: Views, offsets: Sequence[float], cell: int, size: int
) -> Image.Image:
    """Source and driver, large, at the left of a grid of views."""
    rows = [Row(_shown(data, column, pairs, [(yaw, pitch) for yaw in offsets]), _radians(pitch)) for pitch in offsets]
    grid = Grid([_radians(yaw) for yaw in offsets], rows).draw(cell, size)
    first, large = next(iter(pairs.values())), round(grid.height / 2 - 1.8 * size)
    inputs = [
        Grid([head], [Row([Cell(picture)])]).draw(large, size)
        for head, picture in (("Source", data.source(first)), ("Driving", data.driver(first)))
    ]
    return beside([stacked(inputs), grid], 0)
