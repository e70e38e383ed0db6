"""The square window that becomes a frame: cutting it out of a video frame with antialiasing and black padding."""

import numpy as np
from PIL import Image


def cut(frame: np.ndarray, centre: tuple[float, float] | np.ndarray, side: float, size: int) -> np.ndarray:
    """Cut the square of ``side`` pixels about ``centre`` (x, y; pixel edges at integers) and resize it to ``size``.

    ``frame`` is [H, W, 3] uint8 or [H, W] float32; outside it the window is 0.
    """
    return cut_box(frame, (centre[0] - side / 2, centre[1] - side / 2, centre[0] + side / 2, centre[1] + side / 2), size)


def cut_box(frame: np.ndarray, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Cut ``box`` (l, t, r, b, may leave the frame, need not be square) and resize it to [size, size]."""
    height, width = frame.shape[:2]
    l, t = int(np.floor(box[0])) - 1, int(np.floor(box[1])) - 1
    r, b = int(np.ceil(box[2])) + 1, int(np.ceil(box[3])) + 1
    patch = np.zeros((b - t, r - l, *frame.shape[2:]), frame.dtype)
    inner = (max(l, 0), max(t, 0), min(r, width), min(b, height))
    if inner[0] < inner[2] and inner[1] < inner[3]:
        patch[inner[1] - t : inner[3] - t, inner[0] - l : inner[2] - l] = frame[inner[1] : inner[3], inner[0] : inner[2]]
    local = (box[0] - l, box[1] - t, box[2] - l, box[3] - t)
    return np.asarray(Image.fromarray(patch).resize((size, size), Image.Resampling.BICUBIC, box=local))
