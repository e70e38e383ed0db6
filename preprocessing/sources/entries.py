"""What a source lists: one entry per input file, and which of its frames belong to which split."""

from dataclasses import dataclass

Segment = tuple[int, int, str]
"""First frame, frame after the last (-1: to the end) and split (train, test or unseen-clip)."""

SPLITS = ("train", "test", "unseen-clip")
"""The splits a segment may belong to."""

BLOCK_SECONDS = 2.0
"""Length of the blocks of which every fourth is held out."""

MARGIN_SECONDS = 0.4
"""Frames nearer than this to a border between parts are in neither."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip as a source lists it: its name, file, person, segments and, when already known, why it is dropped.

    Clips that are parts of one download name the same ``file`` and ``url``. ``rate`` is the number of frames per
    second in which the list counts its segments (0: the file's own frames), ``origin`` the second of the file at which
    it starts to count. ``box`` is where the list says the face is: left, top, right, bottom in pixels of a frame of
    ``lines`` lines, or as shares of the frame (``lines`` 0).
    """

    clip: str
    file: str
    person: str
    segments: tuple[Segment, ...]
    sha256: str = ""
    reason: str = ""
    detail: str = ""
    url: str = ""
    rate: float = 0.0
    origin: float = 0.0
    lines: int = 0
    box: tuple[float, float, float, float] | None = None


def blocks(frames: int, fps: float) -> tuple[Segment, ...]:
    """Every fourth block of two seconds is test, the rest train, without the frames near a border."""
    size, margin = round(BLOCK_SECONDS * fps), round(MARGIN_SECONDS * fps)
    parts: list[Segment] = []
    for start in range(0, frames, 4 * size):
        parts.append((start, min(start + 3 * size, frames), "train"))
        if start + 3 * size < frames:
            parts.append((start + 3 * size, min(start + 4 * size, frames), "test"))
    return _without_borders(parts, margin)


def last_quarter(frames: int, fps: float) -> tuple[Segment, ...]:
    """The last quarter is test, the rest train, without the frames near the border."""
    border = frames - frames // 4
    return _without_borders([(0, border, "train"), (border, frames, "test")], round(MARGIN_SECONDS * fps))


def _without_borders(parts: list[Segment], margin: int) -> tuple[Segment, ...]:
    last = len(parts) - 1
    trimmed = [
        (start + (margin if i else 0), end - (margin if i < last else 0), split)
        for i, (start, end, split) in enumerate(parts)
    ]
    return tuple(part for part in trimmed if part[1] > part[0])
