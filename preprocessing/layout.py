"""Where a sample's members lie in its tar: as the index says it, in one number and a line of sizes.

The line is text, as one number each would make an index three times as large and thirty times as slow to check.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from tarfile import BLOCKSIZE
from typing import Any

import numpy as np
from jaxtyping import UInt32

from preprocessing.tars import Member

WHOLE = ("cameras.npy", "landmarks.npy", "meta.json")
"""Members of a sample that are not of one frame, in the order of their names."""

PER_FRAME = ("jpg", "mask.png")
"""Members of every frame, in the order of their names."""


def names(key: str, frames: int) -> list[str]:
    """Names of a sample's members, in their order in the tar."""
    return [f"{key}.{i:05d}.{name}" for i in range(frames) for name in PER_FRAME] + [f"{key}.{name}" for name in WHOLE]


def layout(key: str, frames: int, members: Mapping[str, Member]) -> dict[str, Any]:
    """What the index says of a sample's members, which follow each other: the first's offset, all sizes in bytes."""
    found = [members[name] for name in names(key, frames)]
    assert all(after.offset == _next(before) for before, after in pairwise(found))
    return {"offset": found[0].offset, "sizes": " ".join(str(member.size) for member in found)}


def _next(member: Member) -> int:
    """Offset of the bytes of the member after ``member``."""
    return member.offset + member.size + -member.size % BLOCKSIZE + BLOCKSIZE


@dataclass(frozen=True)
class Layout:
    """Offset of a sample's first member and sizes of all, in bytes, in the order of :func:`names`.

    The other offsets follow from the sizes: a run over many shards holds one of these for every sample.
    """

    frames: int
    offset: int
    sizes: UInt32[np.ndarray, "members"]

    @classmethod
    def of_index(cls, frames: int, offset: int, sizes: str) -> "Layout":
        """The layout that :func:`layout` described; raises ValueError when it has another number of members."""
        table = np.fromstring(sizes, np.uint32, sep=" ")
        if len(table) != frames * len(PER_FRAME) + len(WHOLE):
            raise ValueError("sizes")
        return cls(frames, offset, table)

    def member(self, name: str) -> Member | None:
        """The member ``name`` (without the key and its dot), None when there is none."""
        frame, _, kind = name.partition(".")
        if name in WHOLE:
            place = self.frames * len(PER_FRAME) + WHOLE.index(name)
        elif kind in PER_FRAME and 0 <= int(frame) < self.frames:
            place = int(frame) * len(PER_FRAME) + PER_FRAME.index(kind)
        else:
            return None
        before = self.sizes[:place].astype(np.int64)
        steps = before + -before % BLOCKSIZE + BLOCKSIZE
        return Member(self.offset + int(steps.sum()), int(self.sizes[place]))
