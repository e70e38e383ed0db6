"""The tubes of one shard as crop wrote them, and the stream of their windows out of the videos."""

import json
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

    def cut(self, frame: np.ndarray, index: int, size: int) -> np.ndarray:
        """The window [size, size(, 3)] of frame ``index``, cut out of the whole frame (or a map of its size)."""
        return cut_box(frame, self.box(index), size)

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
    window = tube["window"]
    return TubeWindow(**plain, side=window["side"], centers=tuple((x, y) for x, y in window["centers"]))


def tube_frames(tubes: list[TubeWindow], limits: DecodeSettings) -> Iterator[tuple[TubeWindow, int, np.ndarray]]:
    """(tube, frame index, whole frame [H, W, 3]) for all frames of one video's tubes, in order of time.

    ``tubes`` are ascending and do not overlap. Raises :class:`~preprocessing.reasons.Dropped` when decoding fails.
    """
    position = 0
    first = tubes[0]
    for index, frame in frames(first.path, limits, [(tube.start, tube.end) for tube in tubes]):
        while index >= tubes[position].end:
            position += 1
        yield tubes[position], index, frame


class ChosenFrames:
    """The frames of one clip that faces kept: iterate for (tube, frame index, position in the tube, whole frame).

    ``faces`` is the shard's tar of the faces stage. Raises :class:`Dropped` at the end of the iteration when a
    frame that could be decoded before cannot be now, :class:`InputError` when the tar lacks the clip.
    """

    def __init__(self, clip: str, file: TubeFile, faces: TarFile) -> None:
        self.tubes = [tube for tube in file.of(clip) if f"{tube.key}.meta.json" in faces.members]
        if not self.tubes:
            raise InputError(f"{faces.path} has no tube of clip '{clip}', which its rows keep.")
        self.metas = {tube.key: faces.mapping(f"{tube.key}.meta.json") for tube in self.tubes}
        self.count = sum(len(meta["frames"]) for meta in self.metas.values())
        self._limits = file.settings.decode

    def __iter__(self) -> Iterator[tuple[TubeWindow, int, int, np.ndarray]]:
        positions = {key: {frame: i for i, frame in enumerate(meta["frames"])} for key, meta in self.metas.items()}
        done = 0
        for tube, index, frame in tube_frames(self.tubes, self._limits):
            position = positions[tube.key].get(index)
            if position is not None:
                done += 1
                yield tube, index, position, frame
        if done != self.count:
            raise Dropped("damaged", f"{done} of {self.count} frames decoded again")
