"""The two kinds of landmarks, FaceMesh's 478 points and the 68 of 2D-FAN: which point is what."""

from dataclasses import dataclass

import numpy as np

from preprocessing.cli import InputError
from preprocessing.reference_face import CHIN, FIVE, FOREHEAD, RIGID

Points = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Indices of points, in the order in which an outline is drawn."""

    count: int
    reference: Points
    """For each point, the one of the reference face that stands for it."""
    rigid: Points
    """Points that move with the head alone."""
    five: tuple[Points, ...]
    """Eyes, nose, corners of the mouth: points whose mean stands for each of the five."""
    oval: Points
    """Outline of the face, around; that of 68 points ends at the brows."""
    left_eye: Points
    """Lids of the eye at the image's left, around."""
    right_eye: Points
    lips: Points
    """Outer border of the lips, around."""
    jaw: Points
    """Outline of the jaw from ear to ear."""
    upright: tuple[int, int]
    """A high and a low point of the face's middle: the way from one to the other is down."""

    @property
    def rigid_reference(self) -> list[int]:
        """The points of the reference face that stand for the rigid ones."""
        return [self.reference[index] for index in self.rigid]

    def five_points(self, landmarks: np.ndarray) -> np.ndarray:
        """The five points [5, D] of landmarks [count, D]."""
        return np.stack([landmarks[list(group)].mean(0) for group in self.five])


MESH = Layout(
    count=478,
    reference=tuple(range(478)),
    rigid=tuple(RIGID),
    five=FIVE,
    oval=(
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ),
    left_eye=(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    right_eye=(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    lips=(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    jaw=(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
    upright=(FOREHEAD, CHIN),
)  # fmt: skip
"""FaceMesh."""

# The usual correspondence of FaceMesh's points to the 68 of iBUG: jaw, brows, nose, eyes, lips.
IBUG_ON_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip

IBUG = Layout(
    count=68,
    reference=IBUG_ON_MESH,
    rigid=(27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45),
    five=((36, 39), (42, 45), (30,), (48,), (54,)),
    oval=(*range(17), *range(26, 16, -1)),
    left_eye=tuple(range(36, 42)),
    right_eye=tuple(range(42, 48)),
    lips=tuple(range(48, 60)),
    jaw=tuple(range(17)),
    upright=(27, 8),
)
"""The 68 points of iBUG (300-W), which 2D-FAN gives: of the contour of the jaw only the ends lie at the ears."""


def layout_of(landmarks: np.ndarray) -> Layout:
    """The layout of landmarks [..., 478 or 68, D]; any other number of points raises :class:`InputError`."""
    count = landmarks.shape[-2]
    for layout in (MESH, IBUG):
        if layout.count == count:
            return layout
    raise InputError(f"Landmarks are FaceMesh's {MESH.count} points or iBUG's {IBUG.count}, not {count}.")


def as_ibug(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [..., 478 or 68, D] as the 68 points [..., 68, D] of iBUG."""
    return landmarks[..., list(IBUG_ON_MESH), :] if layout_of(landmarks) is MESH else landmarks
