"""Follow one face through a video: its box in every frame, and its place and size from landmarks now and then."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from preprocessing.backends import BoxDetector, LandmarkDetector
from preprocessing.geometry import scaled_orthographic
from preprocessing.reference_face import RIGID, reference_face
from preprocessing.tubes import Box, overlap
from preprocessing.window import context, cut

ZERO: Box = (0.0, 0.0, 0.0, 0.0)
"""The box of a frame without a face."""

SAME_FACE = 0.1
"""Least overlap with the face's last box for a detection to be the same face."""

STEADY = 0.5
"""Boxes of neighbouring samples that overlap less are not interpolated: the frames between are looked at."""


@dataclass(frozen=True)
class Track:
    """What was found: boxes [frames, 4] (zero rows without a face), and per sampled frame the scaled orthographic fit.

    ``fits`` has rows (frame, pixels per decimetre, x, y of the face's origin).
    """

    boxes: np.ndarray
    fits: np.ndarray


def follow(
    frames: Iterable[tuple[int, np.ndarray]], detect: BoxDetector, landmarks: LandmarkDetector, every: int
) -> Track:
    """Track the largest face, then whatever matches it best, over (index, frame) pairs that start at 0.

    The detector sees every ``every``-th frame; boxes in between are interpolated where the face is steady and
    detected where it appears, vanishes or jumps. A frame that could not be decoded has a zero box.
    """
    boxes: dict[int, Box] = {}
    fits: list[tuple[float, float, float, float]] = []
    last: Box = ZERO
    sample: int | None = None
    between: list[tuple[int, np.ndarray]] = []
    index = -1
    for index, frame in frames:
        if sample is not None and index < sample + every:
            between.append((index, frame))
            continue
        box = pick(detect(frame), last)
        if sample is not None:
            boxes |= _fill(boxes[sample], box, (sample, index), between, detect)
        boxes[index], sample, between = box, index, []
        if box != ZERO:
            last = box
            fit = fit_face(frame, box, landmarks)
            if fit is not None:
                fits.append((float(index), *fit))
    for number, frame in between:  # the last frames have no sample after them
        boxes[number] = pick(detect(frame), last)
    table = np.array([boxes.get(i, ZERO) for i in range(index + 1)], np.float64).reshape(-1, 4)
    return Track(table, np.array(fits, np.float64).reshape(-1, 4))


def pick(found: np.ndarray, last: Box) -> Box:
    """The detection [N, 4] that matches ``last`` best, the largest one when none does or nothing was followed yet."""
    candidates: list[Box] = [tuple(box) for box in found.tolist() if box[2] > box[0] and box[3] > box[1]]
    if not candidates:
        return ZERO
    if last != ZERO:
        best = max(candidates, key=lambda box: overlap(box, last))
        if overlap(best, last) >= SAME_FACE:
            return best
    return max(candidates, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))


def _fill(
    before: Box, after: Box, span: tuple[int, int], between: list[tuple[int, np.ndarray]], detect: BoxDetector
) -> dict[int, Box]:
    """Boxes of the frames between two samples."""
    if before == ZERO and after == ZERO:
        return {}
    if before != ZERO and after != ZERO and overlap(before, after) >= STEADY:
        length = span[1] - span[0]
        mixed = {}
        for index, _ in between:
            share = (index - span[0]) / length
            left, top, right, bottom = ((1 - share) * a + share * b for a, b in zip(before, after, strict=True))
            mixed[index] = (left, top, right, bottom)
        return mixed
    last, found = before, {}
    for index, frame in between:
        found[index] = pick(detect(frame), last)
        last = found[index] if found[index] != ZERO else last
    return found


def fit_face(frame: np.ndarray, box: Box, landmarks: LandmarkDetector) -> tuple[float, float, float] | None:
    """Pixels per decimetre and the position of the face's origin in ``frame``, None without landmarks."""
    centre, side = context(box)
    size = 256
    points = landmarks(cut(frame, centre, side, size))
    if points is None:
        return None
    image = points[RIGID, :2] * (side / size) + (centre[0] - side / 2, centre[1] - side / 2)
    scale, origin = scaled_orthographic(reference_face()[RIGID] * (1, -1, 1), image)
    return scale, float(origin[0]), float(origin[1])
