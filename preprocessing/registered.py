"""Foreign files that a registry pins: where one lies in the cache, whether it is the right one, how it gets there.

Weights (``workflow/config/weights.tsv``) and the datasets' lists (``workflow/config/datasets.yaml``) are such files.
"""

import argparse
import functools
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from preprocessing.cli import InputError, add_common, run_command
from preprocessing.download import DownloadError, alone, download
from preprocessing.files import atomic, cache_root, sha256, write_json

log = logging.getLogger(__name__)

UNVERIFIED = "unverified"
BLOB = "git:"


@dataclass(frozen=True)
class RegisteredFile:
    """One row of a registry.

    ``sha256`` is a whole digest, ``prefix:<digits>`` where only the digits in the publisher's file name are known,
    ``git:<digits>`` where the publisher's repository names the file by git's digest of it, or ``unverified`` where the
    publisher states nothing: then the digest of the first file seen is recorded and holds.
    An archive is kept as it is published; its reader opens the member it needs.
    """

    name: str
    url: str
    sha256: str
    bytes: int | None
    licence: str
    gated: bool

    FOLDER: ClassVar[str]
    """The cache's folder of these files."""
    COMMAND: ClassVar[str]
    """The module whose ``--fetch`` downloads them."""
    ELSEWHERE: ClassVar[str] = ""
    """What else a user can do who cannot download one, as the rest of a sentence."""

    @property
    def title(self) -> str:
        """What a list of such files calls it."""
        return self.name

    @property
    def path(self) -> Path:
        """Where the file is expected; it may be absent."""
        return cache_root() / self.FOLDER / self.name

    @property
    def record(self) -> Path:
        """The recorded digest of an unverified file, as ``sha256sum --check`` reads it."""
        return self.path.with_name(f"{self.name}.sha256")

    @property
    def expected(self) -> str:
        """The digest's known digits: registered, or recorded when the file was first seen, or none."""
        if self.sha256 != UNVERIFIED:
            return self.sha256.removeprefix("prefix:").removeprefix(BLOB)
        return self.record.read_text(encoding="utf-8").split()[0] if self.record.is_file() else ""

    def fits(self, path: Path) -> bool:
        """Whether ``path`` is the registered file, as far as that is known."""
        size_fits = self.bytes is None or path.stat().st_size == self.bytes
        return size_fits and self._found(path).startswith(self.expected)

    def missing(self) -> str | None:
        """Why the file cannot be used: a clause for the tables' ``reason``, or None when it is whole.

        It names no path, so that tables of two machines agree. See :meth:`require` for what a user can do.
        """
        if not self.path.is_file():
            return f"{self.FOLDER} {self.name} are not in the cache"
        if not self.fits(self.path):
            other = "than when first seen" if self.sha256 == UNVERIFIED else "or size than registered"
            return f"{self.FOLDER} {self.name} in the cache have another sha256 {other}"
        self._record()
        return None

    def require(self) -> Path:
        """The path of a file that is there and right; InputError says where to get it and where to put it."""
        if not self.path.is_file():
            raise InputError(f"{self.name} is {self._how_to_get()}.")
        self._check(self.path, f"{self.path} is")
        self._record()
        return self.path

    def fetch(self) -> Path:
        """The file in the cache, downloaded where it is not there, or is not the registered one.

        Raises InputError for a gated file that is missing, for a failed download, and for a file that is not the
        registered one, or not the one that was there before where only that is known.
        """
        with alone(self.path):
            there = self.path.is_file()
            if self.gated or (there and (self.sha256 == UNVERIFIED or self.fits(self.path))):
                return self.require()
            try:
                download(self.url, self.path, lambda part: self._check(part, f"{self.url} gave"))
            except DownloadError as error:
                raise InputError(f"{str(error).rstrip('.')}{self.ELSEWHERE}.") from None
            self._record()
        return self.path

    def state(self) -> str:
        """The file's state, for people: here, wrong hash, missing or gated, and what to do."""
        if not self.path.is_file():
            return self._how_to_get()
        try:
            self.require()
        except InputError as error:
            return f"wrong hash: {error}"
        return "here, unverified" if self.sha256 == UNVERIFIED else "here"

    def facts(self) -> dict[str, str | int | bool]:
        """What stands for the file once it is there and right: its digest and size, and whether they are checked."""
        path = self.require()
        facts: dict[str, str | int | bool] = {"name": self.name, "sha256": digest(path)}
        return facts | {"bytes": path.stat().st_size, "verified": self.sha256 != UNVERIFIED}

    def _how_to_get(self) -> str:
        """What is with a file that is not there, and what to do, as the rest of a sentence."""
        if self.gated:
            return f"gated: get it from {self.url} ({self.licence}) and put it at {self.path}{self.ELSEWHERE}"
        command = f"python -m {self.COMMAND} {self.name} --fetch"
        return f"missing: `{command}` downloads it from {self.url} ({self.licence}) to {self.path}{self.ELSEWHERE}"

    def _found(self, path: Path) -> str:
        """The digest of ``path`` of the kind that is registered."""
        return blob(path) if self.sha256.startswith(BLOB) else digest(path)

    def _check(self, path: Path, where: str) -> None:
        """Raise InputError naming both digests (or sizes) where ``path`` is not the registered file."""
        if self.bytes is not None and (size := path.stat().st_size) != self.bytes:
            raise InputError(f"{where} a file of {size} bytes, not of the {self.bytes} registered for {self.name}.")
        if not self.fits(path):
            kind = "git's digest" if self.sha256.startswith(BLOB) else "sha256"
            wanted = f"{self.sha256.removeprefix(BLOB)} as registered for {self.name}"
            if self.sha256 == UNVERIFIED:
                wanted = f"{self.expected} as recorded when {self.name} was first seen ({self.record})"
            raise InputError(f"{where} a file with {kind} {self._found(path)}, not {wanted}.")

    def _record(self) -> None:
        """Record the digest of an unverified file that is seen for the first time, with a warning."""
        if self.sha256 != UNVERIFIED or self.record.is_file():
            return
        found = digest(self.path)
        with atomic(self.record) as temporary:
            temporary.write_text(f"{found}  {self.name}\n", encoding="utf-8")
        log.warning(
            "Unverified: nobody states the sha256 of %s; %s is recorded in %s and holds from now on",
            self.name,
            found,
            self.record,
        )


