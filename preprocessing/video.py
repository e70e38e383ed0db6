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

_FAILED = struct.pack("<q", -2)


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, frames per second, number of frames, and which decoder reads it (decord or opencv)."""

    width: int
    height: int
    fps: float
    frames: int
    decoder: str = "decord"


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
            self.buffer += self._more(size - len(self.buffer))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def line(self) -> dict[str, Any]:
        """The next line, as JSON; a failure that the child reports is raised."""
        while b"\n" not in self.buffer:
            self.buffer += self._more(4096)
        data, _, rest = bytes(self.buffer).partition(b"\n")
        self.buffer = bytearray(rest)
        value: dict[str, Any] = json.loads(data.removeprefix(_FAILED))
        if "error" in value:
            raise Dropped(str(value["error"]), str(value["detail"]))
        return value


class _Child:
    """The decoding process with its pipe; leaving the context ends it."""

    def __init__(self, path: str | Path, limits: DecodeSettings, request: dict[str, Any]) -> None:
        self.path, self.limits = Path(path), limits
        self.request = request | {
            "path": str(self.path.absolute()),
            "memory_mb": limits.memory_mb,
            "max_frames": limits.max_frames,
        }

    def __enter__(self) -> _Pipe:
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise Dropped("missing", error.strerror or "") from None
        if size == 0:
            raise Dropped("empty-file")
        # -P: the script's own folder must not shadow top-level modules
        command = [sys.executable, "-P", str(Path(__file__).with_name("decoder.py")), json.dumps(self.request)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
        )
        return _Pipe(self.process, self.limits)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def frames(
    path: str | Path,
    limits: DecodeSettings | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
    decoder: str = "decord",
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame [height, width, 3] uint8 RGB, read-only) of a video in order.

    ``spans`` are the wanted frames as ascending [start, end) pairs that do not overlap; None means all. Raises
    :class:`Dropped` (missing, empty-file, corrupt, timeout, memory-limit).
    """
    request = {"scan": False, "decoder": decoder, "spans": None if spans is None else [list(span) for span in spans]}
    with _Child(path, limits or DecodeSettings(), request) as pipe:
        about = pipe.line()
        shape = (about["height"], about["width"], 3)
        while True:
            head = pipe.exactly(8)
            if head == _FAILED:
                pipe.line()
            (index,) = struct.unpack("<q", head)
            if index < 0:
                return
            yield index, np.frombuffer(pipe.exactly(shape[0] * shape[1] * 3), np.uint8).reshape(shape)


def scan(path: str | Path, limits: DecodeSettings | None = None) -> VideoInfo:
    """Decode a whole video once and say what it is; raises :class:`Dropped` when it cannot be used.

    Where decord stumbles, OpenCV reads up to the first broken frame; all frames after it count as damaged, and
    a larger share of them than the limit raises ``damaged``.
    """
    limits = limits or DecodeSettings()
    try:
        about = _scanned(path, "decord", limits)
    except Dropped as first:
        if first.reason != "corrupt":
            raise
        try:
            about = _scanned(path, "opencv", limits)
        except Dropped as second:
            raise (first if second.reason == "corrupt" else second) from None
    expected = about.pop("expected")
    lost = expected - about["frames"]
    if lost > limits.max_damaged * expected:
        raise Dropped("damaged", f"{lost} of {expected} frames cannot be decoded")
    return VideoInfo(**about)


def _scanned(path: str | Path, decoder: str, limits: DecodeSettings) -> dict[str, Any]:
    # the scan is silent until its end, so only the wall-clock limit applies
    patient = limits.model_copy(update={"stall_seconds": limits.wall_seconds})
    with _Child(path, patient, {"scan": True, "decoder": decoder, "spans": None}) as pipe:
        return pipe.line()
