"""Tar files with the same bytes for the same members, written whole or not at all, read by offset."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from preprocessing.cli import InputError
from preprocessing.files import atomic

_LONGEST = 100
"""Bytes of a name in a header."""


class Member(NamedTuple):
    """Where a member's bytes lie in its tar file."""

    offset: int
    size: int


class TarWriter:
    """Writes members to an archive as they come, with constant metadata; at the end they stand sorted by name.

    Sorting keeps a sample's members adjacent, since all begin with its key and a dot. Who adds members in the order
    of their names, as the stages do but for odd keys, has them written once; otherwise the archive is copied.
    """

    def __init__(self, stream: io.BufferedRandom) -> None:
        self._stream = stream
        self._members: dict[str, Member] = {}
        self.sha256, self.bytes = "", 0
        """Of the archive, once it is finished."""

    def add(self, name: str, data: bytes) -> None:
        """Add one member; a name that is there already raises ValueError."""
        if name in self._members:
            raise ValueError(f"member {name!r} is there already")
        self._members[name] = Member(self._stream.tell() + tarfile.BLOCKSIZE, len(data))
        self._stream.write(_head(name, len(data)))
        self._stream.write(data)
        self._stream.write(bytes(-len(data) % tarfile.BLOCKSIZE))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Members added inside are forgotten when an exception leaves the block."""
        before, end = len(self._members), self._stream.tell()
        try:
            yield
        except BaseException:
            while len(self._members) > before:
                self._members.popitem()
            self._stream.seek(end)
            self._stream.truncate()
            raise

    def members(self) -> dict[str, Member]:
        """Where every member lies, in the order of names, once the archive is finished."""
        return dict(self._members)

    def finish(self) -> None:
        """End the archive; nothing can be added then."""
        if list(self._members) != sorted(self._members):
            self._sort()
        end = self._stream.tell() + 2 * tarfile.BLOCKSIZE
        self._stream.write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))
        self.bytes = self._stream.tell()
        self._stream.seek(0)
        self.sha256 = hashlib.file_digest(self._stream, "sha256").hexdigest()

    def _sort(self) -> None:
        """Write the members anew in the order of their names."""
        with tempfile.TemporaryFile(dir=Path(self._stream.name).parent) as spool:
            self._stream.seek(0)
            shutil.copyfileobj(self._stream, spool)
            self._stream.seek(0)
            before, self._members = self._members, {}
            for name, (offset, size) in sorted(before.items()):
                spool.seek(offset)
                self.add(name, spool.read(size))


def _head(name: str, size: int) -> bytes:
    """The block before a member's bytes; a name that does not fit raises ValueError."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, 0, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


@contextlib.contextmanager
def tar_writer(path: Path) -> Iterator[TarWriter]:
    """A :class:`TarWriter` whose archive becomes ``path`` on success, whole or not at all."""
    with atomic(path) as temporary, open(temporary, "w+b") as stream:
        writer = TarWriter(stream)
        yield writer
        writer.finish()


class Archive:
    """A tar file whose members are read where somebody else knows them to lie."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.stream = open(path, "rb")  # noqa: SIM115  (kept open for random access)
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; run the stage that writes it first.") from None
        except OSError as error:
            raise InputError(f"{path} is not a whole tar file: {error}.") from None

    def read(self, name: str, member: Member) -> bytes:
        """Bytes of one member; raises :class:`InputError` when it does not lie there whole."""
        # A positional read: processes that share the open file (loader workers) do not move each other's position.
        data = os.pread(self.stream.fileno(), tarfile.BLOCKSIZE + member.size, member.offset - tarfile.BLOCKSIZE)
        if len(data) != tarfile.BLOCKSIZE + member.size:
            raise InputError(f"{self.path} ends within member {name}.")
        if data[:_LONGEST].rstrip(b"\0") != name.encode():
            raise InputError(f"{self.path} has no member {name} where it should be.")
        return data[tarfile.BLOCKSIZE :]

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


class TarFile:
    """Random access to the members of a tar file by name; a broken file raises :class:`InputError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = Archive(path)
        try:
            with tarfile.open(fileobj=self._archive.stream, mode="r:") as tar:
                self.members = {info.name: Member(info.offset_data, info.size) for info in tar if info.isfile()}
            self._check_end()
        except (OSError, ValueError, tarfile.TarError) as error:
            raise InputError(f"{path} is not a whole tar file: {error}.") from None

    def _check_end(self) -> None:
        """Only the end mark may follow the last member: tarfile stops without a word at a cut or a broken header."""
        ends = (offset + size + -size % tarfile.BLOCKSIZE for offset, size in self.members.values())
        self._archive.stream.seek(max(ends, default=0))
        rest = self._archive.stream.read(2 * tarfile.RECORDSIZE)
        if len(rest) < 2 * tarfile.BLOCKSIZE or any(rest):
            raise tarfile.ReadError(f"it has no end mark after {len(self.members)} members")

    def read(self, name: str) -> bytes:
        """Bytes of one member; a missing or cut one raises :class:`InputError`."""
        member = self.members.get(name)
        if member is None:
            raise InputError(f"{self.path} has no member {name}.")
        return self._archive.read(name, member)

    def array(self, name: str) -> np.ndarray:
        """A ``.npy`` member; pickled objects are refused."""
        return load_array(self.read(name), f"{self.path}: {name}")

    def mapping(self, name: str) -> dict[str, Any]:
        """A ``.json`` member; anything but a mapping raises :class:`InputError`."""
        return load_mapping(self.read(name), f"{self.path}: {name}")

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

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


def load_mapping(data: bytes, name: str) -> dict[str, Any]:
    """A mapping out of UTF-8 JSON; anything else raises :class:`InputError`."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise InputError(f"{name} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InputError(f"{name} is no mapping.")
    return value


def dump_json(value: Any) -> bytes:
    """A value as UTF-8 JSON with sorted keys; NaN raises ValueError."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1).encode()
