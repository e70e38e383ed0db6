"""Hypothesis as every run of the tests wants it, small disks, and the videos of the preprocessing tests."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.named import clips, named
from tests.preprocessing.conftest import carphone, embedded, make_video
from tests.preprocessing.test_stages import data, folder

__all__ = ["carphone", "clips", "data", "embedded", "folder", "make_video", "named"]

# The same examples in every run, none kept in the checkout, and no limit on an example's time.
settings.register_profile("faults", derandomize=True, database=None, deadline=None)
settings.load_profile("faults")


class Disk:
    """A file system in memory of its own size."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        """Change it while it is there: ``ro``, ``rw``, ``size=4m``."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)


@pytest.fixture
def new_disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Size (256k, 4m) → an empty :class:`Disk`; skips where file systems may not be mounted."""
    mounted: list[Path] = []

    def mount(size: str) -> Disk:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
        mounted.append(path)
        return Disk(path)

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
