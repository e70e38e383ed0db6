"""The tubes of one shard as crop wrote them, and the stream of their windows out of the videos."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.cameras import FFHQ_FOCAL, intrinsics
from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.settings import CropSettings, DecodeSettings
from preprocessing.tars import TarFile
from preprocessing.video import frames
from preprocessing.window import cut_box


@dataclass(frozen=True)
class TubeWindow:
    """One tube: which frames of which video, and the window of each."""

    key: str
    clip: str
    path: str
    source: str
    person: str
    split: str
    start: int
    end: int
    fps: float
    size: tuple[int, int]
    """Width and height of the video's frames."""
    tube: tuple[float, float, float, float]
    crop: tuple[int, int, int, int]
    padded: bool
    framing: str
    side: float
    centers: tuple[tuple[float, float], ...]

    def box(self, index: int) -> tuple[float, float, float, float]:
        """Window (l, t, r, b) of source frame ``index`` in its pixels."""
        if self.framing == "fomm":
            return self.crop
        x, y = self.centers[index - self.start]
        return (x - self.side / 2, y - self.side / 2, x + self.side / 2, y + self.side / 2)

    def intrinsics(self, index: int) -> np.ndarray:
        """Normalised intrinsics [3, 3] of the window of frame ``index``.

        EG3D's window has FFHQ's; for FOMM's crop the focal length stays that of EG3D's window in source pixels and
        the principal point stays at its centre, so that the same face gets the same pose.
        """
        if self.framing != "fomm":
            return intrinsics()
        left, top, right, bottom = self.crop
        x, y = self.centers[index - self.start]
        width, height = right - left, bottom - top
        return intrinsics(FFHQ_FOCAL * self.side / width, ((x - left) / width, (y - top) / height), width / height)


@dataclass(frozen=True)
class TubeFile:
    """All tubes of a shard with the settings and the detectors they were cut with."""

    tubes: tuple[TubeWindow, ...]
    settings: CropSettings
    backends: dict[str, str]

    @classmethod
    def beside(cls, rows: Path) -> "TubeFile":
        """Read the ``.tubes.json`` beside crop's rows; raises :class:`InputError` when it is not there or broken."""
        path = rows.with_suffix(".tubes.json")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            tubes = tuple(_window(tube) for tube in value["tubes"])
            return cls(tubes, CropSettings(**value["settings"]), value["backends"])
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; run preprocessing.crop first.") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not what preprocessing.crop writes: {' '.join(str(error).split())}.") from None

    def of(self, clip: str) -> list[TubeWindow]:
        """The tubes of one clip, in the order of time."""
        return sorted((tube for tube in self.tubes if tube.clip == clip), key=lambda tube: tube.start)


def _window(tube: dict[str, Any]) -> TubeWindow:
    plain = {key: value for key, value in tube.items() if key != "window"}
    window, (width, height) = tube["window"], plain.pop("size")
    return TubeWindow(
        **plain, size=(width, height), side=window["side"], centers=tuple((x, y) for x, y in window["centers"])
    )


@dataclass(frozen=True)
class Shot:
    """A frame of a tube, as much of it as is needed [H, W, 3], and where in that the window lies (l, t, r, b)."""

    tube: TubeWindow
    index: int
    frame: np.ndarray
    box: tuple[float, float, float, float]

    def window(self, size: int) -> np.ndarray:
        """The window [size, size, 3]."""
        return cut_box(self.frame, self.box, size)


def tube_shots(tubes: list[TubeWindow], limits: DecodeSettings, side: int | None = None) -> Iterator[Shot]:
    """All frames of one video's tubes, in order of time: what is around their windows, for that is all that is cut.

    With ``side`` whole frames, which are squeezed to at most so many pixels each way. ``tubes`` are ascending and do
    not overlap. Raises :class:`~preprocessing.reasons.Dropped` when decoding fails.
    """
    first, position = tubes[0], 0
    width, height = first.size
    if side is None:
        left, top, right, bottom = _around(tubes)
        whole = (right - left, bottom - top) == (width, height)
        filters = [] if whole else [f"crop={right - left}:{bottom - top}:{left}:{top}:exact=1"]
        across = down = 1.0
    else:
        small = min(side, width), min(side, height)
        filters = [] if small == (width, height) else [f"scale={small[0]}:{small[1]}:flags=area"]
        left = top = 0
        across, down = small[0] / width, small[1] / height
    for index, frame in frames(first.path, limits, [(tube.start, tube.end) for tube in tubes], filters):
        while index >= tubes[position].end:
            position += 1
        box = tubes[position].box(index)
        place = (box[0] - left) * across, (box[1] - top) * down, (box[2] - left) * across, (box[3] - top) * down
        yield Shot(tubes[position], index, frame, place)


BLOCK = 16
"""Corners of what FFmpeg cuts are multiples of this: coarse colours and patterns of dither stay as they are."""


def _around(tubes: list[TubeWindow]) -> tuple[int, int, int, int]:
    """The part (l, t, r, b) of the video's frames that holds all windows of ``tubes``, or one block of it."""
    boxes = np.array([tube.box(index) for tube in tubes for index in range(tube.start, tube.end)])
    edges = []
    for low, high, size in zip(boxes[:, :2].min(0) - 2, boxes[:, 2:].max(0) + 2, tubes[0].size, strict=True):
        start = min(max(math.floor(low / BLOCK), 0), (size - 1) // BLOCK) * BLOCK
        edges.append((start, min(max(math.ceil(high / BLOCK) * BLOCK, start + BLOCK), size)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


class ChosenFrames:
    """The frames of one clip that faces kept: iterate for (position in the tube, shot).

    ``faces`` is the shard's tar of the faces stage, ``side`` as for :func:`tube_shots`. Raises :class:`Dropped` at the
    end of the iteration when a frame that could be decoded before cannot be now, :class:`InputError` when the tar
    lacks the clip.
    """

    def __init__(self, clip: str, file: TubeFile, faces: TarFile, side: int | None = None) -> None:
        self.tubes = [tube for tube in file.of(clip) if f"{tube.key}.meta.json" in faces.members]
        if not self.tubes:
            raise InputError(f"{faces.path} has no tube of clip '{clip}', which its rows keep.")
        self.metas = {tube.key: faces.mapping(f"{tube.key}.meta.json") for tube in self.tubes}
        self.count = sum(len(meta["frames"]) for meta in self.metas.values())
        self._limits, self._side = file.settings.decode, side

    def __iter__(self) -> Iterator[tuple[int, Shot]]:
        positions = {key: {frame: i for i, frame in enumerate(meta["frames"])} for key, meta in self.metas.items()}
        done = 0
        for shot in tube_shots(self.tubes, self._limits, self._side):
            position = positions[shot.tube.key].get(shot.index)
            if position is not None:
                done += 1
                yield position, shot
        if done != self.count:
            raise Dropped("damaged", f"{done} of {self.count} frames decoded again")
