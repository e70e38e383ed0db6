"""Which pixel of a window is background, face, hair, torso, eyes or mouth.

The embedded backend takes the foreground from selfie segmentation of the whole frame (on crops it leaks), cut by the
window; face, eyes and mouth are polygons of the landmarks. What it cannot tell apart (hair, ears, hands, hats) is 6,
foreground of unknown part; foreground below the chin is torso. BiSeNet tells all parts from the window alone.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from preprocessing.detectors.backends import Segmenter, SelfieSegmentation, View
from preprocessing.detectors.points import Layout, layout_of
from preprocessing.window import cut_box

BACKGROUND, FACE, HAIR, TORSO, EYES, MOUTH, UNKNOWN = range(7)
"""Labels of a mask."""

SEGMENTED = 256
"""Height and width to which frames are squeezed for the segmenter: what its network sees."""

SPECK = 0.04
"""Share of the frame below which foreground that does not touch the face is taken for a leak."""

HOLE = 0.001
"""Share of the frame below which a hole in the foreground is filled."""


def foreground(views: Sequence[View], segment: Segmenter, size: int) -> list[np.ndarray]:
    """Foreground probability [size, size] float32 of each view's window, found in its whole frame."""
    found = segment([_squeezed(view.frame) for view in views])
    return [_window(np.asarray(person, np.float32), view, size) for person, view in zip(found, views, strict=True)]


def _squeezed(frame: np.ndarray) -> np.ndarray:
    """``frame`` [H, W, 3] with at most :data:`SEGMENTED` pixels each way."""
    size = min(frame.shape[1], SEGMENTED), min(frame.shape[0], SEGMENTED)
    return frame if size == frame.shape[1::-1] else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _window(person: np.ndarray, view: View, size: int) -> np.ndarray:
    """The window [size, size] of a view, out of a map [h, w] float32 of its whole frame; 0 outside."""
    left, top, right, bottom = view.box
    across, down = person.shape[1] / view.frame.shape[1], person.shape[0] / view.frame.shape[0]
    x, y = (right - left) * across / size, (bottom - top) * down / size
    # pixel centres lie at .5 in boxes and at 0 in OpenCV
    into = np.array([[x, 0, left * across + x / 2 - 0.5], [0, y, top * down + y / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(person, into, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def tidy(mask: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Foreground [S, S] bool without specks away from the face [S, S] bool and without pinholes."""
    filled = mask | face
    parts, areas = _components(filled)
    keep = areas >= SPECK * mask.size
    keep[parts[face]] = True
    if not keep[1:].all():
        keep[0] = False
        filled = keep[parts]
    parts, areas = _components(~filled)
    small = areas < HOLE * mask.size
    if small[1:].any():
        small[0] = False
        filled = filled | small[parts]
    return np.asarray(filled)


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each pixel's connected part of ``mask`` [S, S] bool, 0 outside, and the pixels of each number."""
    pixels = mask.view(np.uint8)
    count, parts = cv2.connectedComponents(pixels, connectivity=4)
    if count > 2:
        return parts, np.bincount(parts.ravel(), minlength=count)
    inside = cv2.countNonZero(pixels)
    return parts, np.array([mask.size - inside, inside][:count])


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
    """See :class:`~preprocessing.detectors.backends.RegionParser`: mediapipe's foreground, the landmarks' polygons."""

    side: int | None = SEGMENTED

    def __init__(self, threshold: float) -> None:
        self._segment = SelfieSegmentation()
        self._threshold = threshold
        self.name = self._segment.name

    def __call__(self, views: Sequence[View], size: int) -> list[np.ndarray]:
        """Labels [size, size] uint8 of each view."""
        people = foreground(views, self._segment, size)
        return [
            region_mask(person > self._threshold, view.landmarks) for view, person in zip(views, people, strict=True)
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
    """See :class:`~preprocessing.detectors.backends.RegionParser`: BiSeNet on the window, which needs no landmarks."""

    side: int | None = None

    def __init__(self, path: Path) -> None:
        from preprocessing.detectors.bisenet import FaceParser

        self._parse = FaceParser(path)
        self.name = self._parse.name

    def __call__(self, views: Sequence[View], size: int) -> list[np.ndarray]:
        """Labels [size, size] uint8 of each view."""
        return [PARTS[classes] for classes in self._parse([cut_box(view.frame, view.box, size) for view in views])]
