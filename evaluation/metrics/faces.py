"""Embedded detectors, their weights inside wheels: FaceMesh (landmarks, irises) and dlib's ResNet (identity)."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.geometry import aligned_eyes, head_degrees
from evaluation.metrics.units import action_units
from evaluation.pictures import resized
from preprocessing.cli import InputError
from preprocessing.detectors.backends import FaceMesh

Picture = NDArray[np.uint8]
Array = NDArray[np.float64]
SIDE = 256
DLIB_MODEL = "dlib_face_recognition_resnet_model_v1.dat"
CHIP_POINTS = (263, 362, 33, 133, 2)  # dlib's five points: outer and inner corner of both eyes, base of the nose


@dataclass(frozen=True)
class Face:
    """What is measured on one picture; the dear parts when first asked for."""

    landmarks: Array  # [478, 3], pixels of the picture at 256²
    chip: Picture = field(repr=False)  # [150, 150, 3], dlib's aligned face
    embed: Callable[[Picture], Array] = field(repr=False)

    @cached_property
    def degrees(self) -> Array:
        """Pitch, yaw and roll of the head, degrees [3]."""
        return head_degrees(self.landmarks, SIDE)

    @cached_property
    def units(self) -> Array:
        """Activations of the geometric action units [13]."""
        return action_units(self.landmarks)

    @cached_property
    def eyes(self) -> Array:
        """Pupil (x, y) and width of each eye, pixels of the eye-aligned 256² picture [2, 3]."""
        return aligned_eyes(self.landmarks)

    @cached_property
    def identity(self) -> Array:
        """dlib's embedding [128]."""
        return self.embed(self.chip)


class FaceReader:
    """Finds the face of one picture at a time; the detectors are built on first use."""

    def read(self, picture: Picture) -> Face | None:
        """The face of an RGB picture [H, W, 3], measured at 256², or None where FaceMesh finds none."""
        square = resized(picture, SIDE)
        (landmarks,) = self._mesh([square])
        if landmarks is None:
            return None
        return Face(landmarks.astype(np.float64), face_chip(square, landmarks), self._embed)

    @cached_property
    def _mesh(self) -> FaceMesh:
        return FaceMesh()

    @cached_property
    def _recogniser(self) -> Any:
        import dlib

        return dlib.face_recognition_model_v1(str(dlib_weights()))

    def _embed(self, chip: Picture) -> Array:
        return np.array(self._recogniser.compute_face_descriptor(chip), dtype=np.float64)


def face_chip(picture: Picture, landmarks: NDArray[np.floating]) -> Picture:
    """dlib's aligned face [150, 150, 3] of a picture, its five points taken from FaceMesh [478, 3]."""
    import dlib

    corners = [dlib.point(*(int(v) for v in np.rint(landmarks[i, :2]))) for i in CHIP_POINTS]
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    box = dlib.rectangle(*(int(v) for v in np.rint([*low, *high])))
    return np.asarray(dlib.get_face_chip(picture, dlib.full_object_detection(box, corners), 150, 0.25), dtype=np.uint8)


def dlib_weights() -> Path:
    """Path of dlib's recognition weights inside ``face_recognition_models`` (found without importing the package)."""
    spec = importlib.util.find_spec("face_recognition_models")
    places = [Path(p) for p in spec.submodule_search_locations or []] if spec else []
    for place in places:
        if (path := place / "models" / DLIB_MODEL).is_file():
            return path
    raise InputError(f"The package face_recognition_models, which carries {DLIB_MODEL}, is not installed.")
