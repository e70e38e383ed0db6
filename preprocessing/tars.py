"""Tar files with the same bytes for the same members, written whole or not at all, read by offset."""

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from preprocessing.cli import InputError
from preprocessing.files import atomic


class TarWriter:
    """Adds members in ascending order of name, which keeps a sample's members adjacent; metadata are constant."""

    def __init__(self, stream: Any) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._last = ""

    def add(self, name: str, data: bytes) -> None:
        """Append one member; a name that does not follow the last one raises ValueError."""
        if name <= self._last:
            raise ValueError(f"member {name!r} must come before {self._last!r}")
        self._last = name
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), 0, 0o644
        self._tar.addfile(info, io.BytesIO(data))

    def add_sample(self, members: dict[str, bytes]) -> None:
        """Append several members, sorted by name."""
        for name in sorted(members):
            self.add(name, members[name])

    def close(self) -> None:
        """Write the end of the archive."""
        self._tar.close()


@contextlib.contextmanager
def tar_writer(path: Path) -> Iterator[TarWriter]:
    """A :class:`TarWriter` to a temporary name that becomes ``path`` on success."""
    with atomic(path) as temporary:
        with open(temporary, "wb") as stream:
            writer = TarWriter(stream)
            yield writer
            writer.close()


class Member(NamedTuple):
    """Where a member's bytes lie in its tar file."""

    offset: int
    size: int


class TarFile:
    """Random access to the members of a tar file by name; a broken file raises :class:`InputError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stream = open(path, "rb")  # noqa: SIM115  (kept open for random access)
            with tarfile.open(fileobj=self._stream, mode="r:") as tar:
                self.members = {info.name: Member(info.offset_data, info.size) for info in tar if info.isfile()}
        except FileNotFoundError:
            raise InputError(f"{path} does not exist; run the stage that writes it first.") from None
        except (OSError, tarfile.TarError) as error:
            raise InputError(f"{path} is not a whole tar file: {error}.") from None

    def read(self, name: str) -> bytes:
        """Bytes of one member; a missing or cut one raises :class:`InputError`."""
        member = self.members.get(name)
        if member is None:
            raise InputError(f"{self.path} has no member {name}.")
        self._stream.seek(member.offset)
        data = self._stream.read(member.size)
        if len(data) != member.size:
            raise InputError(f"{self.path} ends within member {name}.")
        return data

    def array(self, name: str) -> np.ndarray:
        """A ``.npy`` member; pickled objects are refused."""
        return load_array(self.read(name), f"{self.path}: {name}")

    def mapping(self, name: str) -> dict[str, Any]:
        """A ``.json`` member."""
        value: dict[str, Any] = json.loads(self.read(name))
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
