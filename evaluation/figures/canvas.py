"""Printing grids of pictures with headings, as a paper would: white page, serif type, tight gutters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom as shares of its width and height."""
INK, FAINT, PAPER = (20, 20, 24), (110, 110, 118), (255, 255, 255)
FRAMES = ((0, 176, 240), (255, 176, 0))  # first and second close-up: blue and orange part for every kind of sight


@dataclass(frozen=True)
class Cell:
    """One picture of the grid, its close-ups beside or below it, framed in the picture, and a note under them.

    Without a picture the note stands in the empty place.
    """

    picture: Picture | None
    note: str = ""
    closeups: Sequence[Box] = ()


@dataclass(frozen=True)
class Row:
    """A line of cells with its label at the left, set off from the line before it if it begins a new example."""

    cells: Sequence[Cell]
    label: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Grid:
    """A whole figure: column headings, headings over groups of columns (first, last, text), rows and a caption."""

    columns: Sequence[str]
    rows: Sequence[Row]
    groups: Sequence[tuple[int, int, str]] = field(default=())
    caption: str = ""
    beside: bool = False
    """Whether close-ups stand at the right of their picture instead of below it."""

    def draw(self, cell: int, size: int | None = None) -> Image.Image:
        """The figure with pictures of ``cell`` pixels a side and letters of ``size`` pixels.

        Without a size the letters suit the figure's width, so that they can be read where it is shrunk to a column.
        """
        layout = _Layout(self, cell, size or letters(len(self.columns) * cell * (1 + self.beside)))
        page = layout.page()
        return stacked([page, footer(self.caption, page.width, layout.size)]) if self.caption else page


