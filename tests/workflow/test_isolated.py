"""Environments of their own: built once, whole or not at all, under the hash of their lock."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from preprocessing.cli import InputError
from workflow import isolated


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock of no packages, and an empty cache."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tool.lock"
    path.write_text("# nothing\n")
    return path


def test_two_builders_build_once_an_interpreter_without_the_project(lock, monkeypatch):
    started = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda call, **how: started.append(call) or run(call, **how))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(isolated.build, [lock, lock])
    assert first == second and len(started) == 2  # the interpreter, its packages
    prefix = run([first, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True).stdout.strip()
    assert prefix == str(isolated.ready(lock).parent) != sys.prefix
    assert run([first, "-c", "import numpy"], capture_output=True).returncode == 1


def test_another_lock_is_another_folder(lock):
    before = isolated.ready(lock)
    lock.write_text("# nothing else\n")
    assert isolated.ready(lock) != before and before.parent.name.startswith("env-tool-")


def test_packages_without_hashes_are_refused_and_nothing_is_ready(lock):
    lock.write_text("numpy==1.26.4\n")
    with pytest.raises(InputError, match=r"tool\.lock cannot be installed"):
        isolated.build(lock)
    assert not isolated.ready(lock).exists()
