"""The measuring core: one image measured once, one metric at a time, a reason wherever a value is missing."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import formulas, pixels
from evaluation.metrics.catalogue import METRICS, Metric
from evaluation.metrics.faces import Face, FaceReader
from evaluation.metrics.geometry import aligned_pupils, aligned_shapes
from preprocessing import weights

# PyTorch is loaded only where LPIPS or FID can be measured: it costs each scoring job a second and half a gigabyte.
if TYPE_CHECKING:
    from evaluation.metrics.perceptual import Inception, Lpips

Picture = NDArray[np.uint8]
T = TypeVar("T")
KEPT = 2048  # faces and feature vectors remembered at once
NOT_HERE = {
    "facenet-vggface2": "the standard backend facenet-pytorch (VGGFace2) is not part of this environment",
    "py-feat": "the standard backend py-feat is not part of this environment",
    "deep3dfacerecon-bfm09": "the standard backend Deep3DFaceRecon needs the licence-gated BFM09, which is not here",
    "gazetracking": "the standard backend GazeTracking is not part of this environment",
}


@dataclass(frozen=True)
class Sample:
    """One generated image and what it is compared with; ``degrees`` is the requested head pose where there is one."""

    generated: Picture
    target: Picture | None
    source: Picture | None
    degrees: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Value:
    """One metric of one image: NaN and a reason where it could not be measured."""

    value: float
    reason: str = ""

    @property
    def used(self) -> bool:
        """Whether the value counts."""
        return not self.reason


def missing(reason: str) -> Value:
    """No value, for ``reason``."""
    return Value(math.nan, reason)


class Memory(Generic[T]):
    """The results of the last :data:`KEPT` different pictures."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, T] = OrderedDict()

    def get(self, key: bytes, compute: Callable[[], T]) -> T:
        """The result under ``key``, computed when it is not remembered."""
        if key not in self._kept:
            self._kept[key] = compute()
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


class Measurer:
    """Measures samples with one family of backends. Faces and features are kept by the bytes of their picture,
    so a source, a driver frame or an unchanged copy is measured once however often it returns."""

    def __init__(self, backend: str = "auto") -> None:
        self._backend = backend
        self._faces: Memory[Face | None] = Memory()
        self._features: Memory[NDArray[np.float64]] = Memory()
        self._reader = FaceReader()

    def backend(self, metric: Metric) -> tuple[str, str]:
        """The backend that measures ``metric`` and, where none can, the reason (else empty)."""
        families = {"embedded": (metric.embedded,), "standard": (metric.standard,)}
        choices = [name for name in families.get(self._backend, (metric.standard, metric.embedded)) if name]
        if not choices:
            return "", f"{metric.name} has no {self._backend} backend"
        reasons = []
        for name in choices:
            reason = self._unavailable(name)
            if reason is None:
                return name, ""
            reasons.append(reason)
        return choices[0], reasons[0]

    @staticmethod
    def _unavailable(backend: str) -> str | None:
        if backend == "lpips-alex":
            return weights.missing(weights.ALEXNET)
        if backend == "pytorch-fid":
            return weights.missing(weights.INCEPTION)
        return NOT_HERE.get(backend)

    def face(self, picture: Picture) -> Face | None:
        """The face of a picture, measured once."""
        return self._faces.get(_digest(picture), lambda: self._reader.read(picture))

    def image(self, metric: Metric, sample: Sample) -> Value:
        """One image's value of a metric that is a mean over images."""
        if unavailable := self.backend(metric)[1]:
            return missing(unavailable)
        try:
            return self._value(metric, sample)
        except ValueError as error:
            return missing(str(error))

    def _value(self, metric: Metric, sample: Sample) -> Value:
        if metric.reference == "pose" and sample.degrees is not None:
            return self._of_pose(sample.generated, sample.degrees)
        role = "source" if metric.reference == "source" else "target"
        other = sample.source if role == "source" else sample.target
        if other is None:
            return missing(f"{metric.name} compares with the {role}, which was not given")
        if metric.key in _PIXELS:
            value = _PIXELS[metric.key](sample.generated, other)
            return Value(value) if math.isfinite(value) else missing("identical to the target: the value is infinite")
        if metric.key == "lpips":
            return Value(self._lpips.distance(sample.generated, other))
        return self._of_faces(metric, other, sample.generated, role)

    def _of_pose(self, picture: Picture, requested: NDArray[np.float64]) -> Value:
        generated = self.face(picture)
        if generated is None:
            return missing("no face found in the generated image")
        return Value(formulas.pose_rmse(requested[None], generated.degrees[None]))

    def _of_faces(self, metric: Metric, reference: Picture, picture: Picture, role: str) -> Value:
        generated, other = self.face(picture), self.face(reference)
        if generated is None:
            return missing("no face found in the generated image")
        if other is None:
            return missing(f"no face found in the {'source' if role == 'source' else 'driver'} image")
        return Value(_FACES[metric.key](other, generated))

    def feature(self, metric: Metric, picture: Picture) -> NDArray[np.float64] | None:
        """The feature vector of a set-level metric (FID, FFD), or None where it needs a face and there is none."""
        if metric.key == "ffd":
            face = self.face(picture)
            return None if face is None else face.identity
        return self._features.get(_digest(picture), lambda: self._inception.features([picture])[0])

    @cached_property
    def _lpips(self) -> "Lpips":
        from evaluation.metrics import perceptual

        return perceptual.Lpips(weights.registry()[weights.ALEXNET].path)

    @cached_property
    def _inception(self) -> "Inception":
        from evaluation.metrics import perceptual

        return perceptual.Inception(weights.registry()[weights.INCEPTION].path)


def is_set_metric(metric: Metric) -> bool:
    """Whether the metric compares two sets of images instead of averaging over images."""
    return metric.reference == "real"


def _digest(picture: Picture) -> bytes:
    return hashlib.blake2b(
        np.ascontiguousarray(picture).tobytes() + str(picture.shape).encode(), digest_size=16
    ).digest()


def _eye_error(driver: Face, generated: Face) -> float:
    a, _ = aligned_pupils(driver.landmarks)
    b, _ = aligned_pupils(generated.landmarks)
    return formulas.eye_tracking_error(a[None], b[None])


def _eye_error_in_widths(driver: Face, generated: Face) -> float:
    return _eye_error(driver, generated) / aligned_pupils(driver.landmarks)[1]


def _vertices(source: Face, generated: Face) -> float:
    a, b = aligned_shapes(source.landmarks, generated.landmarks)
    return formulas.vertex_distance(a[None], b[None])


_PIXELS: dict[str, Callable[..., float]] = {"l1": pixels.l1, "ssim": pixels.ssim, "psnr": pixels.psnr}
_FACES: dict[str, Callable[[Face, Face], float]] = {
    "csim": lambda a, b: formulas.cosine_identity(a.identity[None], b.identity[None]),
    "csim_l2": lambda a, b: float(np.linalg.norm(a.identity - b.identity)),
    "aucon": lambda a, b: formulas.action_unit_consistency(a.units[None], b.units[None]),
    "prmse": lambda a, b: formulas.pose_rmse(a.degrees[None], b.degrees[None]),
    "avd": _vertices,
    "et": _eye_error,
    "et_width": _eye_error_in_widths,
}
assert set(_PIXELS) | set(_FACES) | {"lpips", "fid", "ffd"} == set(METRICS)
