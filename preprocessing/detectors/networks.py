"""Where the detectors' networks run, and how many pictures they take at once."""

import itertools
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch

AT_ONCE = 32
"""Pictures that a network takes at once on a GPU; a CPU gains nothing from more than one, and pays in memory."""


@cache
def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stacks(pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """``pictures`` [H, W, 3] in their order as arrays [n, H, W, 3] of one size, n what :func:`device` takes at once."""
    most = AT_ONCE if device().type == "cuda" else 1
    for _, alike in itertools.groupby(pictures, key=lambda picture: picture.shape):
        while part := list(itertools.islice(alike, most)):
            yield np.stack(part)


def to_channels_first(stack: np.ndarray) -> torch.Tensor:
    """A stack [n, H, W, 3] as a tensor [n, 3, H, W] of the same numbers on :func:`device`."""
    return torch.from_numpy(np.ascontiguousarray(stack)).to(device()).permute(0, 3, 1, 2)
