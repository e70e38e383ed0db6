"""Decode a video frame by frame in a watched child process.

decord aborts, hangs or runs out of memory on some damaged files, so it runs in a process of its own with a
limit on memory, on silence and on the time waited for it. Whatever goes wrong becomes a
:class:`~preprocessing.reasons.Dropped` with a reason of the closed list; nothing else gets out.
"""

import dataclasses
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.reasons import Dropped
from preprocessing.settings import DecodeSettings

UINT8 = np.ndarray
"""A uint8 array; frames are [height, width, 3] RGB."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, frames per second and the container's own number of frames (it may be wrong)."""

    width: int
    height: int
    fps: float
    frames: int


class _Pipe:
    """Reads the child's output; waiting is limited, the reader's own time is not counted."""

    def __init__(self, process: subprocess.Popen[bytes], limits: DecodeSettings) -> None:
        assert process.stdout is not None
        self.process, self.limits = process, limits
        self.descriptor = process.stdout.fileno()
        self.waited = 0.0
        self.buffer = bytearray()

    def _more(self, size: int) -> bytes:
        start = time.monotonic()
        ready, _, _ = select.select([self.descriptor], [], [], self.limits.stall_seconds)
        self.waited += time.monotonic() - start
        if not ready:
            raise Dropped("timeout", f"the decoder was silent for {self.limits.stall_seconds:g} s")
        if self.waited > self.limits.wall_seconds:
            raise Dropped("timeout", f"the decoder took more than {self.limits.wall_seconds:g} s")
        data = os.read(self.descriptor, size)
        if not data:
            raise Dropped("corrupt", f"the decoder ended with {self._ending()}")
        return data

    def _ending(self) -> str:
        code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        while len(self.buffer) < size:
            self.buffer += self._more(max(size - len(self.buffer), 1))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def line(self) -> dict[str, Any]:
        """The next line, as JSON."""
        while b"\n" not in self.buffer:
            self.buffer += self._more(4096)
        data, _, rest = bytes(self.buffer).partition(b"\n")
        self.buffer = bytearray(rest)
        if data.startswith(_FAILED):
            data = data[len(_FAILED) :]
        value: dict[str, Any] = json.loads(data)
        if "error" in value:
            raise Dropped(str(value["error"]), str(value["detail"]))
        return value


_FAILED = struct.pack("<q", -2)


class Video:
    """A video file; :meth:`frames` streams it, :attr:`info` tells its size.

    Use as a context manager: leaving it ends the child. ``spans`` are the wanted frames as ascending,
    non-overlapping [start, end) pairs; None means all.
    """

    def __init__(
        self,
        path: str | Path,
        limits: DecodeSettings | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
        *,
        probe: bool = False,
    ) -> None:
        self.path = Path(path)
        self.limits = limits or DecodeSettings()
        self._request = {
            "path": str(self.path.absolute()),
            "wanted": None if spans is None else [list(span) for span in spans],
            "probe": probe,
            "memory_mb": self.limits.memory_mb,
            "max_frames": self.limits.max_frames,
        }

    def __enter__(self) -> "Video":
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise Dropped("missing", error.strerror or "") from None
        if size == 0:
            raise Dropped("empty-file")
        # -P: the script's own folder must not shadow top-level modules
        command = [sys.executable, "-P", str(Path(__file__).with_name("decoder.py")), json.dumps(self._request)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            self._pipe = _Pipe(self._process, self.limits)
            self.info = VideoInfo(**self._pipe.line())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def frames(self) -> Iterator[tuple[int, UINT8]]:
        """Yield (index, frame [height, width, 3] uint8 RGB) in order; a frame that cannot be decoded is skipped.

        Raises :class:`Dropped`: corrupt, damaged (share above the limit), timeout, memory-limit.
        """
        shape = (self.info.height, self.info.width, 3)
        size = shape[0] * shape[1] * 3
        while True:
            (index,) = struct.unpack("<q", self._pipe.exactly(8))
            if index < 0:
                break
            yield index, np.frombuffer(self._pipe.exactly(size), np.uint8).reshape(shape)
        self.summary = self._pipe.line()
        damaged, total = self.summary["damaged"], self.summary["decoded"] + self.summary["damaged"]
        if damaged > self.limits.max_damaged * total:
            raise Dropped("damaged", f"{damaged} of {total} frames cannot be decoded")


def probe(path: str | Path, limits: DecodeSettings | None = None) -> VideoInfo:
    """Open a video and decode its first frame; raises :class:`Dropped` when that fails."""
    with Video(path, limits, probe=True) as video:
        return video.info
