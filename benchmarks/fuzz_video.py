"""Damaged video files by the thousand: decoding ends, within its limits, with what the file is or a reason against it.

``python benchmarks/fuzz_video.py [--minutes 5] [--seed 0] [--keep DIR]``. Small videos of nine kinds are made, their
bytes flipped, cut, spliced, zeroed and their sizes rewritten; each is scanned and then read. Counted by outcome; what
must not happen (another exception, a process left behind, a second reading that differs, more memory or time than the
limits) ends the run with the file's place in ``--keep``. A seed gives the same files every time.
"""

import argparse
import contextlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import imageio_ffmpeg
import psutil

from preprocessing import seeking
from preprocessing.reasons import Dropped
from preprocessing.settings import ScanSettings
from preprocessing.video import frame_times, frames, scan

LIMITS = ScanSettings(wall_seconds=20, stall_seconds=10, memory_mb=1024, max_frames=3000)
SLACK = 10
"""Seconds beyond the limits for starting and ending seven decoders on a busy machine."""

FAR_AWAY = [(9, 11)]
"""Frames that are asked for alone; seeking.FAR is lowered so that the decoder seeks to them."""

SOUND = ("-f", "lavfi", "-i", "sine=duration=0.5", "-shortest")
KINDS: dict[str, tuple[str, ...]] = {
    "h264.mp4": (*SOUND, "-c:v", "libx264", "-g", "4", "-c:a", "aac"),
    "fragments.mp4": ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov", "-g", "4"),
    "rotated.mov": ("-c:v", "mjpeg", "-metadata:s:v", "rotate=90"),
    "h264.mkv": (*SOUND, "-c:v", "libx264", "-g", "4", "-c:a", "libvorbis"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "200k"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-b:v", "200k", "-deadline", "realtime", "-cpu-used", "8"),
    "mpeg4.avi": (*SOUND, "-c:v", "mpeg4", "-c:a", "mp3"),
    "mpeg2.ts": (*SOUND, "-c:v", "mpeg2video", "-c:a", "mp2"),
    "loop.gif": (),
}


class Finding(Exception):
    """Something that must not happen."""


def make(folder: Path) -> dict[str, bytes]:
    """One small video of every kind: twelve frames of a test pattern."""
    made = {}
    for name, options in KINDS.items():
        pattern = ("-f", "lavfi", "-i", "testsrc=size=96x64:rate=25:duration=0.48")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *pattern, *options, "-threads", "1"]
        pixels = () if name.endswith("gif") else ("-pix_fmt", "yuvj420p" if "mjpeg" in options else "yuv420p")
        subprocess.run([*command, *pixels, str(folder / name)], check=True, stdin=subprocess.DEVNULL)
        made[name] = (folder / name).read_bytes()
    return made


def flip(data: bytearray, draw: random.Random) -> bytearray:
    """Some bits, anywhere."""
    for _ in range(draw.choice((1, 3, 10, 100))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def cut(data: bytearray, draw: random.Random) -> bytearray:
    """The end is missing."""
    return data[: draw.randrange(1, len(data))]


def drop(data: bytearray, draw: random.Random) -> bytearray:
    """A stretch is missing."""
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randrange(1, 2000) :]


def zero(data: bytearray, draw: random.Random) -> bytearray:
    """A stretch was never written, as after a crash."""
    start, length = draw.randrange(len(data)), draw.choice((8, 512, 4096))
    stretch = len(data[start : start + length])
    data[start : start + stretch] = bytes(stretch)
    return data


def repeat(data: bytearray, draw: random.Random) -> bytearray:
    """A stretch is there several times."""
    start = draw.randrange(len(data))
    return data[:start] + data[start : start + draw.randrange(1, 4000)] * draw.randrange(2, 20) + data[start:]


def header(data: bytearray, draw: random.Random) -> bytearray:
    """Numbers near the beginning or the end, where containers keep their tables, become extreme ones."""
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(min(len(data), 900))
        if draw.random() < 0.3:
            place = len(data) - 1 - place
        value = draw.choice(
            (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"\xff\xff", b"\x80\0")
        )
        data[place : place + len(value)] = value
    return data


