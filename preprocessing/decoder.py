"""The child process that decodes one video for :mod:`preprocessing.video`; never imported by the parent.

Standard output carries, in order: one JSON line about the video; then per wanted frame its index (8 bytes,
little endian) and its raw RGB bytes; then the index -1 and one JSON line about the whole. A failure is the
index -2 (or a first line) with the key ``error``.
"""

import contextlib
import json
import os
import resource
import struct
import sys
from typing import BinaryIO


def _say(stream: BinaryIO, value: dict[str, object]) -> None:
    stream.write(json.dumps(value).encode() + b"\n")
    stream.flush()


def _decode(stream: BinaryIO, path: str, wanted: list[list[int]] | None, probe: bool, last: int) -> None:
    import decord

    decord.logging.set_level(decord.logging.FATAL)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1)
    first = reader.next()
    height, width, _ = first.shape
    count = len(reader)
    _say(stream, {"width": width, "height": height, "fps": float(reader.get_avg_fps()), "frames": count})
    if probe:
        return
    spans = [[0, last]] if wanted is None else wanted
    position = index = damaged = 0
    frame = first
    while True:
        while position < len(spans) and index >= spans[position][1]:
            position += 1
        if position == len(spans):
            break
        if frame is not None and index >= spans[position][0]:
            stream.write(struct.pack("<q", index))
            stream.write(frame.asnumpy().tobytes())
        index += 1
        try:
            frame = reader.next()
        except StopIteration:
            break
        except decord.DECORDError:
            frame, damaged = None, damaged + 1
            if damaged > count:
                break
    stream.write(struct.pack("<q", -1))
    _say(stream, {"decoded": index - damaged, "damaged": damaged, "expected": count})


def main() -> None:
    """Decode as told by the JSON request in the first argument."""
    request = json.loads(sys.argv[1])
    limit = request["memory_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # libav and decord may print: standard output is kept for frames alone
    stream = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)
    failure: dict[str, object] | None = None
    with contextlib.suppress(BrokenPipeError):
        try:
            _decode(stream, request["path"], request["wanted"], request["probe"], request["max_frames"])
        except MemoryError as error:
            failure = {"error": "memory-limit", "detail": str(error)}
        except Exception as error:  # whatever the decoder throws becomes the clip's reason
            failure = {"error": "corrupt", "detail": str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}
        if failure is not None:
            stream.write(struct.pack("<q", -2))
            _say(stream, failure)
        stream.flush()
    os._exit(0)  # decord's destructors can hang on damaged files


if __name__ == "__main__":
    main()
