"""Whole files or no files: atomic writes, and the hashes downloads and shards are checked by."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def cache_root() -> Path:
    """Where the project keeps what it fetched: $PLANEDICT_CACHE, else ``planedict`` in the user's cache directory."""
    if given := os.environ.get("PLANEDICT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "planedict"


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a used-up quota, a limit on the size of files."""

ROOM = 1 << 20
"""Bytes that must fit onto the disk after a library failed to write there, or the disk is why it failed."""


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success flush it to disk and rename it into place.

    A killed or failing writer leaves ``path`` as it was. The temporary name keeps the suffix, since many
    writers choose their format by it. Where there is no room, the error is an OSError that names ``path``,
    whatever the writer raised.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    handle, temporary = _claim(target)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        if code := _no_room(error, handle):
            raise OSError(code, os.strerror(code), str(target)) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # on a disk that has become read-only it stays, and is not what went wrong
            temporary.unlink(missing_ok=True)
        os.close(handle)


def _claim(target: Path) -> tuple[int, Path]:
    """A new temporary file for ``target``, locked: its descriptor and its name."""
    while True:
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from None
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another writer took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove what killed writers of ``target`` left. A writer that lives holds a lock on its own."""
    for left in target.parent.glob(f".{glob.escape(target.stem)}.????????{glob.escape(target.suffix)}"):
        with contextlib.suppress(OSError), open(left, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _no_room(error: Exception, handle: int) -> int | None:
    """The code out of :data:`NO_ROOM` behind an error of whoever wrote to ``handle``'s disk; None: another trouble.

    NumPy, PyTorch and FFmpeg say it in words of their own, if at all: then the disk itself is asked.
    """
    code = getattr(error, "errno", None)
    if code is None:
        try:
            os.posix_fallocate(handle, os.fstat(handle).st_size, ROOM)
        except OSError as asked:
            code = asked.errno
    return code if code in NO_ROOM else None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON, atomically; NaN and infinity raise ValueError."""
    with atomic(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