def box(data: bytearray, draw: random.Random) -> bytearray:
    """A size or a first field of one of the boxes of an MP4 becomes another."""
    names = [
        name
        for name in (b"moov", b"trak", b"stsd", b"stsz", b"stco", b"stts", b"tkhd", b"mvhd", b"avcC")
        if name in data
    ]
    if not names:
        return header(data, draw)
    place = data.index(draw.choice(names)) + draw.choice((-4, 4, 8, 12, 16, 20))
    data[place : place + 4] = draw.choice(
        (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"\x00\xff\xff\xff", draw.randbytes(4))
    )
    return data


CHANGES: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (flip, cut, drop, zero, repeat, header, box)


def damaged(videos: dict[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) without end: a video changed in one to three ways, or two of them joined."""
    draw = random.Random(seed)
    for number in range(sys.maxsize):
        name = draw.choice(sorted(videos))
        data = bytearray(videos[name])
        ways = draw.choices(CHANGES, k=draw.choice((1, 1, 1, 2, 3)))
        for way in ways:
            data = way(data, draw) or bytearray(b"\0")
        if draw.random() < 0.1:
            other = videos[draw.choice(sorted(videos))]
            data = data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other)) :]
            ways.append(cut)
        yield f"{number:06d}-{'-'.join(way.__name__ for way in ways)}-{name}", bytes(data)


def outcome(path: Path, limits: ScanSettings = LIMITS) -> str:
    """What decoding says of a file, twice alike: ``kept`` or a reason; raises :class:`Finding`."""
    began, me, seeking.FAR = time.monotonic(), psutil.Process(), 4
    before = set(me.children(recursive=True))
    try:
        found = told(path, limits)
        try:
            sums = [int(frame.sum()) for _, frame in islice(frames(path, limits), limits.max_frames)]
            far = [(index, int(frame.sum())) for index, frame in frames(path, limits, FAR_AWAY)]
            # FFmpeg leaves what it cannot decode of a Motion-JPEG image as it was in memory
            if far != list(enumerate(sums))[slice(*FAR_AWAY[0])] and not path.name.endswith("rotated.mov"):
                raise Finding(f"frames of their own are not those of the whole: {far} of {sums}")
        except Dropped as dropped:
            if found in ("kept", "damaged"):
                raise Finding(f"scan says {found}, a second reading {dropped}") from None
        with contextlib.suppress(Dropped):
            frame_times(path, limits)
        if told(path, limits) != found and found != "timeout":
            raise Finding(f"a second scan does not say {found}")
    except (Finding, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise Finding(f"{type(error).__name__}: {error}") from error
    # Others of this process (a test's pool of workers) were there before.
    if left := set(me.children(recursive=True)) - before:
        raise Finding(f"left behind: {left}")
    if time.monotonic() - began > 7 * limits.wall_seconds + SLACK:
        raise Finding(f"took {time.monotonic() - began:.0f} s")
    return found


def told(path: Path, limits: ScanSettings) -> str:
    """``kept``, or why not."""
    try:
        info = scan(path, limits)
    except Dropped as dropped:
        return dropped.reason
    if min(info.width, info.height, info.frames) < 1 or not 0 < info.fps < 1e6:
        raise Finding(f"an impossible video: {info}")
    return "kept"


def main() -> None:
    """Fuzz for some minutes, then print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="where files that show a fault are put")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    slowest, until, findings = (0.0, ""), time.monotonic() + 60 * arguments.minutes, 0
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, data in damaged(make(Path(folder)), arguments.seed):
            if time.monotonic() > until:
                break
            path = Path(folder) / name
            path.write_bytes(data)
            began = time.monotonic()
            try:
                counts[outcome(path)] += 1
            except Finding as finding:
                findings += 1
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / name).write_bytes(data)
                print(f"{arguments.keep / name}: {finding}", file=sys.stderr)
            slowest = max(slowest, (time.monotonic() - began, name))
            path.unlink()
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"seed {arguments.seed}: {sum(counts.values())} files, {findings} findings")
    print(", ".join(f"{reason} {count}" for reason, count in counts.most_common()))
    print(f"slowest {slowest[0]:.1f} s ({slowest[1]}); {memory:.0f} MB more here, largest decoder {children:.0f} MB")
    sys.exit(findings > 0)


if __name__ == "__main__":
    main()
