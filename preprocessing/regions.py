"""Which pixel of a window is background, face, hair, torso, eyes or mouth.

The embedded backend takes the foreground from selfie segmentation of the whole frame (on crops it leaks), cut by the
window; face, eyes and mouth are polygons of the landmarks. What it cannot tell apart (hair, ears, hands, hats) is 6,
foreground of unknown part; foreground below the chin is torso. BiSeNet tells all parts from the window alone.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from preprocessing.backends import Segmenter, SelfieSegmentation, View
from preprocessing.points import Layout, layout_of
from preprocessing.window import cut_box

BACKGROUND, FACE, HAIR, TORSO, EYES, MOUTH, UNKNOWN = range(7)
"""Labels of a mask."""

SEGMENTED = 512
"""Longer side of the frame that the segmenter sees; its network works on 256²."""

SPECK = 0.04
"""Share of the frame below which foreground that does not touch the face is taken for a leak."""

HOLE = 0.001
"""Share of the frame below which a hole in the foreground is filled."""


def foreground(frames: Sequence[np.ndarray], segment: Segmenter) -> list[np.ndarray]:
    """Foreground probability [H, W] float32 of each whole frame [H, W, 3]."""
    found = segment([_reduced(frame) for frame in frames])
    return [_enlarged(person, frame.shape) for person, frame in zip(found, frames, strict=True)]


def _reduced(frame: np.ndarray) -> np.ndarray:
    """``frame`` [H, W, 3] with at most :data:`SEGMENTED` pixels on its longer side."""
    height, width = frame.shape[:2]
    factor = SEGMENTED / max(height, width)
    if factor >= 1:
        return frame
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # to more than half, averaging four pixels is enough, and three times as fast
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if factor < 0.5 else cv2.INTER_LINEAR)


def _enlarged(person: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``person`` in float32 and in the height and width of ``shape``."""
    person = np.asarray(person, np.float32)
    if person.shape == shape[:2]:
        return person
    return cv2.resize(person, shape[1::-1], interpolation=cv2.INTER_LINEAR)


def tidy(mask: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Foreground [S, S] bool without specks away from the face [S, S] bool and without pinholes."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats((mask | face).astype(np.uint8), connectivity=4)
    keep = statistics[:, cv2.CC_STAT_AREA] >= SPECK * mask.size
    keep[np.unique(parts[face])] = True
    keep[0] = False
    clean = keep[parts]
    _, parts, statistics, _ = cv2.connectedComponentsWithStats((~clean).astype(np.uint8), connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < HOLE * mask.size
    small[0] = False
    return np.asarray(clean | small[parts])


def region_mask(person: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Labels [S, S] uint8 of a frame with foreground ``person`` [S, S] bool and landmarks [478 or 68, ≥2] in pixels."""
    layout = layout_of(landmarks)
    points = np.asarray(landmarks, np.float64)[:, :2]
    face = paint(np.zeros(person.shape, np.uint8), points, layout.oval, 1).astype(bool)
    person = tidy(person, face)
    mask = np.where(person, UNKNOWN, BACKGROUND).astype(np.uint8)
    mask[person & below_chin(points, layout, mask.shape)] = TORSO
    mask[face] = FACE
    for polygon, value in ((layout.left_eye, EYES), (layout.right_eye, EYES), (layout.lips, MOUTH)):
        paint(mask, points, polygon, value)
    return mask


def paint(mask: np.ndarray, points: np.ndarray, polygon: tuple[int, ...], value: int) -> np.ndarray:
    """Fill a polygon of landmark indices in ``mask`` [S, S] uint8 with ``value``, in place."""
    # pixel centres lie at .5 in landmark coordinates and at 0 in OpenCV's; 4 bits of subpixel shift
    corners = np.round((points[list(polygon)] - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], (value,), lineType=cv2.LINE_8, shift=4)
    return mask


def below_chin(points: np.ndarray, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    """Where [S, S] bool a pixel lies below the chin, seen along the face's own upright direction."""
    high, low = layout.upright
    down = points[low] - points[high]
    down /= np.linalg.norm(down) + 1e-9
    level = np.max(points[list(layout.jaw)] @ down)
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0])[:, None] + 0.5
    return np.asarray(x * down[0] + y * down[1] > level)


class SelfieRegions:
    """See :class:`~preprocessing.backends.RegionParser`: mediapipe's foreground and the landmarks' polygons."""

    def __init__(self, threshold: float) -> None:
        self._segment = SelfieSegmentation()
        self._threshold = threshold
        self.name = self._segment.name

    def __call__(self, views: Sequence[View], size: int) -> list[np.ndarray]:
        """Labels [size, size] uint8 of each view."""
        people = foreground([view.frame for view in views], self._segment)
        return [
            region_mask(cut_box(person, view.box, size) > self._threshold, view.landmarks)
            for view, person in zip(views, people, strict=True)
        ]


PARTS = np.array(
    [
        BACKGROUND, FACE, FACE, FACE, EYES, EYES, FACE, FACE, FACE, FACE, FACE, MOUTH, MOUTH, MOUTH,
        TORSO, TORSO, TORSO, HAIR, HAIR,
    ],
    np.uint8,
)  # fmt: skip
"""Label of each class of face-parsing.PyTorch: background; skin, brows, eyes (4, 5), glasses, ears, earring, nose,
mouth and lips (11–13); neck, necklace, clothes; hair, hat."""


class ParsedRegions:
    """See :class:`~preprocessing.backends.RegionParser`: BiSeNet on the window, which needs no landmarks."""

    def __init__(self, path: Path) -> None:
        from preprocessing.bisenet import FaceParser

        self._parse = FaceParser(path)
        self.name = self._parse.name

    def __call__(self, views: Sequence[View], size: int) -> list[np.ndarray]:
        """Labels [size, size] uint8 of each view."""
        return [PARTS[classes] for classes in self._parse([cut_box(view.frame, view.box, size) for view in views])]