@functools.cache
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256(path)


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once per process while size and time stay."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


def blob(path: Path) -> str:
    """The name git gives to a file's content: SHA-1 of its size and its bytes."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def command_line(
    argv: list[str] | None,
    description: str | None,
    everything: Callable[[], Iterable[RegisteredFile]],
    registered: Callable[[str], RegisteredFile],
) -> None:
    """A registry's command line: say which of ``everything``, or of the files that are named, are here, or fetch them.

    ``registered`` gives the file of a name, or raises InputError.
    """
    first, *_ = files = list(everything())
    parser = argparse.ArgumentParser(prog=f"python -m {first.COMMAND}", description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help="files of the registry; none: all of them")
    parser.add_argument("--fetch", action="store_true", help="download what is missing; a gated file that is named and "
                        "missing is an error")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="JSON", help="write what the one file named is, once it is here")
    add_common(parser, settings=False)
    run_command(functools.partial(_run, files, registered), parser, argv)


def _run(
    files: list[RegisteredFile], registered: Callable[[str], RegisteredFile], arguments: argparse.Namespace
) -> None:
    if arguments.output and len(arguments.names) != 1:
        raise InputError("--output is of one file: name it.")
    failed: list[RegisteredFile] = []
    for entry in [registered(name) for name in arguments.names] or files:
        if arguments.fetch and (arguments.names or not entry.gated):
            try:
                entry.fetch()
            except InputError as error:
                if len(arguments.names) == 1:
                    raise
                failed.append(entry)
                print(f"{entry.title}: {error}")
                continue
        print(f"{entry.title}: {entry.state()}")
        if arguments.output:
            write_json(arguments.output, entry.facts())
    if failed:
        names, place = ", ".join(entry.name for entry in failed), failed[0].path.parent
        raise InputError(f"Not fetched: {names}; what was fetched elsewhere belongs into {place}.")
