"""Pre-trained weights: the registry, where a file lies, whether it is the right one, and how it gets there.

``python -m preprocessing.weights`` lists them; with ``--fetch`` it downloads what is missing. Gated files a user puts
there by hand.
"""

import argparse
import csv
import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocessing.cli import InputError, add_common, run_command
from preprocessing.download import alone, download
from preprocessing.files import atomic, cache_root, sha256, write_json

log = logging.getLogger(__name__)

REGISTRY = Path(__file__).parents[1] / "workflow" / "config" / "weights.tsv"
COLUMNS = ("name", "url", "sha256", "bytes", "licence", "gated", "used_by")
# Files of Deep3DFaceRecon, named here so that planning a run need not load its network.
DEEP3D_NETWORK = "epoch_20.pth"
DEEP3D_LANDMARKS = "similarity_Lm3D_all.mat"
# Those of the other detectors of the paper.
S3FD = "s3fd-619a316812.pth"
FAN = "2DFAN4-11f355bf06.pth.tar"
BISENET = "79999_iter.pth"
UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Weights:
    """One row of the registry.

    ``sha256`` is a whole digest, ``prefix:<digits>`` where only the digits in the publisher's file name are known, or
    ``unverified`` where the publisher states nothing: then the digest of the first file seen is recorded and holds.
    An archive is kept as it is published; its reader opens the member it needs.
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

    @property
    def record(self) -> Path:
        """The recorded digest of an unverified file, as ``sha256sum --check`` reads it."""
        return self.path.with_name(f"{self.name}.sha256")

    @property
    def expected(self) -> str:
        """The digest's known digits: registered, or recorded when the file was first seen, or none."""
        if self.sha256 != UNVERIFIED:
            return self.sha256.removeprefix("prefix:")
        return self.record.read_text(encoding="utf-8").split()[0] if self.record.is_file() else ""

    def fits(self, path: Path) -> bool:
        """Whether ``path`` is the registered file, as far as that is known."""
        size_fits = self.bytes is None or path.stat().st_size == self.bytes
        return size_fits and digest(path).startswith(self.expected)


@functools.cache
def _registry(path: Path) -> dict[str, Weights]:
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


def registry() -> dict[str, Weights]:
    """The registry by file name; a malformed table raises InputError."""
    return _registry(REGISTRY)


def registered(name: str) -> Weights:
    """The entry of ``name``; InputError names those there are."""
    try:
        return registry()[name]
    except KeyError:
        raise InputError(f"No weights '{name}' are registered: there are {', '.join(registry())}.") from None


@functools.cache
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256(path)


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once per process while size and time stay."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


def named(path: Path) -> str:
    """What a sample's meta says of a file of weights: its name and the first digits of its sha256."""
    return f"{path.name}:{digest(path)[:12]}"


def missing(name: str) -> str | None:
    """Why the weights ``name`` cannot be used: a clause for the tables' ``reason``, or None when they are whole.

    It names no path, so that tables of two machines agree. See :func:`require` for what a user can do.
    """
    entry = registry()[name]
    if not entry.path.is_file():
        return f"weights {name} are not in the cache"
    if not entry.fits(entry.path):
        other = "than when first seen" if entry.sha256 == UNVERIFIED else "or size than registered"
        return f"weights {name} in the cache have another sha256 {other}"
    _record(entry)
    return None


def require(name: str) -> Path:
    """The path of weights that are there and right; InputError says where to get them and where to put them."""
    return _require(registered(name))


def _require(entry: Weights) -> Path:
    if not entry.path.is_file():
        raise InputError(f"{entry.name} is {_how_to_get(entry)}.")
    _check(entry, entry.path, f"{entry.path} is")
    _record(entry)
    return entry.path


def _how_to_get(entry: Weights) -> str:
    """What is with weights that are not there, and what to do, as the rest of a sentence."""
    if entry.gated:
        return f"gated: get it from {entry.url} ({entry.licence}) and put it at {entry.path}"
    command = f"python -m preprocessing.weights {entry.name} --fetch"
    return f"missing: `{command}` downloads it from {entry.url} ({entry.licence}) to {entry.path}"


def _check(entry: Weights, path: Path, where: str) -> None:
    """Raise InputError naming both digests (or sizes) where ``path`` is not the registered file."""
    if entry.bytes is not None and (size := path.stat().st_size) != entry.bytes:
        raise InputError(f"{where} a file of {size} bytes, not of the {entry.bytes} registered for {entry.name}.")
    if not entry.fits(path):
        wanted = f"{entry.sha256} as registered for {entry.name}"
        if entry.sha256 == UNVERIFIED:
            wanted = f"{entry.expected} as recorded when {entry.name} was first seen ({entry.record})"
        raise InputError(f"{where} a file with sha256 {digest(path)}, not {wanted}.")


def _record(entry: Weights) -> None:
    """Record the digest of an unverified file that is seen for the first time, with a warning."""
    if entry.sha256 != UNVERIFIED or entry.record.is_file():
        return
    found = digest(entry.path)
    with atomic(entry.record) as temporary:
        temporary.write_text(f"{found}  {entry.name}\n", encoding="utf-8")
    log.warning(
        "Unverified: nobody states the sha256 of %s; %s is recorded in %s and holds from now on",
        entry.name,
        found,
        entry.record,
    )


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
    """The file in the cache, downloaded where it is not there, or is not the registered one.

    Raises InputError for gated weights that are missing, for a failed download, and for a file that is not the
    registered one, or not the one that was there before where only that is known.
    """
    with alone(entry.path):
        there = entry.path.is_file()
        if entry.gated or (there and (entry.sha256 == UNVERIFIED or entry.fits(entry.path))):
            return _require(entry)
        download(entry.url, entry.path, lambda part: _check(entry, part, f"{entry.url} gave"))
        _record(entry)
    return entry.path


def state(entry: Weights) -> str:
    """An entry's state, for people: here, wrong hash, missing or gated, and what to do."""
    if not entry.path.is_file():
        return _how_to_get(entry)
    try:
        _require(entry)
    except InputError as error:
        return f"wrong hash: {error}"
    return "here, unverified" if entry.sha256 == UNVERIFIED else "here"


def main(argv: list[str] | None = None) -> None:
    """Command line: list registered weights, or fetch what is missing."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.weights", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="files of the registry; none: all of them")
    parser.add_argument("--fetch", action="store_true", help="download what is missing; a gated file that is named and "
                        "missing is an error")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="JSON", help="write what the one file named is, once it is here")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.output and len(arguments.names) != 1:
        raise InputError("--output is of one file: name it.")
    failed: list[str] = []
    for entry in [registered(name) for name in arguments.names] or registry().values():
        if arguments.fetch and (arguments.names or not entry.gated):
            try:
                fetch(entry)
            except InputError as error:
                if len(arguments.names) == 1:
                    raise
                failed.append(entry.name)
                print(f"{entry.name} ({entry.used_by}): {error}")
                continue
        print(f"{entry.name} ({entry.used_by}): {state(entry)}")
        if arguments.output:
            path = _require(entry)
            facts = {"sha256": digest(path), "bytes": path.stat().st_size, "verified": entry.sha256 != UNVERIFIED}
            write_json(arguments.output, {"name": entry.name} | facts)
    if failed:
        place = cache_root() / "weights"
        raise InputError(f"Not fetched: {', '.join(failed)}; what was fetched elsewhere belongs into {place}.")


if __name__ == "__main__":
    main()
