"""The square window that becomes a frame: cutting it out of a video frame with antialiasing and black padding."""

import math

import numpy as np
from PIL import Image

CONTEXT = 1.6
"""Side of the square that a landmark detector sees, over the longer side of the face box."""


def cut(frame: np.ndarray, centre: tuple[float, float] | np.ndarray, side: float, size: int) -> np.ndarray:
    """Cut the square of ``side`` pixels about ``centre`` (x, y; pixel edges at integers) and resize it to ``size``.

    ``frame`` is [H, W, 3] uint8; outside it the window is black.
    """
    return cut_box(
        frame, (centre[0] - side / 2, centre[1] - side / 2, centre[0] + side / 2, centre[1] + side / 2), size
    )


def cut_box(frame: np.ndarray, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Cut ``box`` (l, t, r, b, may leave the frame, need not be square) and resize it to [size, size]."""
    height, width = frame.shape[:2]
    left, top = math.floor(box[0]) - 1, math.floor(box[1]) - 1
    right, bottom = math.ceil(box[2]) + 1, math.ceil(box[3]) + 1
    patch = np.zeros((bottom - top, right - left, 3), np.uint8)
    columns, rows = slice(max(left, 0), min(right, width)), slice(max(top, 0), min(bottom, height))
    if columns.start < columns.stop and rows.start < rows.stop:
        part = frame[rows, columns]
        y, x = rows.start - top, columns.start - left
        patch[y : y + part.shape[0], x : x + part.shape[1]] = part
    local = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return np.asarray(Image.fromarray(patch).resize((size, size), Image.Resampling.BICUBIC, local))


def context(box: np.ndarray | tuple[float, ...]) -> tuple[tuple[float, float], float]:
    """Centre and side of the square about a face box (l, t, r, b) in which a landmark detector finds the face."""
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), CONTEXT * max(box[2] - box[0], box[3] - box[1])
