"""FFmpeg as a watched child process: limits on memory, silence and time, and its words made repeatable.

FFmpeg waits when its reader is slow (decord decodes ahead without bound: a minute of 720p took 3 GB), applies
rotation and colour tags, and on one thread stops at the same frame of a damaged file every time.
"""

import contextlib
import fcntl
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from preprocessing.reasons import Dropped
from preprocessing.settings import DecodeSettings

NO_MEMORY = "Cannot allocate memory"
"""What FFmpeg says when the child's limit is reached."""

PIPE = 1 << 20
"""Bytes that may wait between the child and its reader: a frame of 480 lines, so that the two run side by side."""

CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,ogg,gif,yuv4mpegpipe,dv,mxf,nut,ivf"
"""Formats that hold their pictures themselves, by FFmpeg's names; playlists, which name other files, are not videos."""

HEAD = 64
"""Bytes in which a PPM image's head ends."""


class Child:
    """An FFmpeg process that reads one video and writes to a pipe; entering starts it, leaving ends it.

    ``output`` are the options of what it writes to ``pipe:1``. From ``seek`` on (a time stamp in seconds) or from the
    start; only with ``seek`` does it tell the :meth:`time` of every frame. It stops at the first error, and says on the
    way what is of ``level`` or worse. Raises :class:`Dropped`: missing and empty-file on entering, timeout while
    reading.
    """

    def __init__(
        self,
        path: str | Path,
        limits: DecodeSettings,
        output: Sequence[str],
        *,
        seek: Fraction | None = None,
        level: str = "error",
    ) -> None:
        self.path, self.limits, self.output, self.seek, self.level = Path(path), limits, output, seek, level
        self.waited = 0.0
        self._ahead = b""  # of the next image
        self._stamps = b""

    def __enter__(self) -> "Child":
        check_file(self.path)
        general = ["-nostats", "-v", f"level+{self.level}", "-xerror", "-threads", "1", "-filter_threads", "1"]
        # V: no cover pictures; passthrough: every frame once, none repeated or left out to please the frame rate
        wanted = ["-map", "0:V:0", "-fps_mode", "passthrough"]
        self._times, theirs = os.pipe()
        self.words = tempfile.TemporaryFile()
        if self.seek is not None:
            # time stamps as they are in the file; decoding starts at a key frame that is not later
            general += ["-copyts", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{float(self.seek):.6f}"]
            wanted += ["-enc_time_base", "demux", "-stats_enc_pre:v", f"pipe:{theirs}"]
            wanted += ["-stats_enc_pre_fmt:v", "{pts} {tb}"]
        try:
            self.process = subprocess.Popen(
                _limited([*ffmpeg(*general), *source(self.path), *wanted, *self.output], self.limits),
                stdout=subprocess.PIPE,
                stderr=self.words,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs],
            )
        except BaseException:
            os.close(self._times)
            self.words.close()
            raise
        finally:
            os.close(theirs)
        assert self.process.stdout is not None
        self.descriptor = self.process.stdout.fileno()
        with contextlib.suppress(OSError):  # the user has many large pipes already: slower, nothing else
            fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.words.close()
        os.close(self._times)

    def _wait(self, descriptor: int) -> None:
        """Wait until ``descriptor`` has something to read, or is closed; the reader's own time does not count."""
        start = time.monotonic()
        ready, _, _ = select.select([descriptor], [], [], self.limits.stall_seconds)
        self.waited += time.monotonic() - start
        if not ready:
            raise Dropped("timeout", f"the decoder was silent for {self.limits.stall_seconds:g} s")
        if self.waited > self.limits.wall_seconds:
            raise Dropped("timeout", f"the decoder took more than {self.limits.wall_seconds:g} s")

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, none at the end."""
        self._wait(self.descriptor)
        return os.read(self.descriptor, size)

    def frame(self) -> np.ndarray | None:
        """The next PPM image as a frame [height, width, 3] uint8 RGB, read-only; None after the last whole one."""
        while self._ahead.count(b"\n") < 3:
            data = self.read(HEAD - len(self._ahead))
            if not data:
                return None
            self._ahead += data
        _, size, _, rest = self._ahead.split(b"\n", 3)
        width, height = map(int, size.split())
        pixels = np.empty(height * width * 3, np.uint8)
        have = min(len(rest), pixels.size)
        pixels[:have] = np.frombuffer(rest, np.uint8, have)
        self._ahead = rest[have:]
        left = pixels.data[have:]
        while left:
            self._wait(self.descriptor)
            count = os.readv(self.descriptor, [left])
            if not count:
                return None
            left = left[count:]
        pixels.flags.writeable = False
        return pixels.reshape(height, width, 3)

    def time(self) -> Fraction | None:
        """The time stamp of the frame read last, in seconds, as the file has it; None when it ended without one."""
        while b"\n" not in self._stamps:  # written before the frame was
            self._wait(self._times)
            data = os.read(self._times, 65536)
            if not data:
                return None
            self._stamps += data
        line, _, self._stamps = self._stamps.partition(b"\n")
        stamp, base = line.decode().split()
        return int(stamp) * Fraction(base)

    def told(self) -> str:
        """Everything it said, once it ended by itself; raises :class:`Dropped` (timeout) when it does not."""
        self._end()
        self.words.seek(0)
        return self.words.read().decode("utf-8", "replace")

    def _end(self) -> int:
        """Its exit code; it has nothing more to write, so it ends soon."""
        try:
            return self.process.wait(self.limits.stall_seconds)
        except subprocess.TimeoutExpired:
            raise Dropped("timeout", f"the decoder did not end within {self.limits.stall_seconds:g} s") from None

    def complaint(self) -> str | None:
        """What went wrong, after the last frame; None when nothing did."""
        words = tidy_words(self.told(), self.path)
        code = self._end()
        if code == 0 and not words:
            return None
        return words or f"the decoder ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def ffmpeg(*options: str) -> list[str]:
    """The beginning of a command."""
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *options]


def source(path: Path) -> list[str]:
    """A file as input: its name is never an option or protocol, and it cannot lead to the network or to other files."""
    return ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{path.absolute()}"]


def _limited(command: list[str], limits: DecodeSettings) -> list[str]:
    """``command`` within the limit on memory: a shell sets it and is gone when the command starts."""
    return ["sh", "-c", 'ulimit -v "$0"; exec "$@"', str(limits.memory_mb << 10), *command]


def check_file(path: Path) -> None:
    """Raise :class:`Dropped` for a file that is missing or empty."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Dropped("missing", error.strerror or "") from None
    if size == 0:
        raise Dropped("empty-file")


