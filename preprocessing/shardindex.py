"""The index of a shard: what its tar holds, sealed, so that an index edited by hand is noticed as an edited tar is."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preprocessing.files import write_json
from preprocessing.layout import layout
from preprocessing.tars import TarWriter

FORMAT = 3
"""Version of the index: it says where the members lie (sizes as a line of text), and carries a seal."""

SEAL = "index_sha256"
"""Key of the seal."""


def seal(index: dict[str, Any]) -> str:
    """SHA-256 of an index's values, in whatever order and layout they stand, without the seal itself."""
    values = {key: value for key, value in index.items() if key != SEAL}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def sealed(index: dict[str, Any]) -> dict[str, Any]:
    """``index`` with its format and its seal."""
    index = {"format": FORMAT, **index}
    return {**index, SEAL: seal(index)}


def write_index(tar: Path, writer: TarWriter, samples: Sequence[dict[str, Any]], **more: Any) -> None:
    """Write the index beside ``tar``, which ``writer`` wrote: its samples' facts and where their members lie.

    Its hash is of what this writer wrote: where another run put its own tar in place since, the index does not fit, and
    says so.
    """
    members = writer.members()
    listed = sorted(samples, key=lambda sample: str(sample["key"]))
    index = {
        "tar": tar.name,
        "sha256": writer.sha256,
        "bytes": writer.bytes,
        "count": len(listed),
        "samples": [sample | layout(sample["key"], sample["frames"], members) for sample in listed],
        **more,
    }
    write_json(tar.with_suffix(".json"), sealed(index))


def intact(index: dict[str, Any]) -> bool:
    """Whether the values are those that were sealed."""
    return index.get(SEAL) == seal(index)
