"""Decode a video frame by frame in a watched child process, which is FFmpeg (:mod:`preprocessing.ffmpeg`).

Whatever goes wrong becomes a :class:`~preprocessing.reasons.Dropped` with a reason of the closed list; nothing
else gets out.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Float

from preprocessing.ffmpeg import Child, check_file, corrupt, ffmpeg, source, tidy_words, told
from preprocessing.reasons import Dropped
from preprocessing.seeking import Start, start_before
from preprocessing.settings import DecodeSettings, ScanSettings

USUAL_RATE = 25.0
"""Frames per second of a file that does not say."""

_NTSC = tuple(rate * 1000 / 1001 for rate in (24, 30, 48, 60, 120))

_ALL = range(sys.maxsize)

Span = tuple[int, int] | tuple[int, int, int]
"""Frames [start, end), every one or every so many: the arguments of a range."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Size in pixels, frames per second, and how many frames decode before the first broken one."""

    width: int
    height: int
    fps: float
    frames: int


def frames(
    path: str | Path,
    limits: DecodeSettings | None = None,
    spans: Sequence[Span] | None = None,
    filters: Sequence[str] = (),
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, frame [height, width, 3] uint8 RGB, read-only) of a video in order, up to the first broken frame.

    ``spans`` are the wanted frames, ascending and without overlap; None means all. The frames between are not made
    pixels of, and those far before the first are not decoded where the file has a sure table of its frames. FFmpeg's
    ``filters`` cut or shrink what is wanted before it becomes pixels. Raises :class:`Dropped` (missing, empty-file,
    corrupt when not one frame decodes, timeout, memory-limit).
    """
    limits = limits or DecodeSettings()
    wanted = [_ALL] if spans is None else [chosen for span in spans if (chosen := range(*span))]
    if not wanted:
        return
    if start := start_before(path, wanted[0].start, limits):
        wanted = [chosen for span in wanted if (chosen := _below(span, len(start.stamps)))]
        for index, frame in _decoded(path, limits, wanted, start, filters):
            yield index, frame
            wanted = [chosen for span in wanted if (chosen := span[len(_below(span, index + 1)) :])]
        if not wanted:
            return
    yield from _decoded(path, limits, wanted, None, filters)


def _below(span: range, end: int) -> range:
    """The numbers of ``span`` below ``end``."""
    return range(span.start, min(span.stop, end), span.step)


def _decoded(
    path: str | Path, limits: DecodeSettings, wanted: Sequence[range], start: Start | None, filters: Sequence[str] = ()
) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames, decoded from ``start`` on until one is not at its time, or from the beginning."""
    output = [*_choice(wanted, start, filters), "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]
    with Child(path, limits, output, seek=None if start is None else start.seek) as child:
        some = False
        for index in chain.from_iterable(wanted):
            frame = child.frame()
            if frame is None:
                break
            if start is not None and child.time() != start.time(index):
                return
            yield index, frame
            some = True
        if some or start is not None:
            return
        if wanted[0].start == 0:
            raise corrupt(child.complaint())
    next(_decoded(path, limits, [range(1)], None))  # fewer frames than that, or none


def _choice(wanted: Sequence[range], start: Start | None, more: Sequence[str]) -> list[str]:
    """FFmpeg's options that keep the wanted frames alone, put ``more`` filters after, and end after the last."""
    if wanted == [_ALL]:
        return ["-vf", ",".join(more)] if more else []
    # n counts the frames that reach the filter
    base = 0 if start is None else wanted[0].start
    terms = []
    for span in wanted:
        term = f"between(n,{span[0] - base},{span[-1] - base})"
        terms.append(term if span.step == 1 else f"{term}*not(mod(n-{span[0] - base},{span.step}))")
    filters = [] if start is None else [f"select='gte(t,{start.border(base):.9f})'"]
    filters.append(f"select='{'+'.join(terms)}'")
    return ["-vf", ",".join([*filters, *more]), "-frames:v", str(sum(map(len, wanted)))]


def scan(path: str | Path, limits: ScanSettings | None = None, until: int | None = None) -> VideoInfo:
    """Decode a whole video once, or its first ``until`` frames, and say what it is; no pixels are made.

    All frames after the first broken one count as damaged; a larger share of them than the limit is a reason
    (``damaged``), and so are more frames than the limit (``endless``), and frames of several sizes (``size-changes``).
    Raises :class:`Dropped` when the video cannot be used.
    """
    limits = limits or ScanSettings()
    most = limits.max_frames + 1 if until is None else min(until, limits.max_frames + 1)
    # one dot and line per frame that reaches the end
    output = ["-frames:v", str(most), "-stats_mux_pre:v", "pipe:1", "-stats_mux_pre_fmt:v", ".", "-f", "null", "-"]
    count = 0
    with Child(path, limits, output, level="info") as child:
        while data := child.read(65536):
            count += data.count(b".")
        complaint, words = child.complaint(), child.told()
    if count == 0:
        raise corrupt(complaint)
    if count > limits.max_frames:
        raise Dropped("endless", f"more than {limits.max_frames} frames")
    rate, seconds = _header(words)
    if complaint is not None:
        expected = max(round(seconds * rate), count + 1)
        expected = expected if until is None else min(expected, until)
        if expected - count > limits.max_damaged * expected:
            raise Dropped("damaged", f"{expected - count} of {expected} frames are lost: {complaint}")
    size = re.search(r"Video: wrapped_avframe.*? (\d+)x(\d+)", words)
    if size is None:
        raise corrupt("no size")
    if CHANGED in words:
        sizes = _sizes(path, limits, count)
        if len(sizes) > 1:
            raise Dropped("size-changes", " then ".join(sizes))
    return VideoInfo(int(size[1]), int(size[2]), rate, count)


CHANGED = "Reconfiguring filter graph"
"""What FFmpeg says when frames of another kind follow: of other colours, or of another size."""


def _sizes(path: str | Path, limits: DecodeSettings, count: int) -> list[str]:
    """The sizes (``320x240``) of the first ``count`` frames, each once, in order."""
    output = ["-vf", "showinfo=checksum=0", "-frames:v", str(count), "-f", "null", "-"]
    with Child(path, limits, output, level="info") as child:
        found = re.findall(r"^\[Parsed_showinfo.* s:(\d+x\d+)", child.told(), re.MULTILINE)
    return list(dict.fromkeys(found[:count]))  # it may look at a few more


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
    check_file(Path(path))
    # The codec's own time base would round to whole frames.
    wanted = ["-map", "0:V:0", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "mkvtimestamp_v2", "pipe:1"]
    answer = told([*ffmpeg("-v", "level+error", "-threads", "1"), *source(Path(path)), *wanted], limits)
    milliseconds = [float(line) for line in answer.stdout.decode().splitlines() if not line.startswith("#")]
    if not milliseconds:
        raise corrupt(tidy_words(answer.stderr.decode("utf-8", "replace"), Path(path)))
    return np.array(milliseconds) / 1000


def _header(words: str) -> tuple[float, float]:
    """Frames per second and duration in seconds (0: unknown) as the container states them."""
    stream = next((line for line in words.splitlines() if "Stream #" in line and "Video:" in line), "")
    rate = re.search(r"([\d.]+)(k?) fps", stream) or re.search(r"([\d.]+)(k?) tbr", stream)
    duration = re.search(r"Duration: (\d+):(\d+):([\d.]+)", words)
    hours, minutes, seconds = map(float, duration.groups()) if duration else (0.0, 0.0, 0.0)
    return (
        exact_rate(float(rate[1]) * (1000 if rate[2] else 1)) if rate else USUAL_RATE,
        3600 * hours + 60 * minutes + seconds,
    )


def exact_rate(printed: float) -> float:
    """The frame rate behind one printed with two decimals: 29.97 is 30000/1001."""
    if not printed > 0:
        return USUAL_RATE
    return next((rate for rate in _NTSC if abs(round(rate, 2) - printed) < 0.005), printed)
