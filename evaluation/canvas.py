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
    """One picture of the grid, its close-ups below it, framed in the picture, and a note under them.

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

    def draw(self, cell: int, size: int | None = None) -> Image.Image:
        """The figure with pictures of ``cell`` pixels a side and letters of ``size`` pixels.

        Without a size the letters suit the figure's width, so that they can be read where it is shrunk to a column.
        """
        layout = _Layout(self, cell, size or letters(len(self.columns) * cell))
        page = layout.page()
        return stacked([page, footer(self.caption, page.width, layout.size)]) if self.caption else page


class _Layout:
    """Where everything of a grid lies, in pixels."""

    def __init__(self, grid: Grid, cell: int, size: int) -> None:
        self.grid, self.cell, self.size = grid, cell, size
        self.gutter, self.line = max(3, cell // 50), round(size * 1.45)
        lines = max(row.label.count("\n") + 1 if row.label else 0 for row in grid.rows)
        self.left = round(size * (0.7 + 1.2 * lines)) if lines else self.gutter * 2
        gaps = [self._gap(column) for column in range(len(grid.columns))]
        self.xs = [self.left + sum(gaps[: i + 1]) + i * cell for i in range(len(grid.columns))]
        self.top = self.gutter + self.line * (bool(grid.groups) + any(grid.columns))
        self.ys, y = [], self.top
        for row in grid.rows:
            y += self.gutter * 4 * row.apart
            self.ys.append(y)
            y += self._height(row) + self.gutter
        self.height, self.width = y + self.gutter, self.xs[-1] + cell + self.gutter * 2

    def _gap(self, column: int) -> int:
        """Space before a column: wide where a group begins or ends."""
        border = any(column in (first, last + 1) for first, last, _ in self.grid.groups)
        return 0 if column == 0 else self.gutter * 4 if border else self.gutter

    def _height(self, row: Row) -> int:
        strips = max((self._strips(item) for item in row.cells), default=0)
        return self.cell + strips + self.line * any(item.note and item.picture is not None for item in row.cells)

    def _strips(self, item: Cell) -> int:
        """Height of a cell's close-ups."""
        return sum(self._strip(item.picture, box) + self.gutter for box in item.closeups if item.picture is not None)

    def _strip(self, picture: Picture, box: Box) -> int:
        """Height of a close-up that is as wide as a cell."""
        left, top, right, bottom = _pixels(box, picture)
        return round(self.cell * (bottom - top) / (right - left))

    def page(self) -> Image.Image:
        page = Image.new("RGB", (self.width, self.height), PAPER)
        self._headings(ImageDraw.Draw(page))
        for y, row in zip(self.ys, self.grid.rows, strict=True):
            height = self._height(row)
            if row.label:
                font = fitted(row.label, typeface(self.size), height)
                page.paste(sideways(row.label, font, height, self.left), (0, y))
            for x, item in zip(self.xs, row.cells, strict=False):
                self._cell(page, item, x, y, height)
        return page

    def _headings(self, draw: ImageDraw.ImageDraw) -> None:
        font, line = typeface(self.size), self.line
        for x, text in zip(self.xs, self.grid.columns, strict=True):
            middle = (x + self.cell / 2, self.top - line / 2)
            draw.text(middle, text, INK, fitted(text, font, self.cell + self.gutter), anchor="mm")
        for first, last, text in self.grid.groups:
            start, end = self.xs[first], self.xs[last] + self.cell
            y = self.gutter + line / 2
            draw.text(((start + end) / 2, y), text, INK, fitted(text, font, end - start), anchor="mm")
            draw.line([(start, y + line * 0.48), (end, y + line * 0.48)], FAINT, 1)

    def _cell(self, page: Image.Image, item: Cell, x: int, y: int, height: int) -> None:
        draw, cell, thick = ImageDraw.Draw(page), self.cell, max(1, self.cell // 100)
        font = fitted(item.note, typeface(round(self.size * 0.88)), cell)
        if item.picture is None:
            draw.text((x + cell / 2, y + cell / 2), item.note, FAINT, font, anchor="mm")
            return
        whole = Image.fromarray(item.picture)
        page.paste(whole.resize((cell, cell), Image.Resampling.LANCZOS), (x, y))
        below = y + cell + self.gutter
        for box, colour in zip(item.closeups, FRAMES, strict=False):
            left, top, right, bottom = (round(cell * edge) for edge in box)
            draw.rectangle((x + left, y + top, x + right - 1, y + bottom - 1), outline=colour, width=thick)
            strip = (cell, self._strip(item.picture, box))
            page.paste(
                whole.resize(strip, Image.Resampling.LANCZOS, box=_pixels(box, item.picture)),
                (x, below),
            )
            draw.rectangle((x, below, x + cell - 1, below + strip[1] - 1), outline=colour, width=2 * thick)
            below += strip[1] + self.gutter
        if item.note:
            draw.text((x + cell / 2, y + height - self.line / 2), item.note, INK, font, anchor="mm")


def _pixels(box: Box, picture: Picture) -> Box:
    """A box in pixels of its picture."""
    height, width = picture.shape[:2]
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def letters(width: int) -> int:
    """Size of letters, in pixels, for a figure of this width: about six points where it is shrunk to 84 mm."""
    return max(13, width // 42)


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


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Pages one below the other, centred."""
    whole = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), PAPER)
    y = 0
    for page in pages:
        whole.paste(page, ((whole.width - page.width) // 2, y))
        y += page.height
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
