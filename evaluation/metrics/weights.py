"""Pre-trained weights of the standard metrics: the registry, where a file lies, whether it is the right one."""

import csv
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preprocessing.cli import InputError
from preprocessing.files import sha256

REGISTRY = Path(__file__).parents[2] / "workflow" / "config" / "weights.tsv"
COLUMNS = ("name", "url", "sha256", "bytes", "licence", "gated", "used_by")


@dataclass(frozen=True)
class Weights:
    """One row of the registry.

    ``sha256`` is a whole digest, or ``prefix:<digits>`` where only the digits in the publisher's file name are known.
    """

    name: str
    url: str
    sha256: str
    bytes: int | None
    licence: str
    gated: bool
    used_by: str

    @property
    def path(self) -> Path:
        """Where the file is expected; it may be absent."""
        return cache_root() / "weights" / self.name


def cache_root() -> Path:
    """``$PLANEDICT_CACHE``, else the user's cache directory for this project."""
    if given := os.environ.get("PLANEDICT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "planedict"


@functools.cache
def registry(path: Path = REGISTRY) -> dict[str, Weights]:
    """The registry by file name; a malformed table raises InputError."""
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{path} must have the columns {', '.join(COLUMNS)}.")
        rows = list(reader)
    return {
        row["name"]: Weights(
            row["name"],
            row["url"],
            row["sha256"],
            int(row["bytes"]) if row["bytes"] else None,
            row["licence"],
            row["gated"] == "yes",
            row["used_by"],
        )
        for row in rows
    }


@functools.cache
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256(path)


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once per process while size and time stay."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


def missing(name: str) -> str | None:
    """Why the weights ``name`` cannot be used: a sentence for the table's ``reason``, or None when they are whole."""
    entry = registry()[name]
    if not entry.path.is_file():
        return f"weights {name} are not in the cache"
    expected = entry.sha256.removeprefix("prefix:")
    if expected and not digest(entry.path).startswith(expected):
        return f"weights {name} in the cache do not have the registered sha256"
    return None


def load(path: Path) -> dict[str, Any]:
    """A foreign state dict, read without running pickled code; damaged files raise InputError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"Cannot read the weights {path}: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(state, dict):
        raise InputError(f"The weights {path} hold {type(state).__name__}, not a state dict.")
    return state
