"""Decode a video frame by frame in a watched child process, which is FFmpeg.

FFmpeg waits when its reader is slow (decord decodes ahead without bound: a minute of 720p took 3 GB), applies
rotation and colour tags, and on one thread stops at the same frame of a damaged file every time. The child has
a limit on memory, on silence and on the time waited for it. Whatever goes wrong becomes a
:class:`~preprocessing.reasons.Dropped` with a reason of the closed list; nothing else gets out.
"""

import dataclasses
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import Float

from preprocessing.reasons import Dropped
from preprocessing.settings import DecodeSettings, ScanSettings

USUAL_RATE = 25.0
"""Frames per second of a file that does not say."""

NO_MEMORY = "Cannot allocate memory"
"""What FFmpeg says when the child's limit is reached."""

CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,ogg,gif,yuv4mpegpipe,dv,mxf,nut,ivf"
"""Formats that hold their pictures themselves, by FFmpeg's names; playlists, which name other files, are not videos."""

_NTSC = tuple(rate * 1000 / 1001 for rate in (24, 30, 48, 60, 120))


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, frames per second, and how many frames decode before the first broken one."""

    width: int
    height: int
    fps: float
    frames: int


class _Child:
    """An FFmpeg process that writes frames as PPM images; entering starts it, leaving ends it."""

    def __init__(self, path: str | Path, limits: DecodeSettings) -> None:
        self.path, self.limits = Path(path), limits
        self.waited = 0.0
        self.buffer = bytearray()

    def __enter__(self) -> "_Child":
        _check_file(self.path)
        # V: no cover pictures; passthrough: every frame once, none repeated or left out to please the frame rate
        wanted = ["-map", "0:V:0", "-fps_mode", "passthrough"]
        wanted += ["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]
        command = [*_ffmpeg("-v", "error", "-xerror", "-threads", "1"), *_input(self.path), *wanted]
        self.words = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            _limited(command, self.limits),
            stdout=subprocess.PIPE,
            stderr=self.words,
            stdin=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.descriptor = self.process.stdout.fileno()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.words.close()

    def _more(self, size: int) -> bool:
        """Wait for up to ``size`` more bytes; False at the end. The reader's own time does not count as waiting."""
        start = time.monotonic()
        ready, _, _ = select.select([self.descriptor], [], [], self.limits.stall_seconds)
        self.waited += time.monotonic() - start
        if not ready:
            raise Dropped("timeout", f"the decoder was silent for {self.limits.stall_seconds:g} s")
        if self.waited > self.limits.wall_seconds:
            raise Dropped("timeout", f"the decoder took more than {self.limits.wall_seconds:g} s")
        data = os.read(self.descriptor, size)
        self.buffer += data
        return bool(data)

    def frame(self) -> np.ndarray | None:
        """The next frame [height, width, 3] uint8 RGB, read-only; None after the last whole one."""
        while self.buffer.count(b"\n", 0, 64) < 3:
            if not self._more(64 - len(self.buffer)):
                return None
        _, size, _, _ = bytes(self.buffer[:64]).split(b"\n", 3)
        width, height = map(int, size.split())
        head = len(b"P6\n" + size + b"\n255\n")
        total = head + width * height * 3
        while len(self.buffer) < total:
            if not self._more(total - len(self.buffer)):
                return None
        pixels = np.frombuffer(bytes(self.buffer[head:total]), np.uint8)
        del self.buffer[:total]
        return pixels.reshape(height, width, 3)

    def complaint(self) -> str | None:
        """What FFmpeg said went wrong, after the last frame; None when nothing did."""
        try:
            code = self.process.wait(self.limits.stall_seconds)
        except subprocess.TimeoutExpired:
            raise Dropped("timeout", f"the decoder did not end within {self.limits.stall_seconds:g} s") from None
        self.words.seek(0)
        words = tidy_words(self.words.read(65536).decode("utf-8", "replace"), self.path)
        if code == 0 and not words:
            return None
        return words or f"the decoder ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"


def _limited(command: list[str], limits: DecodeSettings) -> list[str]:
    """``command`` within the limit on memory: a shell sets it and is gone when the command starts."""
    return ["sh", "-c", 'ulimit -v "$0"; exec "$@"', str(limits.memory_mb << 10), *command]


def _ffmpeg(*options: str) -> list[str]:
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *options]


def _input(path: Path) -> list[str]:
    # the prefix keeps odd names from being read as options or protocols; nothing may reach the network or other files
    return ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{path.absolute()}"]


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Dropped("missing", error.strerror or "") from None
    if size == 0:
        raise Dropped("empty-file")


def tidy_words(words: str, path: Path) -> str:
    """FFmpeg's first line of complaint without what differs between runs and machines: addresses and folders.

    A lack of memory comes first: FFmpeg's threads complain of it and of what follows from it in any order.
    """
    for line in sorted(words.splitlines(), key=lambda line: NO_MEMORY not in line):
        line = re.sub(r"\[[^\]]*@ 0x[0-9a-f]+\] ", "", line).replace(f"file:{path.absolute()}", path.name).strip()
        if line:
            return line
    return ""


