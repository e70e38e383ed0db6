"""Pre-trained weights of the standard metrics: the registry, where a file lies, whether it is the right one.

``python -m evaluation.metrics.weights`` lists them; with ``--fetch`` it downloads what is missing and not gated.
"""

import argparse
import csv
import functools
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import atomic, cache_root, sha256

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

    def fits(self, found: str) -> bool:
        """Whether a file's sha256 is the registered one, as far as that is known."""
        return found.startswith(self.sha256.removeprefix("prefix:"))


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
    if not entry.fits(digest(entry.path)):
        return f"weights {name} in the cache do not have the registered sha256"
    return None


def load(path: Path) -> dict[str, Any]:
    """A foreign state dict, read without running pickled code; damaged files raise InputError."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"Cannot read the weights {path}: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(state, dict):
        raise InputError(f"The weights {path} hold {type(state).__name__}, not a state dict.")
    return state


def fetch(entry: Weights) -> Path:
    """Download one registered file into the cache, checked before it gets its name.

    Raises InputError for gated weights, a failed download, or a file that is not the registered one.
    """
    if entry.gated:
        raise InputError(
            f"{entry.name} is gated ({entry.licence}): get it from {entry.url} and put it at {entry.path}."
        )
    try:
        with urllib.request.urlopen(entry.url, timeout=60) as answer, atomic(entry.path) as temporary:
            total = int(answer.headers.get("Content-Length") or 0)
            with open(temporary, "wb") as stream:
                blocks = iter(lambda: answer.read(1 << 20), b"")
                for block in progress(blocks, entry.name, -(-total // (1 << 20)) or None):
                    stream.write(block)
            if total and temporary.stat().st_size != total:
                raise InputError(f"{entry.url} ended after {temporary.stat().st_size} of {total} bytes.")
            if not entry.fits(found := sha256(temporary)):
                raise InputError(f"{entry.url} gave a file with sha256 {found}, not the registered {entry.sha256}.")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise InputError(f"Cannot download {entry.url}: {error}.") from None
    return entry.path


def main(argv: list[str] | None = None) -> None:
    """Command line: list the registered weights, or fetch what is missing."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.metrics.weights", description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="download missing weights that are not gated")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    for entry in registry().values():
        reason = missing(entry.name)
        if reason and arguments.fetch and not entry.gated:
            fetch(entry)
            reason = None
        print(f"{entry.name}  ({entry.used_by}, {entry.licence}): {reason or 'here'}")


if __name__ == "__main__":
    main()
