"""Atomic writes: whole files or none, and nothing left behind by a killed writer."""

import subprocess
import sys

import pytest

from preprocessing.files import atomic, sha256, write_json

HANGING = """
import sys, time
from preprocessing.files import atomic
with atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    before = sha256(path)
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert sha256(path) == before and list(tmp_path.iterdir()) == [path]


def test_values_json_cannot_hold_are_refused(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_killed_writers_leftover_goes_with_the_next_and_a_living_ones_stays(tmp_path):
    path = tmp_path / "a.json"
    writer = subprocess.Popen([sys.executable, "-c", HANGING, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    write_json(path, {})
    assert len(list(tmp_path.iterdir())) == 2
    writer.kill()
    writer.wait()
    write_json(path, {})
    assert list(tmp_path.iterdir()) == [path]
