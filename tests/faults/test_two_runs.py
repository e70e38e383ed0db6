"""Two runs at once: of Snakemake in one folder, and of one stage's command on one output."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from preprocessing.cli import InputError
from preprocessing.files import atomic
from preprocessing.reader import ShardReader
from preprocessing.tars import tar_writer

ROOT = Path(__file__).resolve().parents[2]


def commands(data, output: Path, quality: int) -> list[str]:
    """The command of the shards stage."""
    at = {stage: str(data.rows(stage)) for stage in ("crop", "faces", "masks")}
    inputs = [part for stage, path in at.items() for part in (f"--{stage}", path)]
    settings = ["--settings", json.dumps({"quality": quality})]
    return [sys.executable, "-m", "preprocessing.shards", *inputs, "--output", str(output), *settings]


def at_once(*runs: list[str]) -> list[int]:
    """Exit codes of commands that run side by side."""
    started = [subprocess.Popen(run, cwd=ROOT, stderr=subprocess.DEVNULL) for run in runs]
    return [process.wait(timeout=300) for process in started]


def test_the_same_stage_twice_gives_one_whole_result(data, tmp_path: Path):
    output = tmp_path / "tiny/shards/00000.parquet"
    assert at_once(*[commands(data, output, 95)] * 3) == [0, 0, 0]
    assert [path.name for path in sorted(output.parent.iterdir())] == ["00000.json", "00000.parquet", "00000.tar"]
    for path in output.parent.iterdir():
        assert path.read_bytes() == data.rows("shards").with_name(path.name).read_bytes()


def test_two_settings_at_once_give_one_of_both_or_say_so(data, tmp_path: Path):
    output = tmp_path / "tiny/shards/00000.parquet"
    assert at_once(commands(data, output, 95), commands(data, output, 20)) == [0, 0]
    try:
        (shown,) = {sample.clip for sample in ShardReader(output.parent).samples}
        assert shown == "man in car"
    except InputError as error:
        assert "is not the file that 00000.json describes" in str(error)


def test_an_index_never_fits_another_runs_tar(tmp_path: Path):
    """Of two writers the slower one's archive stays; the hash the faster one kept is of its own."""
    with tar_writer(tmp_path / "a.tar") as slow:
        slow.add("a", b"slow")
        with tar_writer(tmp_path / "a.tar") as fast:
            fast.add("a", b"fast")
        assert b"fast" in (tmp_path / "a.tar").read_bytes()
    assert b"slow" in (tmp_path / "a.tar").read_bytes()
    assert slow.sha256 != fast.sha256


def test_many_writers_of_one_file_leave_one_of_their_texts(tmp_path: Path):
    path = tmp_path / "a.txt"
    wrong: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            for _ in range(60):
                with atomic(path) as temporary:
                    temporary.write_text(letter * 5000)
                assert len(set(path.read_text())) == 1 and path.stat().st_size == 5000
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.chain
def test_snakemake_says_that_another_run_has_the_folder(tmp_path: Path):
    from tests.workflow.conftest import Project

    project = Project(tmp_path / "project")
    locks = project.folder / ".snakemake/locks"
    first = project.start("sheets")
    while not (locks.is_dir() and any(locks.iterdir())):
        assert first.poll() is None, first.communicate()[0]
    first.send_signal(signal.SIGSTOP)
    try:
        second = project.start("sheets")
        text, _ = second.communicate(timeout=300)
        assert second.returncode != 0 and "cannot be locked" in text, text
    finally:
        first.send_signal(signal.SIGCONT)
    text, _ = first.communicate(timeout=300)
    assert first.returncode == 0, text
