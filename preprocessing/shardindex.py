"""The index of a shard: what its tar holds, sealed, so that an index edited by hand is noticed as an edited tar is."""

import hashlib
from typing import Any

from preprocessing.tars import dump_json

FORMAT = 2
"""Version of the index; from 2 on it carries a seal."""

SEAL = "index_sha256"
"""Key of the seal."""


def seal(index: dict[str, Any]) -> str:
    """SHA-256 of an index's values, in whatever order and layout they stand, without the seal itself."""
    return hashlib.sha256(dump_json({key: value for key, value in index.items() if key != SEAL})).hexdigest()


def sealed(index: dict[str, Any]) -> dict[str, Any]:
    """``index`` with its format and its seal."""
    index = {"format": FORMAT, **index}
    return {**index, SEAL: seal(index)}


def intact(index: dict[str, Any]) -> bool:
    """Whether the values are those that were sealed; indices of format 1 (or of none) have no seal."""
    return index.get("format", 1) == 1 or index.get(SEAL) == seal(index)
