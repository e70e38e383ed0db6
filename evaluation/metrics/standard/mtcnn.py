"""The face of a picture by MTCNN (facenet-pytorch 2.5.3, its weights inside the wheel): its box and five points."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.pictures import Picture

Array = NDArray[np.float64]
FaceDetector = Callable[[Sequence[Picture]], list[Array | None]]
"""Reads faces [7, 2] in pixels (x, y) of each picture, None where there is none; rows as BOX and POINTS say."""

BOX = slice(0, 2)  # upper left and lower right corner
POINTS = slice(2, 7)  # left and right eye, nose, left and right corner of the mouth, as the picture shows them
LEAST_FACE = 20  # pixels, the package's own


class Mtcnn:
    """Reads the largest face [7, 2] of each picture: corners of its box, then its five points.

    The networks see one picture at a time: pictures differ in size, and what is found in one must not depend on those
    beside it.
    """

    def __init__(self, device: str = "cpu") -> None:
        import torch
        from facenet_pytorch import MTCNN

        self._net = MTCNN(min_face_size=LEAST_FACE, select_largest=True, device=torch.device(device)).eval()

    def __call__(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Faces [7, 2] in pixels of each picture [H, W, 3]."""
        return [self._read(picture) for picture in pictures]

    def _read(self, picture: Picture) -> Array | None:
        if min(picture.shape[:2]) < LEAST_FACE:  # the package's pyramid of sizes would be empty
            return None
        boxes, _, points = self._net.detect(picture, landmarks=True)
        if boxes is None:
            return None
        return np.concatenate([boxes[0].reshape(2, 2), points[0]]).astype(np.float64)
