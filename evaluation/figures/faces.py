"""Where the faces of the figures are: FaceMesh's landmarks, and the boxes around eyes and mouth."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.figures.canvas import Box
from evaluation.pictures import resized
from preprocessing.detectors.backends import FaceMesh

Landmarks = NDArray[np.float64]

SIDE = 256
EYES = (33, 133, 159, 145, 362, 263, 386, 374)  # of both eyes the corners and the middles of the lids
MOUTH = (61, 291, 0, 17)  # corners and outer rims of the lips
SHAPE = 4 / 9  # a close-up's height by its width
AIR = 1.35  # a close-up's side by what it must hold
LEAST = 0.75  # the mouth's close-up by the eyes', at least: a closed mouth alone would fill it with lips


class Faces:
    """FaceMesh, started when a face is first asked for."""

    @cached_property
    def _mesh(self) -> FaceMesh:
        return FaceMesh()

    def find(self, picture: NDArray[np.uint8] | None) -> Landmarks | None:
        """Landmarks [478, 3] in shares of the picture's side, of an RGB picture [H, W, 3]; None without a face.

        The picture is looked at in 256², as it is scored.
        """
        found = None if picture is None else self._mesh([resized(picture, SIDE)])[0]
        return None if found is None else found.astype(np.float64) / SIDE


def closeups(faces: Sequence[Landmarks | None]) -> tuple[Box, ...]:
    """Boxes of the eyes and of the mouth where the faces are on average; none where no face was found."""
    found = [face for face in faces if face is not None]
    if not found:
        return ()
    mean = np.mean(found, axis=0)
    eyes = _box(mean[list(EYES), :2], 0.0)
    return eyes, _box(mean[list(MOUTH), :2], LEAST * (eyes[2] - eyes[0]))


def _box(points: NDArray[np.float64], least: float) -> Box:
    """The box of points [P, 2], in shares of a square picture, with air around them and inside the picture.

    It is ``least`` wide or wider.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    width = min(1.0, max(least, AIR * float(max(high[0] - low[0], (high[1] - low[1]) / SHAPE))))
    left, top = np.clip((low + high) / 2 - np.array([width, width * SHAPE]) / 2, 0, [1 - width, 1 - width * SHAPE])
    return float(left), float(top), float(left) + width, float(top) + width * SHAPE
