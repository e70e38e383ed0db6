"""The child process that decodes one video for :mod:`preprocessing.video`; never imported by the parent.

Standard output carries, in order: one JSON line about the video; then per wanted frame its index (8 bytes,
little endian) and its raw RGB bytes; then the index -1. A failure is the index -2 (also before the first
line) and one JSON line with the keys ``error`` and ``detail``.

decord decodes; where it finds damage it answers with errors from a frame on that differs between runs, so
damaged files are read with OpenCV, which always stops at the same frame.
"""

import contextlib
import json
import os
import re
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple


class Endless(Exception):
    """The video goes on past the limit."""


class Opened(NamedTuple):
    """A video: what the container says, and its frames; ``frames`` yields functions that give a frame's RGB bytes."""

    width: int
    height: int
    fps: float
    expected: int
    frames: Iterator[Any]


def _with_decord(path: str) -> Opened:
    import decord

    decord.logging.set_level(decord.logging.FATAL)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    first = reader.next()

    def frames() -> Iterator[Any]:
        yield lambda: first.asnumpy().tobytes()
        while True:
            try:
                frame = reader.next()
            except StopIteration:
                return
            yield lambda frame=frame: frame.asnumpy().tobytes()

    height, width, _ = first.shape
    return Opened(width, height, float(reader.get_avg_fps()), len(reader), frames())


def _with_opencv(path: str) -> Opened:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"  # so that it stops at the same frame every time
    import cv2

    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    good, first = capture.read()
    if not good:
        raise ValueError("no frame can be decoded")

    def frames() -> Iterator[Any]:
        good, frame = True, first
        while good and frame.shape == first.shape:
            yield lambda frame=frame: frame[:, :, ::-1].tobytes()
            good, frame = capture.read()

    count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    return Opened(first.shape[1], first.shape[0], float(capture.get(cv2.CAP_PROP_FPS)) or 25.0, count, frames())


_DECODERS = {"decord": _with_decord, "opencv": _with_opencv}


def _say(stream: BinaryIO, value: dict[str, object]) -> None:
    stream.write(json.dumps(value).encode() + b"\n")
    stream.flush()


def _scan(path: str, decoder: str, limit: int) -> dict[str, object]:
    """Decode all frames and count them."""
    video = _DECODERS[decoder](path)
    if video.expected > limit:
        raise Endless(f"{video.expected} frames, more than {limit}")
    decoded = 0
    for _ in video.frames:
        decoded += 1
        if decoded > limit:
            raise Endless(f"more than {limit} frames")
    if not (video.fps > 0 and video.fps < 1000):
        raise ValueError(f"{video.fps:g} frames per second")
    about = {"width": video.width, "height": video.height, "fps": video.fps, "frames": decoded}
    return about | {"expected": max(video.expected, decoded), "decoder": decoder}


def _stream(stream: BinaryIO, path: str, decoder: str, spans: list[list[int]] | None) -> None:
    """Write the wanted frames."""
    video = _DECODERS[decoder](path)
    _say(stream, {"width": video.width, "height": video.height, "fps": video.fps, "frames": video.expected})
    position = 0
    for index, frame in enumerate(video.frames):
        if spans is not None:
            while position < len(spans) and index >= spans[position][1]:
                position += 1
            if position == len(spans):
                break
            if index < spans[position][0]:
                continue
        stream.write(struct.pack("<q", index))
        stream.write(frame())
    stream.write(struct.pack("<q", -1))


def _words(error: Exception, path: str) -> str:
    """The error's first line without what differs between runs: time of day, source lines, folders, raw memory."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    line = re.sub(r"\[\d\d:\d\d:\d\d\] (\S+:\d+: )?", "", line)
    line = re.sub(r" \(-?\d+ vs\. -?\d+\)", "", line)
    return line.replace(path, os.path.basename(path)).strip()


def main() -> None:
    """Decode as told by the JSON request in the first argument."""
    request = json.loads(sys.argv[1])
    limit = request["memory_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # libav and decord may print: standard output is kept for frames alone
    stream = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)
    path, decoder = request["path"], request["decoder"]
    failure: tuple[str, BaseException] | None = None
    with contextlib.suppress(BrokenPipeError):
        try:
            if request["scan"]:
                _say(stream, _scan(path, decoder, request["max_frames"]))
            else:
                _stream(stream, path, decoder, request["spans"])
        except MemoryError as error:
            failure = ("memory-limit", error)
        except Endless as error:
            failure = ("endless", error)
        except Exception as error:  # whatever the decoder throws becomes the clip's reason
            failure = ("memory-limit" if "bad_alloc" in str(error) else "corrupt", error)
        if failure is not None:
            stream.write(struct.pack("<q", -2))
            _say(stream, {"error": failure[0], "detail": _words(failure[1], path)})  # type: ignore[arg-type]
        stream.flush()
    os._exit(0)  # decord's destructors can hang on damaged files


if __name__ == "__main__":
    main()
