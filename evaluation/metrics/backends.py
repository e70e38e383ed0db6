"""The backends' readers: what each reads off a picture, and how two of its readings are brought together.

A *reader* reads one thing (an embedding, head angles, action units, a face's shape, its eyes) off a batch of pictures:
an array for each, in order, or None where it finds no face, or the reason (a sentence's part) of another failure.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.choice import BFM, BUFFALO, CLEAN_INCEPTION, INCEPTION, VGGFACE2, path_of
from evaluation.metrics.faces import Face, FaceReader
from evaluation.metrics.geometry import aligned_shapes
from evaluation.pictures import Picture, digest
from preprocessing.weights import DEEP3D_LANDMARKS, DEEP3D_NETWORK

Array = NDArray[np.float64]
Reading = Array | str | None
Reader = Callable[[Sequence[Picture]], Sequence[Reading]]
T = TypeVar("T")
KEPT = 512  # pictures whose readings are remembered at once
KEPT_LARGE = 64  # where a reading is of the size of a picture


class Remembering(Generic[T]):
    """A reader that reads each picture once while it is among the last ``kept`` different ones."""

    def __init__(self, read: Callable[[Sequence[Picture]], Sequence[T]], kept: int = KEPT) -> None:
        self._read, self._least = read, kept
        self._kept: OrderedDict[str, T] = OrderedDict()

    def __call__(self, pictures: Sequence[Picture]) -> list[T]:
        """The readings of a batch; pictures with equal bytes are one picture."""
        keys = [digest(picture) for picture in pictures]
        new = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._kept}
        if new:
            self._kept.update(zip(new, self._read(list(new.values())), strict=True))
        found = [self._kept[key] for key in keys]
        for key in keys:
            self._kept.move_to_end(key)
        while len(self._kept) > self._least:
            self._kept.popitem(last=False)
        return found


class Tools:
    """What several backends share, each built when first asked for."""

    @cached_property
    def faces(self) -> Remembering[Face | None]:
        """FaceMesh's face of each picture."""
        reader = FaceReader()
        return Remembering(lambda pictures: [reader.read(picture) for picture in pictures])

    def of_face(self, measure: Callable[[Face], Array]) -> Reader:
        """A reader of one property of FaceMesh's face; its ValueError is the reason of a missing reading."""

        def read(pictures: Sequence[Picture]) -> list[Reading]:
            return [None if face is None else _or_reason(measure, face) for face in self.faces(pictures)]

        return read

    @cached_property
    def largest_face(self) -> "Remembering[Array | None]":
        """MTCNN's largest face of each picture."""
        from evaluation.metrics.standard.mtcnn import Mtcnn

        return Remembering(Mtcnn(self.device))

    @cached_property
    def device(self) -> str:
        """Where PyTorch's networks run: a GPU where there is one."""
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def _or_reason(measure: Callable[[Face], Array], face: Face) -> Reading:
    try:
        return measure(face)
    except ValueError as error:
        return str(error)


def _inception(tools: Tools) -> Reader:
    from evaluation.metrics.perceptual import Inception

    return Inception(path_of(INCEPTION), tools.device)


def _clean_fid(tools: Tools) -> Reader:
    from evaluation.metrics.standard.cleanfid import CleanFid

    return CleanFid(path_of(CLEAN_INCEPTION), tools.device)


def _facenet(tools: Tools) -> Reader:
    from evaluation.metrics.standard.facenet import Facenet

    return Facenet(path_of(VGGFACE2), tools.device, tools.largest_face)


def _arcface(tools: Tools) -> Reader:
    from evaluation.metrics.standard.arcface import ArcFace

    return ArcFace(path_of(BUFFALO), tools.largest_face)


def _deep3d(tools: Tools) -> Reader:
    from evaluation.metrics.standard.deep3d import Deep3d

    network, model, landmarks = (path_of(name) for name in (DEEP3D_NETWORK, BFM, DEEP3D_LANDMARKS))
    return Deep3d(network, model, landmarks, tools.device, tools.largest_face)


def _gaze_tracking(_: Tools) -> Reader:
    from evaluation.metrics.standard.gazetracking import GazeTracking

    return GazeTracking()


@dataclass(frozen=True)
class Backend:
    """One backend: what builds its reader, and what brings two of its readings together before the formula."""

    name: str
    read: Callable[[Tools], Reader]
    align: Callable[[Array, Array], tuple[Array, Array]] | None = None
    kept: int = KEPT


READERS = {
    backend.name: backend
    for backend in (
        Backend("pytorch-fid", _inception),
        Backend("clean-fid", _clean_fid),
        Backend("facenet-vggface2", _facenet),
        Backend("arcface-r50", _arcface),
        Backend("deep3dfacerecon-bfm09", _deep3d, kept=KEPT_LARGE),
        Backend("gazetracking", _gaze_tracking),
        Backend("dlib-128", lambda tools: tools.of_face(lambda face: face.identity)),
        Backend("AUCON-geo", lambda tools: tools.of_face(lambda face: face.units)),
        Backend("facemesh-pose", lambda tools: tools.of_face(lambda face: face.degrees)),
        Backend("facemesh-478", lambda tools: tools.of_face(lambda face: face.landmarks), align=aligned_shapes),
        Backend("facemesh-iris", lambda tools: tools.of_face(lambda face: face.eyes)),
    )
}
