"""Follow one face through a video: its box in every frame, and its place and size from landmarks now and then."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from preprocessing.detectors.backends import BoxDetector, LandmarkDetector, batches
from preprocessing.detectors.points import layout_of
from preprocessing.geometry import scaled_orthographic
from preprocessing.reference_face import reference_face
from preprocessing.tubes import Box, overlap
from preprocessing.video import Span
from preprocessing.window import context, cut

ZERO: Box = (0.0, 0.0, 0.0, 0.0)
"""The box of a frame without a face."""

SAME_FACE = 0.1
"""Least overlap with the face's last box for a detection to be the same face."""

STEADY = 0.5
"""Boxes of neighbouring samples that overlap less are not interpolated: the frames between are looked at."""

CONTEXT_SIZE = 256
"""Side of the picture in which a landmark detector sees the face, in pixels."""

Numbered = tuple[int, np.ndarray]
"""A frame [H, W, 3] with its index in the video."""

Reader = Callable[[Sequence[Span]], Iterable[Numbered]]
"""Gives the frames of spans, ascending and without overlap."""


@dataclass(frozen=True)
class Track:
    """What was found: boxes [frames, 4] (zero rows without a face), and per sampled frame the scaled orthographic fit.

    The first box is of frame ``start``. ``fits`` has rows (frame, pixels per decimetre, x, y of the face's origin).
    ``faces`` is the largest number of faces detected in one frame, whichever was meant.
    """

    boxes: np.ndarray
    fits: np.ndarray
    start: int = 0
    faces: int = 0

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.boxes)


def follow(
    read: Reader,
    span: tuple[int, int],
    detect: BoxDetector,
    landmarks: LandmarkDetector,
    every: int,
    place: Box | None = None,
) -> Track:
    """Track one face over the frames [start, end) of ``span``: the largest, then whatever matches it best.

    With ``place``, where a list says that the face is, another face is never taken for it, however large.

    The detector sees every ``every``-th frame and those after the last of them; boxes in between are interpolated
    where the face is steady and detected, in a second reading, where it appears, vanishes or jumps. Frames are handed
    to the detectors in batches, which changes nothing in what is found. The track ends where the frames do.
    """
    follower = _Follower(detect, landmarks, place)
    samples = range(*span, every)
    after = samples[-1] + 1 if samples else span[1]
    wanted = [chosen for chosen in ((*span, every), (after, span[1])) if chosen[0] < chosen[1]]
    for batch in batches(read(wanted), lambda item: item[1]):
        follower.sample([item for item in batch if item[0] < after])
        follower.look([item for item in batch if item[0] >= after])
    if unsteady := follower.fill(samples):
        for batch in batches(read(unsteady), lambda item: item[1]):
            follower.look(batch, samples)
    return follower.track()


class _Follower:
    """What :func:`follow` has found: boxes by frame, fits, and the last box of the face."""

    def __init__(self, detect: BoxDetector, landmarks: LandmarkDetector, place: Box | None) -> None:
        self.detect, self.landmarks, self.place = detect, landmarks, place
        self.boxes: dict[int, Box] = {}
        self.fits: list[tuple[float, float, float, float]] = []
        self.last: Box = ZERO
        self.faces = 0

    def look(self, frames: Sequence[Numbered], samples: Container[int] = ()) -> None:
        """Detect the face in frames that follow on those of before, or on one of ``samples``."""
        for (number, _), candidates in zip(frames, self.detect([frame for _, frame in frames]), strict=True):
            if number - 1 in samples:
                self.last = self.boxes[number - 1]
            self.faces = max(self.faces, len(candidates))
            self.boxes[number] = pick(candidates, self.last, self.place)
            self.last = self.last if self.boxes[number] == ZERO else self.boxes[number]

    def sample(self, frames: Sequence[Numbered]) -> None:
        """Detect the face in frames that follow on those of before, and fit it."""
        self.look(frames)
        shown = [(number, frame) for number, frame in frames if self.boxes[number] != ZERO]
        fits = fit_faces([frame for _, frame in shown], [self.boxes[number] for number, _ in shown], self.landmarks)
        self.fits += [(float(number), *fit) for (number, _), fit in zip(shown, fits, strict=True) if fit is not None]

    def fill(self, samples: range) -> list[Span]:
        """Give the frames between two samples their boxes; returns the spans where the face is not steady."""
        unsteady: list[Span] = []
        for start, end in pairwise(samples):
            if start + 1 == end or end not in self.boxes:
                continue
            before, after = self.boxes[start], self.boxes[end]
            if before == ZERO and after == ZERO:
                self.boxes |= dict.fromkeys(range(start + 1, end), ZERO)
            elif before != ZERO and after != ZERO and overlap(before, after) >= STEADY:
                for number in range(start + 1, end):
                    self.boxes[number] = _mixed(before, after, (number - start) / (end - start))
            else:
                unsteady.append((start + 1, end))
        return unsteady

    def track(self) -> Track:
        """What was found."""
        first, last = min(self.boxes, default=0), max(self.boxes, default=-1)
        table = np.array([self.boxes.get(i, ZERO) for i in range(first, last + 1)], np.float64).reshape(-1, 4)
        return Track(table, np.array(self.fits, np.float64).reshape(-1, 4), first, self.faces)


def _mixed(before: Box, after: Box, share: float) -> Box:
    """The box at ``share`` (0–1) of the way between two."""
    left, top, right, bottom = ((1 - share) * a + share * b for a, b in zip(before, after, strict=True))
    return left, top, right, bottom


def pick(found: np.ndarray, last: Box, place: Box | None = None) -> Box:
    """The detection [N, 4] that matches ``last`` best, else the largest one.

    With ``place``, else the one that matches the place best and has its middle there, if there is one.
    """
    candidates: list[Box] = [tuple(box) for box in found.tolist() if box[2] > box[0] and box[3] > box[1]]
    if last != ZERO:
        best = max(candidates, key=lambda box: overlap(box, last), default=ZERO)
        if overlap(best, last) >= SAME_FACE:
            return best
    if place is not None:
        candidates = [box for box in candidates if _middle_in(box, place)]
        return max(candidates, key=lambda box: overlap(box, place), default=ZERO)
    return max(candidates, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]), default=ZERO)


def _middle_in(box: Box, place: Box) -> bool:
    """Whether the middle of ``box`` lies in ``place``."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return place[0] <= x <= place[2] and place[1] <= y <= place[3]


def fit_faces(
    frames: Sequence[np.ndarray], boxes: Sequence[Box], landmarks: LandmarkDetector
) -> list[tuple[float, float, float] | None]:
    """Pixels per decimetre and the position of the face's origin in each of ``frames``, None without landmarks."""
    contexts = [context(box) for box in boxes]
    cuts = [cut(frame, centre, side, CONTEXT_SIZE) for frame, (centre, side) in zip(frames, contexts, strict=True)]
    return [
        None if points is None else _fit(points, centre, side)
        for points, (centre, side) in zip(landmarks(cuts), contexts, strict=True)
    ]


def _fit(points: np.ndarray, centre: tuple[float, float], side: float) -> tuple[float, float, float]:
    corner = (centre[0] - side / 2, centre[1] - side / 2)
    layout = layout_of(points)
    image = points[list(layout.rigid), :2] * (side / CONTEXT_SIZE) + corner
    scale, origin = scaled_orthographic(reference_face()[layout.rigid_reference] * (1, -1, 1), image)
    return scale, float(origin[0]), float(origin[1])