class _Layout:
    """Where everything of a grid lies, in pixels."""

    def __init__(self, grid: Grid, cell: int, size: int) -> None:
        self.grid, self.cell, self.size = grid, cell, size
        self.gutter, self.line = max(3, cell // 50), round(size * 1.45)
        items = [item for row in grid.rows for item in row.cells]
        parts = [self._closeups(item) for item in items]
        self.wide = max((left + width for part in parts for left, _, width, _ in part), default=cell)
        self.wide = max(self.wide, cell)
        lines = max((row.label.count("\n") + 1 for row in grid.rows if row.label), default=0)
        self.left = round(size * (0.7 + 1.2 * lines)) if lines else self.gutter * 2
        gaps = [self._gap(column) for column in range(len(grid.columns))]
        self.xs = [self.left + sum(gaps[: i + 1]) + i * self.wide for i in range(len(grid.columns))]
        self.heads = ["\n".join(wrap(text, typeface(self.size), self.wide)) for text in grid.columns]
        self.under = max(text.count("\n") + 1 for text in self.heads) * self.line * any(grid.columns)
        self.top = self.gutter + self.line * bool(grid.groups) + self.under
        self.ys, y = [], self.top
        for row in grid.rows:
            y += self.gutter * 4 * row.apart
            self.ys.append(y)
            y += self._height(row) + self.gutter
        self.height, self.width = y + self.gutter, self.xs[-1] + self.wide + self.gutter * 2

    def _gap(self, column: int) -> int:
        """Space before a column: wide where a group begins or ends."""
        border = any(column in (first, last + 1) for first, last, _ in self.grid.groups)
        return 0 if column == 0 else self.gutter * 4 if border or self.grid.beside else self.gutter

    def _height(self, row: Row) -> int:
        ends = [top + height for item in row.cells for _, top, _, height in self._closeups(item)]
        return max([self.cell, *ends]) + self.line * any(item.note and item.picture is not None for item in row.cells)

    def _closeups(self, item: Cell) -> list[tuple[int, int, int, int]]:
        """Left, top, width and height of a cell's close-ups, from the cell's corner.

        Below the picture they are as wide as it is; beside it they share its height.
        """
        places: list[tuple[int, int, int, int]] = []
        if item.picture is None:
            return places
        along = self.cell + self.gutter
        for place, box in enumerate(item.closeups):
            left, top, right, bottom = _pixels(box, item.picture)
            slope = (bottom - top) / (right - left)
            if self.grid.beside:
                share = (self.cell + self.gutter) / len(item.closeups)
                start, end = round(place * share), round((place + 1) * share) - self.gutter
                places.append((along, start, round((end - start) / slope), end - start))
            else:
                places.append((0, along, self.cell, round(self.cell * slope)))
                along += places[-1][3] + self.gutter
        return places

    def page(self) -> Image.Image:
        """The drawn grid."""
        page = Image.new("RGB", (self.width, self.height), PAPER)
        self._headings(ImageDraw.Draw(page))
        heights = [self._height(row) for row in self.grid.rows]
        font = typeface(self.size)
        for row, height in zip(self.grid.rows, heights, strict=True):
            font = min(font, fitted(row.label, font, height), key=lambda f: f.size)
        for y, row, height in zip(self.ys, self.grid.rows, heights, strict=True):
            if row.label:
                page.paste(sideways(row.label, font, height, self.left), (0, y))
            for x, item in zip(self.xs, row.cells, strict=False):
                self._cell(page, item, x, y, height)
        return page

    def _headings(self, draw: ImageDraw.ImageDraw) -> None:
        font, line = typeface(self.size), self.line
        for text in self.heads:
            font = fitted(text, font, self.wide)
        for x, text in zip(self.xs, self.heads, strict=True):
            at = (x + self.wide / 2, self.top - self.under / 2)
            draw.multiline_text(at, text, INK, font, anchor="mm", align="center", spacing=0)
        for first, last, text in self.grid.groups:
            start, end = self.xs[first], self.xs[last] + self.wide
            y = self.gutter + line / 2
            above = fitted(text, typeface(self.size), end - start)
            draw.text(((start + end) / 2, y), text, INK, above, anchor="mm")
            draw.line([(start, y + line * 0.48), (end, y + line * 0.48)], FAINT, max(1, self.size // 24))

    def _cell(self, page: Image.Image, item: Cell, x: int, y: int, height: int) -> None:
        draw, cell, thick = ImageDraw.Draw(page), self.cell, max(1, self.cell // 100)
        font = fitted(item.note, typeface(round(self.size * 0.88)), self.wide)
        if item.picture is None:
            draw.text((x + self.wide / 2, y + cell / 2), item.note, FAINT, font, anchor="mm")
            return
        whole = Image.fromarray(item.picture)
        page.paste(whole.resize((cell, cell), Image.Resampling.LANCZOS), (x, y))
        for box, place, colour in zip(item.closeups, self._closeups(item), FRAMES, strict=False):
            edges = [round(cell * edge) for edge in box]
            draw.rectangle((x + edges[0], y + edges[1], x + edges[2] - 1, y + edges[3] - 1), None, colour, thick)
            left, top, size = x + place[0], y + place[1], place[2:]
            page.paste(whole.resize(size, Image.Resampling.LANCZOS, box=_pixels(box, item.picture)), (left, top))
            draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), None, colour, 2 * thick)
        if item.note:
            draw.text((x + self.wide / 2, y + height - self.line / 2), item.note, INK, font, anchor="mm")


def _pixels(box: Box, picture: Picture) -> Box:
    """A box in pixels of its picture."""
    height, width = picture.shape[:2]
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def letters(width: int) -> int:
    """Size of letters, in pixels, for a figure of this width: five points where it is shrunk to a column of 84 mm."""
    return max(13, width // 48)


def footer(text: str, width: int, size: int) -> Image.Image:
    """A caption, as wide as the figure it belongs to; a single line is centred."""
    font = typeface(size)
    lines, line = wrap(text, font, width - 2 * size), round(size * 1.3)
    strip = Image.new("RGB", (width, line * len(lines) + size // 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for index, words in enumerate(lines):
        x, anchor = (width / 2, "mm") if len(lines) == 1 else (size, "lm")
        draw.text((x, (index + 0.5) * line), words, INK, font, anchor=anchor)
    return strip


def stacked(pages: Sequence[Image.Image], gap: int = 0) -> Image.Image:
    """Pages one below the other, centred."""
    height = sum(page.height for page in pages) + gap * (len(pages) - 1)
    whole = Image.new("RGB", (max(page.width for page in pages), height), PAPER)
    y = 0
    for page in pages:
        whole.paste(page, ((whole.width - page.width) // 2, y))
        y += page.height + gap
    return whole


def beside(pages: Sequence[Image.Image], gap: int) -> Image.Image:
    """Pages next to each other, aligned at the top."""
    width = sum(page.width for page in pages) + gap * (len(pages) - 1)
    whole = Image.new("RGB", (width, max(page.height for page in pages)), PAPER)
    x = 0
    for page in pages:
        whole.paste(page, (x, 0))
        x += page.width + gap
    return whole


@cache
def typeface(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """STIX, the serif that ships with matplotlib."""
    name = "STIXGeneralBol.ttf" if bold else "STIXGeneral.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> ImageFont.FreeTypeFont:
    """The font, smaller where the text would not fit."""
    length = max(font.getlength(line) for line in text.split("\n"))
    return font if length <= width else typeface(max(9, int(font.size * width / length)))


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The text in lines no wider than ``width``."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def sideways(text: str, font: ImageFont.FreeTypeFont, length: int, width: int) -> Image.Image:
    """Text, of one line or several, turned to be read from below, centred on a strip."""
    strip = Image.new("RGB", (length, width), PAPER)
    middle = (length / 2, width / 2)
    ImageDraw.Draw(strip).multiline_text(middle, text, INK, font, anchor="mm", align="center", spacing=0)
    return strip.rotate(90, expand=True)


def notice(text: str, width: int = 900) -> Image.Image:
    """A page that only says something: used where a figure has no pairs to show."""
    font = typeface(26)
    lines = wrap(text, font, width - 80)
    page = Image.new("RGB", (width, 80 + 40 * len(lines)), PAPER)
    draw = ImageDraw.Draw(page)
    for index, line in enumerate(lines):
        draw.text((width / 2, 60 + 40 * index), line, INK, font, anchor="mm")
    return page
