"""Checking a file against its sha256, and remembering that it was checked, so that the next start need not."""

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from preprocessing.files import cache_root, sha256

YOUNG = 10.0
"""Seconds for which a change may have left no trace in a file's times; such a file is checked, and not remembered."""


def differing(files: Iterable[tuple[Path, str]]) -> Path | None:
    """The first of (file, sha256) whose bytes have another hash, None when all are as they should be.

    What was found right is remembered in the user's cache by the file's device, number, size and times of change: an
    edit changes them. Damage without a write (a failing disk) is not seen before the memory is deleted. Files are read
    side by side.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        files = list(files)
        for (path, _), right in zip(files, pool.map(lambda file: _is(*file), files), strict=True):
            if not right:
                return path
    return None


def _is(path: Path, digest: str) -> bool:
    """Whether ``path`` has this hash, by memory or by reading it."""
    before = path.stat()
    facts = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns, digest)
    note = cache_root() / "verified" / hashlib.sha256(repr(facts).encode()).hexdigest()
    if note.exists():
        return True
    if sha256(path) != digest:
        return False
    if abs(time.time() - before.st_ctime) > YOUNG:
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        except OSError:  # no cache to write to: checked again next time
            pass
    return True
