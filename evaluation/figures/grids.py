"""Figures 3 to 5: an example a row, the methods side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby

import numpy as np
from PIL import Image

from evaluation.figures.canvas import Cell, Grid, Row, footer, letters, notice, stacked
from evaluation.figures.faces import Faces, Landmarks, closeups
from evaluation.figures.heatmap import colour_bar, heat_map, vertex_distances
from evaluation.figures.material import Column, Material, Pair, all_columns, chosen, label, origin
from evaluation.pictures import resized
from evaluation.settings import COPY, FigureSettings

ACROSS = 8  # pictures side by side, at most; more methods go below
MAPS_ACROSS = 11  # the same where each method has heat maps: three of them
ROOMY = 4  # up to so many, close-ups stand beside their pictures
NO_FACE = "no face found"
GROUPS = {
    "absolute": "absolute motion",
    "relative": "relative motion",
    "relative_best": "relative motion, from the best frame",
}


@dataclass(frozen=True)
class Block:
    """The columns of one method: headings, what stands above them, and for each example its cells."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    group: str = ""


def side_by_side(
    inputs: Block, methods: Sequence[Block], labels: Sequence[str], cell: int, most: int = ACROSS
) -> Image.Image:
    """The methods beside the inputs; where they are too many, in equal parts below each other, each with the inputs."""
    parts = np.array_split(np.arange(len(methods)), _parts(len(methods), len(methods[0].heads), most))
    across = len(inputs.heads) + len(parts[0]) * len(methods[0].heads)
    beside = across <= ROOMY
    size = letters(across * cell * (1 + beside))
    pages = []
    for part in parts:
        blocks = [inputs, *(methods[i] for i in part)]
        heads = [head for block in blocks for head in block.heads]
        rows = [
            Row([item for block in blocks for item in block.rows[i]], text, apart=i > 0)
            for i, text in enumerate(labels)
        ]
        pages.append(Grid(heads, rows, _groups(blocks), beside=beside).draw(cell, size))
    return stacked(pages, gap=size)


