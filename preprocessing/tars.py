"""Tar files with the same bytes for the same members, written whole or not at all, read by offset."""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from preprocessing.cli import InputError
from preprocessing.files import atomic


class Member(NamedTuple):
    """Where a member's bytes lie in its tar file."""

    offset: int
    size: int


class TarWriter:
    """Collects members in any order and writes them sorted by name, with constant metadata.

    Sorting keeps a sample's members adjacent, since all begin with its key and a dot. Bytes wait in a spool file
    beside the tar, not in memory.
    """

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._members: dict[str, Member] = {}
        self.sha256, self.bytes = "", 0
        """Of the archive, once it is written."""

    def add(self, name: str, data: bytes) -> None:
        """Add one member; a name that is there already raises ValueError."""
        if name in self._members:
            raise ValueError(f"member {name!r} is there already")
        self._members[name] = Member(self._spool.seek(0, os.SEEK_END), len(data))
        self._spool.write(data)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Members added inside are forgotten when an exception leaves the block."""
        before = dict(self._members)
        try:
            yield
        except BaseException:
            self._members = before
            raise

    def write(self, stream: BinaryIO) -> None:
        """Write the archive."""
        hashed = _Hashed(stream)
        with tarfile.open(fileobj=hashed, mode="w", format=tarfile.USTAR_FORMAT) as tar:  # type: ignore[call-overload]
            for name, (offset, size) in sorted(self._members.items()):
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = size, 0, 0o644
                self._spool.seek(offset)
                tar.addfile(info, self._spool)
        self.sha256, self.bytes = hashed.digest.hexdigest(), hashed.tell()


class _Hashed:
    """A stream that hashes what is written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell = stream.tell
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._stream.write(data)


@contextlib.contextmanager
def tar_writer(path: Path) -> Iterator[TarWriter]:
    """A :class:`TarWriter` whose archive becomes ``path`` on success, whole or not at all."""
    # The spool within: where it finds no room when it is closed, the error is still told as the archive's.
    with atomic(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as spool:
        writer = TarWriter(spool)
        yield writer
        with open(temporary, "wb") as stream:
            writer.write(stream)


class TarFile:
    """Random access to the members of a tar file by name; a broken file raises :class:`InputError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stream = open(path, "rb")  # noqa: SIM115  (kept open for random access)
            with tarfile.open(fileobj=self._stream, mode="r:") as tar:
                self.members = {info.name: Member(info.offset_data, info.size) for info in tar if info.isfile()}
            self._check_end()
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; run the stage that writes it first.") from None
        except (OSError, ValueError, tarfile.TarError) as error:
            raise InputError(f"{path} is not a whole tar file: {error}.") from None

    def _check_end(self) -> None:
        """Only the end mark may follow the last member: tarfile stops without a word at a cut or a broken header."""
        end = max(
            (
                member.offset + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                for member in self.members.values()
            ),
            default=0,
        )
        self._stream.seek(end)
        rest = self._stream.read(2 * tarfile.RECORDSIZE)
        if len(rest) < 2 * tarfile.BLOCKSIZE or any(rest):
            raise tarfile.ReadError(f"it has no end mark after {len(self.members)} members")

    def read(self, name: str) -> bytes:
        """Bytes of one member; a missing or cut one raises :class:`InputError`."""
        member = self.members.get(name)
        if member is None:
            raise InputError(f"{self.path} has no member {name}.")
        # A positional read: processes that share the open file (loader workers) do not move each other's position.
        data = os.pread(self._stream.fileno(), member.size, member.offset)
        if len(data) != member.size:
            raise InputError(f"{self.path} ends within member {name}.")
        return data

    def array(self, name: str) -> np.ndarray:
        """A ``.npy`` member; pickled objects are refused."""
        return load_array(self.read(name), f"{self.path}: {name}")

    def mapping(self, name: str) -> dict[str, Any]:
        """A ``.json`` member; anything but a mapping raises :class:`InputError`."""
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise InputError(f"{self.path}: {name} is not JSON: {error}.") from None
        if not isinstance(value, dict):
            raise InputError(f"{self.path}: {name} is no mapping.")
        return value

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> "TarFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def dump_array(array: np.ndarray) -> bytes:
    """An array as the bytes of a ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def load_array(data: bytes, name: str) -> np.ndarray:
    """An array out of the bytes of a ``.npy`` file; anything else raises :class:`InputError`."""
    try:
        array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{name} is not an array: {error}.") from None
    return array


def dump_json(value: Any) -> bytes:
    """A value as UTF-8 JSON with sorted keys; NaN raises ValueError."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode()
