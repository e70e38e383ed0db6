"""Clocks that jump, files that are deleted or edited, a run that is killed: what Snakemake does about it."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from preprocessing.cli import InputError
from preprocessing.reader import ShardReader
from tests.workflow.conftest import Project
from tests.workflow.test_killed import running, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.timeout(900)]
DAY = 86_400


@pytest.fixture(autouse=True)
def own_times(clips: Path) -> Iterator[None]:
    """What a test does to the clips' times ends with it: a folder that is younger than its sheet is listed again."""
    before = {path: path.stat().st_mtime_ns for path in (clips, clips / "clips.csv")}
    yield
    for path, time_ns in before.items():
        os.utime(path, ns=(time_ns, time_ns))


def stages(project: Project) -> dict[str, bytes]:
    """Every file of the data."""
    paths = (path for path in (project.folder / "data").rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths}


def set_clock(path: Path, days: float) -> None:
    """A file's time, in days from now."""
    os.utime(path, (time.time() + days * DAY,) * 2)


def test_times_in_the_past_or_future_rebuild_nothing_that_did_not_change(named: Project, clips: Path, tmp_path: Path):
    project = named.copy(tmp_path / "project")
    assert project.jobs("shards") == {}
    for name in ("sheets/clips.parquet", "fetch/00000.parquet", "crop/00000.tubes.json", "shards/00000.json"):
        for days in (400, -400):
            set_clock(project.folder / "data/names" / name, days)
        set_clock(project.folder / "data/names" / name, 400)
    # inputs are younger than what was made of them, but their content is what it was
    assert project.jobs("shards") == {}
    long_ago = time.time() - 4000 * DAY  # one time for all, folders that a stage writes among them
    for path in (project.folder / "data").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    for path in (clips, clips / "clips.csv"):
        set_clock(path, -4001)
    assert project.jobs("shards") == {}


def test_a_folder_of_the_future_is_one_sentence_and_touching_it_mends(named: Project, clips: Path, tmp_path: Path):
    project = named.copy(tmp_path / "project")
    set_clock(clips, 400)
    process = project.start("shards")
    text, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "has older modification time" in text and str(clips) in text
    set_clock(clips, 0)
    project.run("sheets", "shards")
    assert stages(project) == stages(named)
    assert project.jobs("sheets", "shards") == {}


def test_an_edited_shard_is_named_and_made_again_once_it_is_deleted(named: Project, tmp_path: Path):
    project = named.copy(tmp_path / "project")
    folder, before = project.folder / "data/names/shards", stages(project)
    index = json.loads((folder / "00000.json").read_text(encoding="utf-8"))
    index["samples"][0]["split"] = "test"
    (folder / "00000.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(InputError, match=r"00000\.json was changed after it was written; delete it"):
        ShardReader(folder)
    (folder / "00000.json").unlink()
    assert set(project.jobs("shards")) == {"write_shards", "account_for_clips", "shards"}
    project.run("shards")
    assert stages(project) == before


def test_a_run_killed_with_its_stage_resumes_to_the_same_bytes(named: Project, tmp_path: Path):
    project = Project(tmp_path / "project", "run.yaml")
    (project.folder / "run.yaml").write_bytes((named.folder / "run.yaml").read_bytes())
    process = project.start("shards")
    wait_for(process, lambda: running(process, "preprocessing.faces"))
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
            member.send_signal(signal.SIGKILL)
    process.communicate()
    whole = stages(named)
    assert all(data == whole[name] for name, data in stages(project).items())
    project.run("shards", options=("--unlock",))
    project.run("shards", options=("--rerun-incomplete",))
    assert stages(project) == whole
