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
INK, FAINT, PAPER = (20, 20, 24), (110, 110, 118), (255, 255, 255)


@dataclass(frozen=True)
class Cell:
    """One picture of the grid; ``note`` is printed under it. None leaves the place empty."""

    picture: Picture | None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A line of cells with its label at the left."""

    cells: Sequence[Cell]
    label: str = ""


@dataclass(frozen=True)
class Grid:
    """A whole figure: column headings, headings over groups of columns (first, last, text), rows and a caption."""

    columns: Sequence[str]
    rows: Sequence[Row]
    groups: Sequence[tuple[int, int, str]] = field(default=())
    caption: str = ""

    def draw(self, cell: int) -> Image.Image:
        """The figure with pictures of ``cell`` pixels a side."""
        size = max(13, cell // 10)
        plain, small = typeface(size), typeface(max(11, round(size * 0.82)))
        gutter, line = max(3, cell // 50), round(size * 1.45)
        left = round(size * 1.9) if any(row.label for row in self.rows) else gutter * 2
        notes = [line if any(c.note for c in row.cells) else 0 for row in self.rows]
        gaps = [self._gap(column, gutter) for column in range(len(self.columns))]
        xs = [left + sum(gaps[: i + 1]) + i * cell for i in range(len(self.columns))]
        width = xs[-1] + cell + gutter * 2
        foot = footer(self.caption, width, int(small.size)) if self.caption else None
        top = gutter + (line if self.groups else 0) + (line if any(self.columns) else 0)
        height = top + sum(cell + gutter + note for note in notes) + 2 * gutter
        page = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(page)
        self._headings(draw, xs, cell, gutter, line, top, plain)
        y = top
        for row, note in zip(self.rows, notes, strict=True):
            self._row(page, draw, row, xs, y, cell, left, plain, small)
            y += cell + gutter + note
        return stacked([page, foot]) if foot else page

    def _gap(self, column: int, gutter: int) -> int:
        """Space before a column: wide where a group begins or ends."""
        border = any(column in (first, last + 1) for first, last, _ in self.groups)
        return 0 if column == 0 else gutter * 4 if border else gutter

    def _headings(
        self,
        draw: ImageDraw.ImageDraw,
        xs: Sequence[int],
        cell: int,
        gutter: int,
        line: int,
        top: int,
        font: ImageFont.FreeTypeFont,
    ) -> None:
        for x, text in zip(xs, self.columns, strict=True):
            draw.text((x + cell / 2, top - line / 2), text, INK, fitted(text, font, cell + gutter), anchor="mm")
        for first, last, text in self.groups:
            start, end = xs[first], xs[last] + cell
            y = gutter + line / 2
            draw.text(((start + end) / 2, y), text, INK, fitted(text, font, end - start), anchor="mm")
            draw.line([(start, y + line * 0.48), (end, y + line * 0.48)], FAINT, 1)

    def _row(
        self,
        page: Image.Image,
        draw: ImageDraw.ImageDraw,
        row: Row,
        xs: Sequence[int],
        y: int,
        cell: int,
        left: int,
        plain: ImageFont.FreeTypeFont,
        small: ImageFont.FreeTypeFont,
    ) -> None:
        if row.label:
            page.paste(sideways(row.label, fitted(row.label, plain, cell), cell, left), (0, y))
        for x, item in zip(xs, row.cells, strict=False):
            if item.picture is not None:
                page.paste(Image.fromarray(item.picture).resize((cell, cell), Image.Resampling.BICUBIC), (x, y))
            if item.note:
                draw.text((x + cell / 2, y + cell + plain.size * 0.62), item.note, INK, small, anchor="mm")


def footer(text: str, width: int, size: int) -> Image.Image:
    """A caption in centred lines, as wide as the figure it belongs to."""
    font = typeface(size)
    lines, line = wrap(text, font, width - 2 * size), round(size * 1.5)
    strip = Image.new("RGB", (width, line * len(lines) + size // 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for index, words in enumerate(lines):
        draw.text((width / 2, (index + 0.5) * line), words, INK, font, anchor="mm")
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
    length = font.getlength(text)
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
    """Text turned to be read from below, centred on a strip."""
    strip = Image.new("RGB", (length, width), PAPER)
    ImageDraw.Draw(strip).text((length / 2, width / 2), text, INK, font, anchor="mm")
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
