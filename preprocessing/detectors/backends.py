"""Detectors behind one small interface, batch first; the embedded ones carry their weights in mediapipe's wheel.

The paper's, whose weights are fetched, have modules of their own; ``choice`` builds what the settings name.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np


class BoxDetector(Protocol):
    """Finds faces in frames."""

    name: str

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes [N, 4] float64 (l, t, r, b in pixels) of the faces in each of ``frames`` [H, W, 3] uint8 RGB."""


class LandmarkDetector(Protocol):
    """Finds the landmarks of the one face that each picture is of."""

    name: str

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """Landmarks [478 or 68, 3] float32 in pixels of each of ``images`` [H, W, 3] uint8 RGB (z in the same unit).

        None where there is no face.
        """


Solved = tuple[np.ndarray, float]
"""A camera label [25] and how far, in pixels (median), it puts the head's points from the landmarks."""


class CameraFinder(Protocol):
    """Finds the cameras that see faces."""

    name: str

    def __call__(
        self, windows: Sequence[np.ndarray], landmarks: Sequence[np.ndarray], matrices: Sequence[np.ndarray]
    ) -> list[Solved | None]:
        """The camera of each of ``windows`` [S, S, 3] uint8 RGB, in EG3D's world before a clip's own scale.

        ``landmarks`` are the face's [478 or 68, 3] in the window's pixels, ``matrices`` [3, 3] the window's normalised
        intrinsics, which the label has. None where there is no such camera.
        """


class View(NamedTuple):
    """A face to be parsed: a frame [H, W, 3], the window in it and the landmarks in the window's pixels."""

    frame: np.ndarray
    box: tuple[float, float, float, float]
    landmarks: np.ndarray


class RegionParser(Protocol):
    """Tells the parts of a person."""

    name: str
    side: int | None
    """Views are whole frames, of which it uses at most so many pixels each way; None: the window is enough."""

    def __call__(self, views: Sequence[View], size: int) -> list[np.ndarray]:
        """Labels [size, size] uint8 of each view's window, as preprocessing.masks numbers them."""


class Segmenter(Protocol):
    """Finds the person."""

    name: str

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Foreground probability [H, W] float32 of each of ``frames`` [H, W, 3] uint8 RGB."""


BATCH, BATCH_BYTES = 32, 256 << 20
"""Most frames, and most bytes of pixels, that a stage holds at once for a detector."""


T = TypeVar("T")


def batches(items: Iterable[T], pixels: Callable[[T], np.ndarray]) -> Iterator[list[T]]:
    """``items`` in lists that stay within :data:`BATCH` and :data:`BATCH_BYTES`; ``pixels`` gives an item's frame."""
    batch: list[T] = []
    held = 0
    for item in items:
        size = pixels(item).nbytes
        if batch and (len(batch) == BATCH or held + size > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what mediapipe's C++ prints while it starts away from the log (it ignores every setting for that)."""
    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


class _Solution:
    """A mediapipe solution without its C++ chatter: at the start, and once more when it sees its first face."""

    def __init__(self, build: Callable[[], Any]) -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _quiet():
            self._solution = build()
            self._solution.process(np.zeros((64, 64, 3), np.uint8))
        self._chatty = True

    def __call__(self, image: np.ndarray, field: str) -> Any:
        """Field ``field`` of the solution's answer for ``image`` [H, W, 3] uint8 RGB."""
        if not self._chatty:
            return getattr(self._solution.process(image), field)
        with _quiet():
            found = getattr(self._solution.process(image), field)
        self._chatty = found is None
        return found


class MediapipeBoxes:
    """mediapipe face detection, full-range model."""

    name = "mediapipe-0.10.21-full-range"

    def __init__(self, confidence: float = 0.5) -> None:
        from mediapipe.python.solutions.face_detection import FaceDetection

        self._model = _Solution(lambda: FaceDetection(model_selection=1, min_detection_confidence=confidence))

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`BoxDetector`."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        found = self._model(frame, "detections") or []
        boxes = [detection.location_data.relative_bounding_box for detection in found]
        corners = [(b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in boxes]
        return np.array(corners, np.float64).reshape(-1, 4) * (width, height, width, height)


class FaceMesh:
    """mediapipe FaceMesh with irises, static mode: its tracking mode makes false jumps."""

    name = "mediapipe-0.10.21-facemesh-478"

    def __init__(self, confidence: float = 0.5) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh as Solution

        self._model = _Solution(
            lambda: Solution(
                static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=confidence
            )
        )

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """See :class:`LandmarkDetector`."""
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> np.ndarray | None:
        height, width = image.shape[:2]
        found = self._model(image, "multi_face_landmarks")
        if not found:
            return None
        return _points(found[0].SerializeToString()) * np.array([width, height, width], np.float32)


_POINT = np.dtype([("head", "V2"), *((axis, [("tag", "V1"), ("value", "<f4")]) for axis in "xyz")])
"""A landmark in mediapipe's serialised list: field 1 with 15 bytes; in it fields 1 to 3, each a float."""


def _points(data: bytes) -> np.ndarray:
    """Landmarks [N, 3] float32 of a serialised list: in a tenth of the time that asking for each number takes."""
    table = np.frombuffer(data, _POINT)
    if (table["head"] != np.void(b"\n\x0f")).any():
        raise RuntimeError("mediapipe's landmarks are not three numbers each")
    return np.stack([table[axis]["value"] for axis in "xyz"], 1)


class SelfieSegmentation:
    """mediapipe selfie segmentation, the general model: the landscape one leaks."""

    name = "mediapipe-0.10.21-selfie-general"

    def __init__(self) -> None:
        from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation as Solution

        self._model = _Solution(lambda: Solution(model_selection=0))

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See :class:`Segmenter`."""
        return [np.asarray(self._model(frame, "segmentation_mask")) for frame in frames]
