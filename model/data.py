"""Frames from shards as the model wants them: sizes, backgrounds, aligned drivers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from model.kinds import FrameFormat
from model.landmarks import aligned_face, alignment, eye_opening, mouth_opening, standardised
from preprocessing.reader import Sample, ShardReader

EYES, MOUTH = 4, 5
"""Labels of the eye and the mouth regions, in the shards' masks and in :meth:`FrameStore.masks`."""
CLIPS_KEPT = 256
"""Clips whose landmarks are kept in memory: about a megabyte each, of which a large dataset has 100,000."""
NEUTRAL_CANDIDATES = 6
"""A driver's neutral frame in training is one of this many frames with the smallest mouth opening."""


def to_tensor(images: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """uint8 images → float tensor in [−1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


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
class Frames:
    """Frames of one clip, prepared for a method: as sources (in [−1, 1]), as drivers, and their camera labels."""

    images: Float[Tensor, "n 3 e e"]
    drivers: Float[Tensor, "n c d d"]
    labels: Float[Tensor, "n 25"]


@dataclass(frozen=True)
class Clip:
    """A sample's facts: camera labels, landmarks in pixels, the frame's side."""

    sample: Sample
    cameras: Float[np.ndarray, "t 25"]
    landmarks: Float[np.ndarray, "t points 3"]
    frame_side: int

    @cached_property
    def opening(self) -> Float[np.ndarray, "t"]:
        """Mouth opening of every frame."""
        return mouth_opening(self.landmarks)

    @cached_property
    def eye_opening(self) -> Float[np.ndarray, "t"]:
        """Eye opening of every frame."""
        return eye_opening(self.landmarks)


class Clips(Mapping[str, Clip]):
    """Key → clip, read from the shards when asked for; the last :data:`CLIPS_KEPT` (or all) stay in memory."""

    def __init__(self, reader: ShardReader, samples: Sequence[Sample], keep: int | None) -> None:
        self.samples = {sample.key: sample for sample in samples}
        self.reader = reader
        self._read_once = lru_cache(keep)(self._read)

    def _read(self, key: str) -> Clip:
        side = self.reader.frames(key, [0]).shape[1]
        return Clip(self.samples[key], self.reader.cameras(key), self.reader.landmarks(key), side)

    def __getitem__(self, key: str) -> Clip:
        if key not in self.samples:
            raise KeyError(key)
        return self._read_once(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)


class FrameStore:
    """Random access to the frames of some samples, prepared for one method, at the sizes of ``form``.

    With ``cached`` the prepared pixels of every frame are kept in memory; else each request reads the shard.
    """

    def __init__(self, reader: ShardReader, samples: Sequence[Sample], form: FrameFormat, cached: bool = False) -> None:
        self.reader = reader
        self.form = form
        self.side = form.side
        self.clips = Clips(reader, samples, None if cached else CLIPS_KEPT)
        self._neutral: dict[str, list[tuple[str, int]]] = {}
        self._cache: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
        if cached:
            self._cache = {key: self._read(key, range(clip.sample.frames)) for key, clip in self.clips.items()}

    def _read(self, key: str, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What :meth:`images`, :meth:`masks` and the aligned drivers are of some frames of one sample."""
        frames, masks = self.reader.frames(key, indices), self.reader.masks(key, indices)
        return self._black(frames, masks), self._detail(masks), self._aligned(key, indices, frames)

    def _black(self, frames: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Frames [n, side, side, 3] with black background."""
        black = [cv2.bitwise_and(frame, frame, mask=mask) for frame, mask in zip(frames, masks, strict=True)]
        return resized(np.stack(black), self.side)

    def _detail(self, masks: np.ndarray) -> np.ndarray:
        """Region labels [n, side, side]."""
        detail = np.zeros((len(masks), self.side, self.side), np.uint8)
        for label in (EYES, MOUTH):
            region = (masks == label).astype(np.uint8)
            small = [cv2.resize(m, (self.side, self.side), interpolation=cv2.INTER_AREA) for m in region]
            detail[np.stack(small) > 0] = label
        return detail

    def _aligned(self, key: str, indices: Sequence[int], frames: np.ndarray) -> np.ndarray:
        """Aligned drivers [n, d, d], nothing [n, 0, 0] where drivers are prepared as sources."""
        side = self.form.driver_side
        if side is None:
            return np.zeros((len(frames), 0, 0), np.uint8)
        landmarks = self.clips[key].landmarks
        pairs = zip(frames, indices, strict=True)
        return np.stack([aligned_face(frame, landmarks[i], side) for frame, i in pairs])

    def images(self, wanted: Sequence[tuple[str, int]]) -> UInt8[np.ndarray, "n side side 3"]:
        """Frames with black background at the model's output size."""
        if self._cache is not None:
            return np.stack([self._cache[key][0][index] for key, index in wanted])
        read = self.reader
        return np.concatenate([self._black(read.frames(key, [i]), read.masks(key, [i])) for key, i in wanted])

    def masks(self, wanted: Sequence[tuple[str, int]]) -> UInt8[np.ndarray, "n side side"]:
        """:data:`EYES`, :data:`MOUTH` or 0 per pixel, at the model's output size."""
        if self._cache is not None:
            return np.stack([self._cache[key][1][index] for key, index in wanted])
        return np.concatenate([self._detail(self.reader.masks(key, [i])) for key, i in wanted])

    def sources(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n 3 e e"]:
        """What a method sees of source frames: in [−1, 1], black background."""
        return to_tensor(resized(self.images(wanted), self.form.source_side))

    def drivers(self, wanted: Sequence[tuple[str, int]]) -> Float[Tensor, "n c d d"]:
        """What a method sees of driving frames: the aligned grey face, or what it sees of sources."""
        if self.form.driver_side is None:
            return self.sources(wanted)
        if self._cache is not None:
            aligned = np.stack([self._cache[key][2][index] for key, index in wanted])
        else:
            aligned = np.concatenate([self._aligned(key, [i], self.reader.frames(key, [i])) for key, i in wanted])
        return torch.from_numpy(standardised(aligned))[:, None]

    def frames(self, wanted: Sequence[tuple[str, int]]) -> Frames:
        """All a trained method may want of some frames of one clip."""
        images = self.sources(wanted)
        drivers = images if self.form.driver_side is None else self.drivers(wanted)
        return Frames(images, drivers, self.labels(wanted))

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

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        """Clip → its samples here."""
        keys: dict[str, list[str]] = {}
        for key, sample in self.clips.samples.items():
            keys.setdefault(sample.clip, []).append(key)
        return keys

    def neutral_frames(self, clip: str, count: int = NEUTRAL_CANDIDATES) -> list[tuple[str, int]]:
        """The frames of a clip (all its samples here) with the smallest mouth opening, smallest first: at most six."""
        if clip not in self._neutral:
            openings = [(float(o), k, i) for k in self._keys[clip] for i, o in enumerate(self.clips[k].opening)]
            self._neutral[clip] = [(key, index) for _, key, index in sorted(openings)[:NEUTRAL_CANDIDATES]]
        return self._neutral[clip][:count]


def open_store(directories: Sequence[Path], split: str | None, form: FrameFormat, cached: bool = False) -> FrameStore:
    """A store over the samples of one split (all with None) of one or more shard directories."""
    reader = ShardReader(directories)
    return FrameStore(reader, [s for s in reader.samples if split is None or s.split == split], form, cached)
