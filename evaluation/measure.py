"""The measuring core: samples in, a value of every metric or the reason why there is none out, in batches."""

import functools
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import formulas, pixels
from evaluation.metrics.backends import Array, Reading, Remembering, Tools, reader_of
from evaluation.metrics.catalogue import METRICS, Metric
from evaluation.metrics.choice import ALEXNET, Choice, path_of
from evaluation.pictures import Picture
from evaluation.statistics import Interval, set_interval

# PyTorch is loaded only where a network of it measures: it costs each scoring job a second and half a gigabyte.
if TYPE_CHECKING:
    from evaluation.metrics.perceptual import Lpips

BATCH = 16


@dataclass(frozen=True)
class Sample:
    """One generated image and what it is compared with; ``degrees`` is the requested head pose where there is one."""

    generated: Picture
    target: Picture | None = None
    source: Picture | None = None
    degrees: Array | None = None


@dataclass(frozen=True)
class Value:
    """One metric of one image: NaN and a reason where it could not be measured."""

    value: float
    reason: str = ""

    @property
    def used(self) -> bool:
        """Whether the value counts."""
        return not self.reason


@dataclass(frozen=True)
class Measurement:
    """What was measured of one sample.

    ``values`` by metric's key; ``features`` of the generated image by the key of the metrics that compare sets, None
    where it has none. Metrics whose backend is not at hand are in neither.
    """

    values: dict[str, Value] = field(default_factory=dict)
    features: dict[str, NDArray[np.float64] | None] = field(default_factory=dict)


def is_set_metric(metric: Metric) -> bool:
    """Whether the metric compares two sets of images instead of averaging over images."""
    return metric.reference == "real"


def missing(reason: str) -> Value:
    """No value, for ``reason``."""
    return Value(math.nan, reason)


def measured(
    choice: Choice, metrics: Sequence[Metric], samples: Iterable[Sample], threads: int = 1
) -> Iterator[Measurement]:
    """The measurements of ``samples``, in their order, in batches shared among ``threads`` processes.

    No more samples are taken than are being measured, so that memory does not grow with their number.
    """
    stream = iter(samples)
    batches = iter(lambda: list(islice(stream, BATCH)), [])
    keys = tuple(metric.key for metric in metrics)
    first = list(islice(batches, 2))
    if threads == 1 or len(first) < 2:
        for batch in chain(first, batches):
            yield from _measure(choice, keys, batch)
        return
    # Spawned, not forked: the detectors' own threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(threads, mp_context=context, initializer=_take_one_core) as pool:
        waiting: deque[Future[list[Measurement]]] = deque()
        for batch in chain(first, batches):
            waiting.append(pool.submit(_measure, choice, keys, batch))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _take_one_core() -> None:
    """Before PyTorch is loaded, which would start a thread per core in each of the processes."""
    os.environ["OMP_NUM_THREADS"] = "1"


def _measure(choice: Choice, keys: tuple[str, ...], samples: list[Sample]) -> list[Measurement]:
    return _measurer(choice).batch([METRICS[key] for key in keys], samples)


@functools.lru_cache(maxsize=1)
def _measurer(choice: Choice) -> "Measurer":
    """Each process builds its detectors once."""
    return Measurer(choice)