def frames(
    path: str | Path, limits: DecodeSettings | None = None, spans: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame [height, width, 3] uint8 RGB, read-only) of a video in order, up to the first broken frame.

    ``spans`` are the wanted frames as ascending [start, end) pairs that do not overlap; None means all. Raises
    :class:`Dropped` (missing, empty-file, corrupt when not one frame decodes, timeout, memory-limit).
    """
    position = index = 0
    with _Child(path, limits or DecodeSettings()) as child:
        while spans is None or position < len(spans):
            frame = child.frame()
            if frame is None:
                if index == 0:
                    raise _corrupt(child.complaint())
                return
            if spans is None or index >= spans[position][0]:
                yield index, frame
            index += 1
            while spans is not None and position < len(spans) and index >= spans[position][1]:
                position += 1


def scan(path: str | Path, limits: ScanSettings | None = None) -> VideoInfo:
    """Decode a whole video once and say what it is; raises :class:`Dropped` when it cannot be used.

    All frames after the first broken one count as damaged; a larger share of them than the limit is a reason
    (``damaged``), and so are more frames than the limit (``endless``).
    """
    limits = limits or ScanSettings()
    _check_file(Path(path))
    rate, seconds = _header(Path(path), limits)
    count = height = width = 0
    with _Child(path, limits) as child:
        while (frame := child.frame()) is not None:
            count += 1
            height, width = frame.shape[:2]
            if count > limits.max_frames:
                raise Dropped("endless", f"more than {limits.max_frames} frames")
        complaint = child.complaint()
    if count == 0:
        raise _corrupt(complaint)
    if complaint is not None:
        expected = max(round(seconds * rate), count + 1)
        if expected - count > limits.max_damaged * expected:
            raise Dropped("damaged", f"{expected - count} of {expected} frames are lost: {complaint}")
    return VideoInfo(width, height, rate, count)


def check_written(path: Path, count: int) -> None:
    """Raise RuntimeError unless a video that was just written has ``count`` frames: imageio does not ask FFmpeg."""
    try:
        found = scan(path).frames
    except Dropped as dropped:
        raise RuntimeError(f"{path} cannot be read again ({dropped})") from None
    if found != count:
        raise RuntimeError(f"{path} has {found} frames of {count}")


def frame_times(path: str | Path, limits: DecodeSettings | None = None) -> Float[np.ndarray, "frames"]:
    """Seconds at which each frame of :func:`frames` is shown, counted from the start of the file (of its audio, too).

    They are evenly spaced in most files, but not in those of variable rate, and the first need not be 0. Raises
    :class:`Dropped` as :func:`frames` does.
    """
    limits = limits or DecodeSettings()
    _check_file(Path(path))
    # The codec's own time base would round to whole frames.
    wanted = ["-map", "0:V:0", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "mkvtimestamp_v2", "pipe:1"]
    told = _told([*_ffmpeg("-v", "error", "-threads", "1"), *_input(Path(path)), *wanted], limits)
    milliseconds = [float(line) for line in told.stdout.decode().splitlines() if not line.startswith("#")]
    if not milliseconds:
        raise _corrupt(tidy_words(told.stderr.decode("utf-8", "replace"), Path(path)))
    return np.array(milliseconds) / 1000


def _corrupt(complaint: str | None) -> Dropped:
    words = complaint or "no frame"
    return Dropped("memory-limit" if NO_MEMORY in words else "corrupt", words)


def _header(path: Path, limits: DecodeSettings) -> tuple[float, float]:
    """Frames per second and duration in seconds (0: unknown) as the container states them."""
    words = _told([*_ffmpeg(), *_input(path)], limits).stderr.decode("utf-8", "replace")
    stream = next((line for line in words.splitlines() if "Stream #" in line and "Video:" in line), "")
    rate = re.search(r"([\d.]+)(k?) fps", stream) or re.search(r"([\d.]+)(k?) tbr", stream)
    duration = re.search(r"Duration: (\d+):(\d+):([\d.]+)", words)
    hours, minutes, seconds = map(float, duration.groups()) if duration else (0.0, 0.0, 0.0)
    return (
        exact_rate(float(rate[1]) * (1000 if rate[2] else 1)) if rate else USUAL_RATE,
        3600 * hours + 60 * minutes + seconds,
    )


def _told(command: list[str], limits: DecodeSettings) -> subprocess.CompletedProcess[bytes]:
    """What a command that ends by itself says."""
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


def exact_rate(printed: float) -> float:
    """The frame rate behind one printed with two decimals: 29.97 is 30000/1001."""
    if not printed > 0:
        return USUAL_RATE
    return next((rate for rate in _NTSC if abs(round(rate, 2) - printed) < 0.005), printed)