def tidy_words(words: str, path: Path) -> str:
    """FFmpeg's first line of complaint without what differs between runs and machines: addresses and folders.

    ``words`` are lines with their level (``-v level+…``). A lack of memory comes first: FFmpeg's threads complain of
    it and of what follows from it in any order.
    """
    for line in sorted(words.splitlines(), key=lambda line: NO_MEMORY not in line):
        complaint = re.match(r"(?:\[[^\]]*@ 0x[0-9a-f]+\] )*\[(?:error|fatal|panic)\] (.*)", line)
        if complaint and complaint[1].strip():
            plain = re.sub(r"\[[^\]]*@ 0x[0-9a-f]+\] ", "", complaint[1])
            return plain.replace(f"file:{path.absolute()}", path.name).strip()
    return ""


def corrupt(complaint: str | None) -> Dropped:
    """The reason against a video of which not one frame decodes."""
    words = complaint or "no frame"
    return Dropped("memory-limit" if NO_MEMORY in words else "corrupt", words)


def told(command: list[str], limits: DecodeSettings) -> subprocess.CompletedProcess[bytes]:
    """What a command that ends by itself says; raises :class:`Dropped` (timeout)."""
    try:
        return subprocess.run(
            _limited(command, limits),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=limits.wall_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Dropped("timeout", f"the decoder took more than {limits.wall_seconds:g} s") from None
