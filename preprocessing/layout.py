"""Where a sample's members lie in its tar: as the index says it, in one number and a list of sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from tarfile import BLOCKSIZE
from typing import Any

import numpy as np
from jaxtyping import Int64

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
    return {"offset": found[0].offset, "sizes": [member.size for member in found]}


def _next(member: Member) -> int:
    """Offset of the bytes of the member after ``member``."""
    return member.offset + member.size + -member.size % BLOCKSIZE + BLOCKSIZE


@dataclass(frozen=True)
class Layout:
    """Offsets and sizes in bytes of a sample's members, in the order of :func:`names`."""

    frames: int
    offsets: Int64[np.ndarray, "members"]
    sizes: Int64[np.ndarray, "members"]

    @classmethod
    def of_index(cls, frames: int, offset: int, sizes: list[int]) -> "Layout":
        """The layout that :func:`layout` described; raises ValueError when it has another number of members."""
        table = np.array(sizes, np.int64)
        if len(table) != frames * len(PER_FRAME) + len(WHOLE) or (table < 0).any():
            raise ValueError("sizes")
        steps = table + -table % BLOCKSIZE + BLOCKSIZE
        return cls(frames, offset + np.cumsum(steps) - steps, table)

    def member(self, name: str) -> Member | None:
        """The member ``name`` (without the key and its dot), None when there is none."""
        frame, _, kind = name.partition(".")
        if name in WHOLE:
            place = self.frames * len(PER_FRAME) + WHOLE.index(name)
        elif kind in PER_FRAME and 0 <= int(frame) < self.frames:
            place = int(frame) * len(PER_FRAME) + PER_FRAME.index(kind)
        else:
            return None
        return Member(int(self.offsets[place]), int(self.sizes[place]))
