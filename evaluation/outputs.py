"""Reading what re-enactment wrote: the pair list and the generated frames beside it."""

import argparse
import math
import tarfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.pictures import decode_picture, on_black, resized
from preprocessing.cli import InputError
from preprocessing.reader import Sample

Picture = NDArray[np.uint8]
KEPT = 512  # input frames in memory at once: 100 MB at 256²
PAIR_COLUMNS = (
    "pair",
    "source_key",
    "source_frame",
    "driver_key",
    "driver_frame",
    "source_clip",
    "source_person",
    "driver_clip",
    "driver_person",
    "yaw",
    "pitch",
    "block",
    "unseen",
)
REAL_COLUMNS = ("key", "frame", "clip")
EMPTY_SCORE: dict[str, Any] = {
    "pair": -1,
    "motion": "",
    "metric": "",
    "backend": "",
    "value": math.nan,
    "used": False,
    "reason": "",
    "block": "",
    "source_clip": "",
    "driver_clip": "",
    "unseen": False,
    "ci_low": math.nan,
    "ci_high": math.nan,
    "n_used": 0,
    "n_attempted": 0,
}
"""A row of the scores that measured nothing."""
TYPES = {name: "string" for name in PAIR_COLUMNS if name.endswith(("key", "clip", "person")) or name == "block"}
TYPES |= {"pair": "int64", "source_frame": "int64", "driver_frame": "int64", "yaw": "float64", "pitch": "float64"}


def add_shards(parser: argparse.ArgumentParser) -> None:
    """The option that names the shards of the datasets that are tested on."""
    parser.add_argument(
        "--shards",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR",
        help="data/{dataset}/shards of the test datasets",
    )


class Shards(Protocol):
    """What the evaluation reads of the shards (:class:`preprocessing.reader.ShardReader`)."""

    samples: list[Sample]

    def frames(self, key: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Frames [n, H, W, 3] as filmed."""

    def masks(self, key: str, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Region labels [n, H, W]; 0 is background."""


def read_pairs(path: Path) -> pd.DataFrame:
    """The pair list of one protocol; missing columns or an unreadable file raise InputError."""
    try:
        pairs = pd.read_csv(path, dtype=TYPES, keep_default_na=False, na_values={"yaw": [""], "pitch": [""]})
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the pairs {path}: {error}.") from None
    if absent := [name for name in PAIR_COLUMNS if name not in pairs]:
        raise InputError(f"The pairs {path} lack the columns {', '.join(absent)}.")
    pairs["unseen"] = pairs["unseen"].astype(str).str.lower().isin(("true", "1"))
    return pairs


def read_real(path: Path) -> list[tuple[str, int]]:
    """The frames (key, frame) of a real set."""
    return [(str(row.key), int(row.frame)) for row in read_real_table(path).itertuples()]


def read_real_table(path: Path) -> pd.DataFrame:
    """The real set (:data:`REAL_COLUMNS`) of FID and FFD; missing columns or an unreadable file raise InputError."""
    try:
        real = pd.read_csv(path, dtype={"key": "string", "frame": "int64", "clip": "string"}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the real set {path}: {error}.") from None
    if absent := [name for name in REAL_COLUMNS if name not in real]:
        raise InputError(f"The real set {path} lacks the columns {', '.join(absent)}.")
    return real[list(REAL_COLUMNS)]


class Reenactments:
    """The generated frames of one method under one protocol: ``frames.tar`` and ``index.parquet`` in a folder."""

    def __init__(self, directory: Path) -> None:
        try:
            self.index = pd.read_parquet(directory / "index.parquet")
            self._tar = tarfile.open(directory / "frames.tar")  # noqa: SIM115 (closed by close)
            self._members = {member.name: member for member in self._tar.getmembers()}
        except (OSError, ValueError, tarfile.TarError) as error:
            raise InputError(f"Cannot read the reenactments in {directory}: {error}.") from None
        self._directory = directory
        if absent := sorted(set(self.index["member"]) - set(self._members)):
            raise InputError(f"{directory / 'frames.tar'} lacks {absent[0]} and {len(absent) - 1} more of its index.")

    def picture(self, member: str) -> Picture:
        """One generated frame, RGB [H, W, 3]."""
        stream = self._tar.extractfile(self._members[member])
        return decode_picture(stream.read() if stream else b"", f"{self._directory / 'frames.tar'}:{member}")

    def members(self, motion: str) -> dict[int, str]:
        """Member by pair for one kind of motion."""
        rows = self.index[self.index["motion"] == motion]
        return dict(zip(rows["pair"].astype(int), rows["member"], strict=True))

    @property
    def motions(self) -> list[str]:
        """The kinds of motion in the folder, sorted."""
        return sorted(self.index["motion"].unique())

    def __enter__(self) -> "Reenactments":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()


class Inputs:
    """Source and driver frames from the shards, on black, at the size of the generated frames.

    A frame is read once while it is among the last :data:`KEPT` different ones.
    """

    def __init__(self, shards: Shards, side: int) -> None:
        self._shards, self._side = shards, side
        self._kept: OrderedDict[tuple[str, int], Picture] = OrderedDict()

    def picture(self, key: str, frame: int) -> Picture:
        """One frame of one sample, RGB [side, side, 3] with a black background."""
        at = (key, frame)
        if at not in self._kept:
            black = on_black(self._shards.frames(key, [frame]), self._shards.masks(key, [frame]))[0]
            self._kept[at] = resized(np.ascontiguousarray(black), self._side)
        self._kept.move_to_end(at)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[at]