def _parts(methods: int, heads: int, most: int) -> int:
    """In how many parts methods of so many columns each stand below each other, beside source and driver."""
    return max(1, -(-methods // max(1, (most - 2) // heads)))


def _examples(material: Sequence[Material], protocol: str, rows: int, parts: int) -> list[tuple[Material, Pair]]:
    """The pairs that are shown: ``rows``, or about as many in all parts together, but two at least."""
    return chosen(material, protocol, min(rows, max(2, -(-rows // parts))))


def _groups(blocks: Sequence[Block]) -> list[tuple[int, int, str]]:
    """Headings over neighbouring columns that share one."""
    columns = enumerate(block.group for block in blocks for _ in block.heads)
    found = []
    for text, members in groupby(columns, key=lambda member: member[1]):
        places = [place for place, _ in members]
        if text:
            found.append((places[0], places[-1], text))
    return found


def figure3(material: list[Material], settings: FigureSettings, scale: str) -> Image.Image:
    """Self-reenactment: source, driver, and each method's output, with close-ups."""
    what = (
        "Self-reenactment: a clip's first frame (source) is driven by held-out frames of the same clip, which each"
        " output should equal."
    )
    columns = all_columns(material, "self")
    return _reenactment(material, "self", columns, settings, f"{what} {{}} {origin(material, scale)}")


def figure4(material: list[Material], settings: FigureSettings, scale: str) -> Image.Image:
    """Cross-identity reenactment: source, driver, and each method's output with absolute and with relative motion.

    Relative motion is that from the driver's best frame where a method offers it, as its authors use it.
    """
    what = "Cross-identity reenactment: the source's face with the expression and pose of another person's frame."
    absolute, relative, best = (all_columns(material, "cross", motion) for motion in GROUPS)
    plain = [column for column in relative if column.slug not in {other.slug for other in best}]
    columns = [*absolute, *plain, *best]
    return _reenactment(material, "cross", columns, settings, f"{what} {{}} {origin(material, scale)}")


def _reenactment(
    material: list[Material], protocol: str, columns: Sequence[Column], settings: FigureSettings, caption: str
) -> Image.Image:
    examples = _examples(material, protocol, settings.rows, _parts(len(columns), 1, ACROSS))
    if not columns or not examples:
        return notice(f"This run has no {protocol} pairs to show.")
    faces, several = Faces(), len({column.motion for column in columns}) > 1
    rows = [_example(faces, data, pair, protocol, columns) for data, pair in examples]
    methods = [
        Block([column.name], [[row[2 + i]] for row in rows], GROUPS[column.motion] if several else "")
        for i, column in enumerate(columns)
    ]
    inputs = Block(["Source", "Driving"], [row[:2] for row in rows])
    page = side_by_side(inputs, methods, [label(pair) for _, pair in examples], settings.cell)
    text = caption.format(f"{_closeups_said(several)} {_resolution(rows)}")
    return stacked([page, footer(text, page.width, letters(page.width))])


def _example(faces: Faces, data: Material, pair: Pair, protocol: str, columns: Sequence[Column]) -> list[Cell]:
    """Source, driver and the outputs of one pair.

    Close-ups of outputs that take over the driver's pose are cut where the driver's eyes and mouth are; those of
    relative motion, which keep the source's pose, where the outputs' own are on average.
    """
    source, driver = data.source(pair), data.driver(pair)
    made = [data.generated(column, protocol, pair) for column in columns]
    boxes = {"absolute": closeups([faces.find(driver)])}
    for motion in {column.motion for column in columns} - set(boxes):
        boxes[motion] = closeups([faces.find(m) for m, c in zip(made, columns, strict=True) if c.motion == motion])
    cells = [_with_closeups(source, closeups([faces.find(source)])), _with_closeups(driver, boxes["absolute"])]
    return cells + [
        Cell(None, "—") if picture is None else _with_closeups(picture, boxes[column.motion])
        for picture, column in zip(made, columns, strict=True)
    ]


def _with_closeups(picture: np.ndarray, boxes: Sequence[tuple[float, float, float, float]]) -> Cell:
    return Cell(picture, "" if boxes else NO_FACE, boxes)


def _closeups_said(relative: bool) -> str:
    """What the caption says of the close-ups."""
    apart = " (with relative motion, where the outputs' own are on average)" if relative else ""
    return f"Close-ups: eyes and mouth, of every output the same part, where the driver's are{apart}."


def _resolution(rows: Sequence[Sequence[Cell]]) -> str:
    """The sides of inputs and outputs, in pixels, as they were stored."""
    inputs, outputs = (
        ", ".join(sorted({f"{item.picture.shape[0]}²" for item in items if item.picture is not None}))
        for items in ([c for row in rows for c in row[:2]], [c for row in rows for c in row[2:]])
    )
    return f"Inputs {inputs}, outputs {outputs} pixels."


def figure5(material: list[Material], settings: FigureSettings, scale: str) -> Image.Image:
    """Vertex distance of each output from its source (low is good) and from its driver (high is good)."""
    columns = [c for motion in ("absolute", "none") for c in all_columns(material, "cross", motion)]
    examples = _examples(material, "cross", settings.rows, _parts(len(columns), 3, MAPS_ACROSS))
    if not columns or not examples:
        return notice("This run has no cross pairs to show.")
    faces, shown = Faces(), [(data.source(pair), data.driver(pair)) for data, pair in examples]
    found = cache(lambda row, side: [faces.find(resized(picture, side)) for picture in shown[row]])
    methods = [
        Block(
            ["Output", "From source ↓", "From driver ↑"],
            [
                _distances(faces, data.generated(column, "cross", pair), partial(found, row), settings.cell)
                for row, (data, pair) in enumerate(examples)
            ],
            column.name,
        )
        for column in columns
    ]
    inputs = Block(["Source", "Driving"], [[Cell(picture) for picture in pictures] for pictures in shown])
    page = side_by_side(inputs, methods, [label(pair) for _, pair in examples], settings.cell, MAPS_ACROSS)
    size = letters(page.width)
    copied = any(column.slug == COPY for column in columns)
    control = "The copy of the source is at no distance from it by construction. " if copied else ""
    text = (
        "Cross-identity reenactment: where the output's face differs from the source's (low: the identity is kept)"
        " and from the driver's (high: it is not the driver's), with the mean over 468 FaceMesh points after"
        " similarity alignment, all read at the output's size, as scored. Expression is not removed."
        f" {control}{origin(material, scale)}"
    )
    return stacked([page, colour_bar(page.width, size), footer(text, page.width, size)])


def _distances(
    faces: Faces, made: np.ndarray | None, references: Callable[[int], Sequence[Landmarks | None]], side: int
) -> list[Cell]:
    """An output and its heat maps from source and from driver, whose faces ``references`` finds at a size in pixels."""
    if made is None:
        return [Cell(None, "—")] * 3
    face, cells = faces.find(made), [Cell(made)]
    for reference, arrow in zip(references(len(made)), "↓↑", strict=True):
        if face is None or reference is None:
            cells.append(Cell(None, NO_FACE))
            continue
        distances = vertex_distances(reference, face)
        cells.append(Cell(heat_map(distances, side), f"{arrow} {distances.mean():.3f} dm"))
    return cells
