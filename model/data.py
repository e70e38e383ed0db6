"""Frames from shards as the model wants them, and the deterministic stream of training pairs.

A batch is a pure function of (seed, step): a resumed run continues with the identical batches, and no sampler state
needs saving.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from model.landmarks import aligned_face, alignment, mouth_opening, standardised
from model.settings import ModelSettings, TrainingSettings
from preprocessing.cameras import flip_camera
from preprocessing.reader import Sample, ShardReader

EYES_AND_MOUTH = (4, 5)
NEUTRAL_CANDIDATES = 6
"""A driver's neutral frame in training is one of this many frames with the smallest mouth opening."""


def to_tensor(images: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """uint8 images → float tensor in [−1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(tensor: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
    """Inverse of :func:`to_tensor`, rounded and clamped."""
    return ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def resized(images: UInt8[np.ndarray, "b h w 3"], side: int) -> UInt8[np.ndarray, "b side side 3"]:
    """Images resized by area averaging (down) or bicubically (up)."""
    if images.shape[1] == side:
        return images
    method = cv2.INTER_AREA if side < images.shape[1] else cv2.INTER_CUBIC
    return np.stack([cv2.resize(image, (side, side), interpolation=method) for image in images])


@dataclass(frozen=True)
class Clip:
    """A sample's facts: camera labels [T, 25], landmarks in pixels [T, 478, 3], mouth opening [T]; the frame's side."""

    sample: Sample
    cameras: Float[np.ndarray, "t 25"]
    landmarks: Float[np.ndarray, "t 478 3"]
    opening: Float[np.ndarray, "t"]
    frame_side: int


class FrameStore:
    """Random access to the frames of some samples, prepared for one model (sizes from its settings).

    With ``cached`` the prepared pixels of every frame are kept in memory; else each request reads the shard.
    """

    def __init__(
        self, reader: ShardReader, samples: Sequence[Sample], settings: ModelSettings, cached: bool = False
    ) -> None:
        self.reader = reader
        self.settings = settings
        self.side = settings.resolution
        self.driver_side = (settings.motion_encoder or settings.encoder).resolution
        self.clips = {}
        for sample in samples:
            landmarks = reader.landmarks(sample.key)
            side = reader.frames(sample.key, [0]).shape[1]
            self.clips[sample.key] = Clip(sample, reader.cameras(sample.key), landmarks, mouth_opening(landmarks), side)
        self._cache: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
        if cached:
            self._cache = {key: self._read(key, range(clip.sample.frames)) for key, clip in self.clips.items()}

    def _read(self, key: str, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Black-background images [n, side, side, 3], eye + mouth masks [n, side, side], aligned drivers [n, d, d]."""
        frames, masks = self.reader.frames(key, indices), self.reader.masks(key, indices)
        black = frames * (masks > 0)[..., None]
        detail = np.isin(masks, EYES_AND_MOUTH).astype(np.uint8)
        detail = np.stack([cv2.resize(m, (self.side, self.side), interpolation=cv2.INTER_AREA) for m in detail])
        if self.settings.motion_encoder is None:
            aligned = np.zeros((len(frames), 0, 0), np.uint8)
        else:
            aligned = np.stack(
                [
                    aligned_face(frame, self.clips[key].landmarks[i], self.driver_side)
                    for frame, i in zip(frames, indices, strict=True)
                ]
            )
        return resized(black, self.side), detail.astype(bool), aligned

    def _get(self, key: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._cache is not None:
            images, masks, aligned = self._cache[key]
            return images[index], masks[index], aligned[index]
        images, masks, aligned = self._read(key, [index])
        return images[0], masks[0], aligned[0]

    def images(self, wanted: Sequence[tuple[str, int]]) -> UInt8[np.ndarray, "n side side 3"]:
        """Frames with black background at the model's output size."""
        return np.stack([self._get(key, index)[0] for key, index in wanted])

    def masks(self, wanted: Sequence[tuple[str, int]]) -> Bool[np.ndarray, "n side side"]:
        """Eye + mouth masks at the model's output size."""
        return np.stack([self._get(key, index)[1] for key, index in wanted])

    def sources(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n 3 e e"]:
        """What E sees of source frames: in [−1, 1], at the encoder's resolution."""
        return to_tensor(resized(self.images(wanted), self.settings.encoder.resolution))

    def drivers(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n c d d"]:
        """What the motion encoder sees of driving frames: the aligned grey face, or E's input if E gives both codes."""
        if self.settings.motion_encoder is None:
            return self.sources(wanted)
        aligned = np.stack([self._get(key, index)[2] for key, index in wanted])
        return torch.from_numpy(standardised(aligned))[:, None]

    def labels(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n 25"]:
        """Camera labels."""
        return torch.from_numpy(np.stack([self.clips[key].cameras[index] for key, index in wanted])).float()

    def alignments(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n 2 3"]:
        """Affine maps from the frame (0–1) to the aligned view (0–1), float64."""
        matrices = []
        for key, index in wanted:
            clip = self.clips[key]
            matrices.append(alignment(clip.landmarks[index] / clip.frame_side))
        return torch.from_numpy(np.stack(matrices))

    @cache  # noqa: B019 - the store lives as long as its process
    def neutral_frames(self, clip: str, count: int = NEUTRAL_CANDIDATES) -> list[tuple[str, int]]:
        """The ``count`` frames of a clip (all its samples here) with the smallest mouth opening, smallest first."""
        frames = [
            (float(opening), key, index)
            for key, c in self.clips.items()
            if c.sample.clip == clip
            for index, opening in enumerate(c.opening)
        ]
        return [(key, index) for _, key, index in sorted(frames)[:count]]


@dataclass(frozen=True)
class Batch:
    """One training step's pairs: S sources, each with D drivers (rows source-major, S·D in all)."""

    sources: Float[Tensor, "s 3 e e"]
    drivers: Float[Tensor, "sd c d d"]
    neutrals: Float[Tensor, "sd c d d"] | None
    labels: Float[Tensor, "sd 25"]
    targets: Float[Tensor, "sd 3 r r"]
    masks: Bool[Tensor, "sd r r"]
    alignments: Float[Tensor, "sd 2 3"]
    clips: list[str]


def mirrored(batch: Batch, sources: Bool[np.ndarray, "s"]) -> Batch:
    """The batch with the chosen sources and their drivers flipped horizontally: images, masks, cameras, alignments."""
    rows = torch.from_numpy(sources)
    per_source = len(batch.drivers) // len(batch.sources)
    pairs = rows.repeat_interleave(per_source)

    def flip(images: Tensor, which: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (images.dim() - 1)), images.flip(-1), images)

    # x → 1 − x in the frame and in the aligned view, whose template is symmetric.
    a = batch.alignments
    across = torch.stack([a[:, 0, 0], -a[:, 0, 1], 1 - a[:, 0, 0] - a[:, 0, 2]], dim=1)
    down = torch.stack([-a[:, 1, 0], a[:, 1, 1], a[:, 1, 0] + a[:, 1, 2]], dim=1)
    labels = torch.from_numpy(flip_camera(batch.labels.numpy()))
    return Batch(
        sources=flip(batch.sources, rows),
        drivers=flip(batch.drivers, pairs),
        neutrals=None if batch.neutrals is None else flip(batch.neutrals, pairs),
        labels=torch.where(pairs[:, None], labels, batch.labels),
        targets=flip(batch.targets, pairs),
        masks=flip(batch.masks, pairs),
        alignments=torch.where(pairs[:, None, None], torch.stack([across, down], dim=1), a),
        clips=batch.clips,
    )


class PairSampler:
    """Deterministic self and cross pairs of training frames.

    Sources are spread over people. A self pair's driver is any frame of the source's clip, part of them drawn evenly
    over mouth opening, since open mouths are rare; a cross pair's driver belongs to another person.
    """

    def __init__(self, store: FrameStore, settings: TrainingSettings, seed: int) -> None:
        self.store, self.settings, self.seed = store, settings, seed
        self.frames: dict[str, list[tuple[str, int]]] = {}
        self.person: dict[str, str] = {}
        for key, clip in store.clips.items():
            self.frames.setdefault(clip.sample.clip, []).extend((key, i) for i in range(clip.sample.frames))
            self.person[clip.sample.clip] = clip.sample.person
        self.people: dict[str, list[str]] = {}
        for name, person in self.person.items():
            self.people.setdefault(person, []).append(name)
        self.openings = {
            name: np.array([store.clips[key].opening[i] for key, i in frames]) for name, frames in self.frames.items()
        }

    @property
    def can_cross(self) -> bool:
        """Cross pairs need two people."""
        return len(self.people) > 1

    def batch(self, step: int, cross: bool) -> Batch:
        """The pairs of one step."""
        rng = np.random.default_rng([self.seed, step])
        people = sorted(self.people)
        order: list[str] = []
        while len(order) < self.settings.sources:
            order.extend(rng.permutation(people))
        sources, drivers, neutrals, clips = [], [], [], []
        for person in order[: self.settings.sources]:
            clip = str(rng.choice(self.people[person]))
            sources.append(self.frames[clip][rng.integers(len(self.frames[clip]))])
            for _ in range(self.settings.drivers):
                driver_clip = clip
                if cross:
                    other = str(rng.choice([p for p in people if p != person]))
                    driver_clip = str(rng.choice(self.people[other]))
                drivers.append(self._driver(driver_clip, rng))
                candidates = self.store.neutral_frames(driver_clip)
                neutrals.append(candidates[rng.integers(len(candidates))])
                clips.append(driver_clip)
        relative = self.store.settings.relative_codes
        batch = Batch(
            sources=self.store.sources(sources),
            drivers=self.store.drivers(drivers),
            neutrals=self.store.drivers(neutrals) if relative else None,
            labels=self.store.labels(drivers),
            targets=to_tensor(self.store.images(drivers)),
            masks=torch.from_numpy(self.store.masks(drivers)),
            alignments=self.store.alignments(drivers),
            clips=clips,
        )
        return mirrored(batch, rng.random(len(sources)) < self.settings.flip) if self.settings.flip else batch

    def _driver(self, clip: str, rng: np.random.Generator) -> tuple[str, int]:
        frames, openings = self.frames[clip], self.openings[clip]
        if rng.random() >= self.settings.stratified_drivers:
            return frames[rng.integers(len(frames))]
        low, high = np.quantile(openings, [0.01, 0.99])
        return frames[int(np.argmin(np.abs(openings - rng.uniform(low, high))))]


def open_store(
    directories: Sequence[Path], split: str | None, settings: ModelSettings, cached: bool = False
) -> FrameStore:
    """A store over the samples of one split (all with None) of one or more shard directories."""
    reader = ShardReader(directories)
    return FrameStore(reader, [s for s in reader.samples if split is None or s.split == split], settings, cached)
