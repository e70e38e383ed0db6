"""Where decoding may start so that a far frame is reached without those before it, and still known by its index.

A table of a file's packets gives the time stamp of every frame, in the order of showing, if each packet is one
frame. That is sure for few codecs and containers; for all others, and for files with anything odd in the table,
decoding starts at the beginning. What is decoded after a seek carries its time stamp, and is checked against the
table.
"""

import dataclasses
import re
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from preprocessing.ffmpeg import Child
from preprocessing.settings import DecodeSettings

FAR = 500
"""Frames before which seeking does not pay: the table costs about as much as decoding a hundred."""

CONTAINERS = ("mov,", "matroska,")
"""Beginnings of the names of containers with a time stamp for each frame and an index."""

CODECS = ("h264", "vp9", "av1")
"""Codecs of which a packet of these containers shows one frame."""

KEY, DISPOSABLE = 1, 16
"""FFmpeg's packet flags that say nothing odd."""


@dataclasses.dataclass(frozen=True)
class Start:
    """A key frame's time stamp in seconds, and the stamps of all frames of the file in units of ``base`` seconds."""

    seek: Fraction
    stamps: Int64[np.ndarray, "frames"]
    base: Fraction

    def time(self, index: int) -> Fraction:
        """When frame ``index`` is shown, in seconds."""
        return int(self.stamps[index]) * self.base

    def border(self, index: int) -> float:
        """A time between frame ``index`` and the one before it."""
        return float((self.time(index) + self.time(index - 1)) / 2)


def start_before(path: str | Path, index: int, limits: DecodeSettings) -> Start | None:
    """Where to start for frame ``index``; None: at the beginning. Raises :class:`Dropped` as decoding does.

    It is the last but one key frame before: frames right after a key frame may still lean on what was before it.
    """
    if index < FAR:
        return None
    place = Path(path).absolute()
    try:
        facts = place.stat()
    except OSError:
        return None
    table = _table(place, (facts.st_size, facts.st_mtime_ns, facts.st_ino), limits)
    if table is None or index >= len(table.stamps):
        return None
    keys = table.keys[table.keys <= table.stamps[index]]
    if len(keys) < 3 or np.searchsorted(table.stamps, keys[-2]) < FAR // 2:
        return None
    return Start(int(keys[-2]) * table.base, table.stamps, table.base)


@dataclasses.dataclass(frozen=True)
class _Table:
    """Time stamps of all frames and of the key frames, ascending, in units of ``base`` seconds."""

    stamps: Int64[np.ndarray, "frames"]
    keys: Int64[np.ndarray, "keys"]
    base: Fraction


@lru_cache(maxsize=4)  # the clips of one download follow each other
def _table(path: Path, _facts: tuple[int, int, int], limits: DecodeSettings) -> _Table | None:
    """The table of a file, None when it is not sure."""
    parts = []
    output = ["-c", "copy", "-copyinkf", "-copyts", "-f", "framecrc", "pipe:1"]
    with Child(path, limits, output, level="info") as child:
        while data := child.read(1 << 20):
            parts.append(data)
        words = child.told()
        if child.complaint() is not None:
            return None
    container = re.search(r"Input #0, (\S+)", words)
    codec = re.search(r"Output #0.*?Video: (\w+)", words, re.DOTALL)
    if not (container and container[1].startswith(CONTAINERS) and codec and codec[1] in CODECS):
        return None
    return _read(b"".join(parts).decode())


def _read(listing: str) -> _Table | None:
    """FFmpeg's list of packets as a table; None unless each has a time stamp of its own and nothing odd about it."""
    base = re.search(r"^#tb 0: (\d+/\d+)$", listing, re.MULTILINE)
    packets = [line.split(",") for line in listing.splitlines() if not line.startswith("#")]
    try:
        stamps = np.array([int(packet[2]) for packet in packets], np.int64)
        # a packet without flags is a key frame and nothing else; others follow the checksum
        flags = [int(packet[6].partition("=")[2], 16) if len(packet) > 6 else KEY for packet in packets]
    except (IndexError, ValueError):  # no time stamp (NOPTS), side data
        return None
    keys = stamps[[bool(flag & KEY) for flag in flags]]
    odd = any(flag & ~(KEY | DISPOSABLE) for flag in flags)
    order = np.sort(stamps)
    if base is None or odd or not len(keys) or keys[0] != order[0] or flags[0] != KEY or (np.diff(order) <= 0).any():
        return None
    return _Table(order, np.sort(keys), Fraction(base[1]))
