"""The tubes of one shard as crop wrote them, and the stream of their windows out of the videos."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.cameras import FFHQ_FOCAL, intrinsics
from preprocessing.cli import InputError
from preprocessing.settings import CropSettings, DecodeSettings
from preprocessing.video import Video
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
            l, t, r, b = self.crop
            return (l, t, r, b)
        x, y = self.centers[index - self.start]
        return (x - self.side / 2, y - self.side / 2, x + self.side / 2, y + self.side / 2)

    def intrinsics(self, index: int) -> np.ndarray:
        """Normalised intrinsics [3, 3] of the window of frame ``index``.

        EG3D's window has FFHQ's; for FOMM's crop the focal length stays that of EG3D's window in source pixels and
        the principal point stays at its centre, so that the same face gets the same pose.
        """
        if self.framing != "fomm":
            return intrinsics()
        l, t, r, b = self.crop
        x, y = self.centers[index - self.start]
        focal = FFHQ_FOCAL * self.side
        return intrinsics(focal / (r - l), ((x - l) / (r - l), (y - t) / (b - t)), (r - l) / (b - t))


@dataclass(frozen=True)
class TubeFile:
    """All tubes of a shard with the settings they were cut with."""

    tubes: tuple[TubeWindow, ...]
    settings: CropSettings

    @classmethod
    def beside(cls, rows: Path) -> "TubeFile":
        """Read the ``.tubes.json`` beside crop's rows; raises :class:`InputError` when it is not there or broken."""
        path = rows.with_suffix(".tubes.json")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(_window(tube) for tube in value["tubes"]), CropSettings(**value["settings"]))
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


def windows(
    tubes: list[TubeWindow], size: int, limits: DecodeSettings
) -> Iterator[tuple[TubeWindow, int, np.ndarray, np.ndarray]]:
    """(tube, frame index, window [size, size, 3], whole frame) for all frames of one video's tubes, in order of time.

    ``tubes`` are ascending and do not overlap. Raises :class:`~preprocessing.reasons.Dropped` when decoding fails.
    """
    position = 0
    with Video(tubes[0].path, limits, [(tube.start, tube.end) for tube in tubes]) as video:
        for index, frame in video.frames():
            while index >= tubes[position].end:
                position += 1
            tube = tubes[position]
            yield tube, index, cut_box(frame, tube.box(index), size), frame
