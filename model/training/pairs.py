"""The deterministic stream of training pairs.

A batch is a pure function of (seed, step, part): a resumed run continues with the identical batches and needs no
sampler state, and two devices see what one device would see that accumulates two parts.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.data import FrameStore, to_tensor
from model.method import Sampler
from model.settings import TrainingSettings
from preprocessing.cameras import flip_camera
from preprocessing.cli import InputError
from preprocessing.reader import Sample

T = TypeVar("T")
CROSS_EVERY = 3
"""Self and cross pairs alternate 2 : 1 (paper, "Training")."""


class Batch(NamedTuple):
    """One training step's pairs: S sources, each with D drivers (rows source-major, S·D in all).

    ``neutrals`` and ``source_neutrals`` are neutral frames of the driver's and of the source's clip, for models with
    relative codes. Cross batches also hold ``driver_sources``, a photo of each driver's person.
    """

    sources: Float[Tensor, "s 3 e e"]
    drivers: Float[Tensor, "sd c d d"]
    neutrals: Float[Tensor, "sd c d d"] | None
    source_neutrals: Float[Tensor, "sd c d d"] | None
    driver_sources: Float[Tensor, "sd 3 e e"] | None
    labels: Float[Tensor, "sd 25"]
    targets: Float[Tensor, "sd 3 r r"]
    regions: UInt8[Tensor, "sd r r"]
    alignments: Float[Tensor, "sd 2 3"]
    cross: bool
    step: int
    clips: list[str]

    def to(self, device: torch.device) -> "Batch":
        """The batch with its tensors on ``device``."""
        tensors = {name: value for name, value in self._asdict().items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in tensors.items()}
        return self._replace(**moved)


def mirrored(batch: Batch, sources: Bool[np.ndarray, "s"]) -> Batch:
    """The batch with the chosen sources and their drivers flipped horizontally: images, masks, cameras, alignments."""
    rows = torch.from_numpy(sources)
    pairs = rows.repeat_interleave(len(batch.drivers) // len(batch.sources))

    def flip(images: Tensor, which: Tensor = pairs) -> Tensor:
        return torch.where(which.view(-1, *[1] * (images.dim() - 1)), images.flip(-1), images)

    # x → 1 − x in the frame and in the aligned view, whose template is symmetric.
    a = batch.alignments
    across = torch.stack([a[:, 0, 0], -a[:, 0, 1], 1 - a[:, 0, 0] - a[:, 0, 2]], dim=1)
    down = torch.stack([-a[:, 1, 0], a[:, 1, 1], a[:, 1, 0] + a[:, 1, 2]], dim=1)
    labels = torch.from_numpy(flip_camera(batch.labels.numpy()))
    return batch._replace(
        sources=flip(batch.sources, rows),
        drivers=flip(batch.drivers),
        neutrals=None if batch.neutrals is None else flip(batch.neutrals),
        source_neutrals=None if batch.source_neutrals is None else flip(batch.source_neutrals),
        driver_sources=None if batch.driver_sources is None else flip(batch.driver_sources),
        labels=torch.where(pairs[:, None], labels, batch.labels),
        targets=flip(batch.targets),
        regions=flip(batch.regions),
        alignments=torch.where(pairs[:, None, None], torch.stack([across, down], dim=1), a),
    )


class ClipSampler:
    """Whom and what there is to train on: people, their clips, the clips' samples.

    ``people`` restricts it to them (empty: all); InputError where it names someone without frames.
    """

    def __init__(self, store: FrameStore, people: Sequence[str], seed: int) -> None:
        self.store, self.seed = store, seed
        self.samples: dict[str, list[Sample]] = {}
        self.people: dict[str, list[str]] = {}
        for sample in store.clips.samples.values():
            if people and sample.person not in people:
                continue
            if sample.clip not in self.samples:
                self.people.setdefault(sample.person, []).append(sample.clip)
            self.samples.setdefault(sample.clip, []).append(sample)
        if store.clips and (missing := set(people) - set(self.people)):
            raise InputError(f"training: 'people' names '{min(missing)}', of whom there are no training frames.")

    def draw_people(self, count: int, rng: np.random.Generator) -> list[str]:
        """``count`` people in shuffled rounds: nobody comes again before everybody came."""
        people, order = sorted(self.people), list[str]()
        while len(order) < count:
            order.extend(rng.permutation(people))
        return order[:count]

    def length(self, clip: str) -> int:
        """Frames of a clip, in all its samples."""
        return sum(sample.frames for sample in self.samples[clip])

    def frame(self, clip: str, number: int) -> tuple[str, int]:
        """The ``number``-th frame of a clip, counted through its samples."""
        for sample in self.samples[clip]:
            if number < sample.frames:
                return sample.key, number
            number -= sample.frames
        raise IndexError(number)

    def any_frame(self, clip: str, rng: np.random.Generator) -> tuple[str, int]:
        """A random frame of a clip."""
        return self.frame(clip, int(rng.integers(self.length(clip))))


class PairSampler(ClipSampler):
    """Self and cross pairs of training frames.

    Sources are spread over people. A self pair's driver is any frame of the source's clip, part of them drawn evenly
    over mouth or eye opening, since open mouths and shut eyes are rare; a cross pair's driver is another person.
    """

    def __init__(self, store: FrameStore, settings: TrainingSettings, seed: int, relative: bool = False) -> None:
        """``relative``: the model's motion codes are relative, so that batches need neutral frames."""
        super().__init__(store, settings.people, seed)
        self.settings, self.relative = settings, relative
        self._openings = lru_cache(256)(self._read_openings)

    def _read_openings(self, clip: str) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
        """Mouth and eye opening of a clip's frames."""
        clips = [self.store.clips[sample.key] for sample in self.samples[clip]]
        return np.concatenate([c.opening for c in clips]), np.concatenate([c.eye_opening for c in clips])

    def is_cross(self, step: int) -> bool:
        """Whether ``step`` takes cross pairs: every third where L_dis or a cycle uses them and there are two people."""
        s = self.settings
        begun = step > s.dis_start * s.iterations
        return s.uses_cross and begun and step % CROSS_EVERY == CROSS_EVERY - 1 and len(self.people) > 1

    def batch(self, step: int, part: int = 0) -> Batch:
        """The pairs of one step; ``part`` counts what devices and accumulation add."""
        s, rng, cross = self.settings, np.random.default_rng([self.seed, step, part]), self.is_cross(step)
        sources, drivers, clips, source_clips = [], [], [], []
        for person in self.draw_people(s.sources, rng):
            clip = str(rng.choice(self.people[person]))
            sources.append(self.any_frame(clip, rng))
            driver_clip = clip
            if cross:
                other = str(rng.choice([p for p in sorted(self.people) if p != person]))
                driver_clip = str(rng.choice(self.people[other]))
            drivers += [self._driver(driver_clip, rng) for _ in range(s.drivers)]
            clips += [driver_clip] * s.drivers
            source_clips += [clip] * s.drivers
        neutrals = [self._neutral(clip, rng) for clip in clips] if self.relative else []
        source_neutrals = [self._neutral(clip, rng) for clip in source_clips] if self.relative and s.uses_cross else []
        photos = [self.any_frame(clip, rng) for clip in clips] if cross else []
        batch = Batch(
            sources=self.store.sources(sources),
            drivers=self.store.drivers(drivers),
            neutrals=self.store.drivers(neutrals) if neutrals else None,
            source_neutrals=self.store.drivers(source_neutrals) if source_neutrals else None,
            driver_sources=self.store.sources(photos) if photos else None,
            labels=self.store.labels(drivers),
            targets=to_tensor(self.store.images(drivers)),
            regions=torch.from_numpy(self.store.masks(drivers)),
            alignments=self.store.alignments(drivers),
            cross=cross,
            step=step,
            clips=clips,
        )
        return mirrored(batch, rng.random(len(sources)) < s.flip) if s.flip else batch

    def _neutral(self, clip: str, rng: np.random.Generator) -> tuple[str, int]:
        candidates = self.store.neutral_frames(clip)
        return candidates[rng.integers(len(candidates))]

    def _driver(self, clip: str, rng: np.random.Generator) -> tuple[str, int]:
        s, choice = self.settings, rng.random()
        if choice >= s.stratified_drivers + s.stratified_eyes:
            return self.any_frame(clip, rng)
        openings = self._openings(clip)[0 if choice < s.stratified_drivers else 1]
        low, high = np.quantile(openings, [0.01, 0.99])
        return self.frame(clip, int(np.argmin(np.abs(openings - rng.uniform(low, high)))))


class _Indexed(Dataset[T]):
    """``make(index)`` as a dataset."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self.make = make

    def __getitem__(self, index: int) -> T:
        return self.make(index)


def ahead(make: Callable[[int], T], order: range, workers: int) -> Iterator[T]:
    """``make(i)`` for each i of ``order``, made ahead of time by ``workers`` processes (0: when asked for)."""
    pinned = torch.cuda.is_available()
    return iter(DataLoader(_Indexed(make), batch_size=None, sampler=order, num_workers=workers, pin_memory=pinned))


def batches(sampler: Sampler, start: int, rank: int = 0, devices: int = 1) -> Iterator[Any]:
    """The batches of one device from step ``start`` on, ``accumulate`` of them a step."""
    s = sampler.settings

    def make(index: int) -> Any:
        step, micro = divmod(index, s.accumulate)
        return sampler.batch(step, micro * devices + rank)

    return ahead(make, range(start * s.accumulate, s.iterations * s.accumulate), s.workers)