class Measurer:
    """Measures batches of samples with the chosen backends. Readings are remembered by the bytes of their picture, so
    a source, a driver's frame or an unchanged copy is read once while it keeps returning."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._tools = Tools(choice.readings)
        self._readers: dict[str, Remembering[Reading]] = {}

    def batch(self, metrics: Sequence[Metric], samples: Sequence[Sample]) -> list[Measurement]:
        """The measurements of ``samples``, in their order."""
        results = [Measurement() for _ in samples]
        for metric in metrics:
            backend, unavailable = self._choice.backend(metric)
            if unavailable:
                continue
            if is_set_metric(metric):
                readings = self._read(metric, backend, [sample.generated for sample in samples])
                for result, reading in zip(results, readings, strict=True):
                    result.features[metric.key] = reading if isinstance(reading, np.ndarray) else None
                continue
            for result, value in zip(results, self._values(metric, backend, samples), strict=True):
                result.values[metric.key] = value
        return results

    def _values(self, metric: Metric, backend: str, samples: Sequence[Sample]) -> list[Value]:
        """One metric of every sample; where what it is compared with is not given, that is the reason."""
        role = "source" if metric.reference == "source" else "target"
        posed = metric.reference == "pose"
        others = [sample.source if role == "source" else sample.target for sample in samples]
        ready = [
            i
            for i, (sample, other) in enumerate(zip(samples, others, strict=True))
            if other is not None or (posed and sample.degrees is not None)
        ]
        values = [missing(f"{metric.name} compares with the {role}, which was not given") for _ in samples]
        chosen = [samples[i] for i in ready]
        pairs = [other for i in ready if (other := others[i]) is not None]
        if metric.key in _PIXELS or metric.key == "lpips":
            found = self._of_pixels(metric, chosen, pairs)
        else:
            found = self._of_readings(metric, backend, chosen, role)
        for i, value in zip(ready, found, strict=True):
            values[i] = value
        return values

    def _of_pixels(self, metric: Metric, samples: Sequence[Sample], others: Sequence[Picture]) -> list[Value]:
        made = [sample.generated for sample in samples]
        if metric.key == "lpips":
            found = self._lpips(made, others) if made else []
            return [missing(value) if isinstance(value, str) else Value(value) for value in found]
        values = []
        for a, b in zip(made, others, strict=True):
            try:
                value = _PIXELS[metric.key](a, b)
            except ValueError as error:
                values.append(missing(str(error)))
                continue
            identical = "identical to the target: the value is infinite"
            values.append(Value(value) if math.isfinite(value) else missing(identical))
        return values

    def _of_readings(self, metric: Metric, backend: str, samples: Sequence[Sample], role: str) -> list[Value]:
        requested = [sample.degrees if metric.reference == "pose" else None for sample in samples]
        wanted = [
            other
            for sample, degrees in zip(samples, requested, strict=True)
            if degrees is None and (other := sample.source if role == "source" else sample.target) is not None
        ]
        # One call for all: readers work in batches.
        readings = self._read(metric, backend, [*(sample.generated for sample in samples), *wanted])
        made, rest = readings[: len(samples)], iter(readings[len(samples) :])
        references = [next(rest) if degrees is None else degrees for degrees in requested]
        return [
            _compared(metric, backend, reference, reading, "source" if role == "source" else "driver")
            for reference, reading in zip(references, made, strict=True)
        ]

    def _read(self, metric: Metric, backend: str, pictures: Sequence[Picture]) -> list[Reading]:
        entry = reader_of(backend, metric)
        if entry.name not in self._readers:
            self._readers[entry.name] = Remembering(entry.read(self._tools), entry.kept)
        return self._readers[entry.name](pictures)

    @cached_property
    def _lpips(self) -> "Lpips":
        from evaluation.metrics.perceptual import Lpips

        return Lpips(path_of(ALEXNET), self._tools.device)


def set_distance(
    metric: Metric,
    real: Sequence[Measurement],
    made: Sequence[Measurement],
    clips: Sequence[str],
    blocks: Sequence[str],
) -> tuple[Interval | None, int, str]:
    """Distance of the generated images' features from the real ones', how many of the former have any, and a remark.

    ``clips`` and ``blocks`` are the generated images', for the interval. No distance where there are too few images.
    """
    known = [feature for other in real if (feature := other.features[metric.key]) is not None]
    kept = [i for i, result in enumerate(made) if result.features[metric.key] is not None]
    fewer = min(len(known), len(kept))
    if fewer < metric.least_images:
        counts = f"{len(known)} real, {len(kept)} generated"
        return None, len(kept), f"needs {metric.least_images} images on each side: {counts}"
    features = [feature for result in made if (feature := result.features[metric.key]) is not None]
    chosen = [clips[i] for i in kept], [blocks[i] for i in kept]
    interval = set_interval(formulas.frechet_distance, np.stack(known), np.stack(features), *chosen)
    return interval, len(kept), f"below {metric.enough_images:,} images" if fewer < metric.enough_images else ""


def _compared(metric: Metric, backend: str, reference: Reading, generated: Reading, role: str) -> Value:
    for reading, whose in ((generated, "generated"), (reference, role)):
        if not isinstance(reading, np.ndarray):
            return missing(f"{reading or 'no face found'} in the {whose} image")
    assert isinstance(reference, np.ndarray) and isinstance(generated, np.ndarray)
    align = reader_of(backend, metric).align
    a, b = align(reference, generated) if align else (reference, generated)
    try:
        return Value(_READINGS[metric.key](a, b))
    except ValueError as error:
        return missing(str(error))


def _eye_error(driver: Array, generated: Array) -> float:
    return formulas.eye_tracking_error(driver[None, :, :2], generated[None, :, :2])


_PIXELS: dict[str, Callable[[Picture, Picture], float]] = {"l1": pixels.l1, "ssim": pixels.ssim, "psnr": pixels.psnr}
_READINGS: dict[str, Callable[[Array, Array], float]] = {
    "csim": lambda a, b: formulas.cosine_identity(a[None], b[None]),
    "csim_l2": lambda a, b: float(np.linalg.norm(a - b)),
    "aucon": lambda a, b: formulas.action_unit_consistency(a[None], b[None]),
    "prmse": lambda a, b: formulas.pose_rmse(a[None], b[None]),
    "avd": lambda a, b: formulas.vertex_distance(a[None], b[None]),
    "et": _eye_error,
    "et_width": lambda a, b: _eye_error(a, b) / float(a[:, 2].mean()),
}
assert set(_PIXELS) | set(_READINGS) | {"lpips", "fid", "ffd"} == set(METRICS)
