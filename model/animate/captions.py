"""Panels side by side with a line of words under each."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

PANEL = 256
"""Least height of a panel, pixels: what the photo and the driver are prepared at."""
MARGIN = 0.96  # of a panel's width a caption may fill
INK, PAPER = (20, 20, 24), (255, 255, 255)


def side_by_side(
    source: UInt8[np.ndarray, "s s 3"], driver: UInt8[np.ndarray, "s s 3"], output: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "hh ww 3"]:
    """Source | driver | output, enlarged to one height of at least :data:`PANEL`, with captions below."""
    height = max(PANEL, len(output))
    panels = [at_height(picture, height) for picture in (source, driver, output)]
    words = strip(("source", "driver", "output"), tuple(panel.shape[1] for panel in panels), height // 12)
    return np.concatenate([np.concatenate(panels, axis=1), words])


def at_height(picture: UInt8[np.ndarray, "h w 3"], height: int) -> UInt8[np.ndarray, "height w2 3"]:
    """The picture enlarged bicubically to ``height`` pixels, an even number wide."""
    width = round(picture.shape[1] * height / picture.shape[0] / 2) * 2
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@cache
def strip(captions: Sequence[str], widths: Sequence[int], height: int) -> UInt8[np.ndarray, "h w 3"]:
    """Captions centred below panels of ``widths``, smaller where too long; on white, an even number of pixels high."""
    height += height % 2
    image = Image.new("RGB", (sum(widths), height), PAPER)
    draw, left = ImageDraw.Draw(image), 0
    for words, width in zip(captions, widths, strict=True):
        font = ImageFont.load_default(height * 0.7)
        if (length := font.getlength(words)) > MARGIN * width:
            font = ImageFont.load_default(height * 0.7 * MARGIN * width / length)
        draw.text((left + width / 2, height / 2), words, INK, font, anchor="mm")
        left += width
    return np.asarray(image)
