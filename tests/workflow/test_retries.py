"""A second run of Snakemake tries again what may pass, and nothing else."""

import subprocess
from collections import Counter

import imageio_ffmpeg
import pytest
import yaml

from preprocessing.fetch import FetchRow
from preprocessing.rows import read_rows, write_rows
from preprocessing.sheets import SheetRow, build
from preprocessing.sources.entries import Entry
from tests.workflow.conftest import ROOT

QUICK = {"throttle_seconds": 0, "pause_seconds": 0, "tries": 2}
FETCH = "data/mini/fetch/00000.parquet"


@pytest.fixture
def project(new_project, web, tmp_path, monkeypatch):
    """mini.yaml with a sheet of four clips that the server on this machine has, or has not."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:duration=1"]
    subprocess.run([*command, str(tmp_path / "v.mp4")], check=True)
    web.files |= dict.fromkeys(("good.mp4", "late.mp4"), (tmp_path / "v.mp4").read_bytes())
    web.answers |= {"late.mp4": (503, {}), "never.mp4": (500, {})}
    project = new_project("run.yaml")
    config = yaml.safe_load((ROOT / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    config["datasets"]["mini"]["download"] = QUICK | {"attempts": 2}
    (project.folder / "run.yaml").write_text(yaml.safe_dump(config))
    names = ("good.mp4", "late.mp4", "lost.mp4", "never.mp4")
    entries = [Entry(name, name, "ann", ((0, -1, "train"),), url=f"{web.url}/{name}") for name in names]
    sheet = project.folder / "data/mini/sheets/clips.parquet"
    write_rows(sheet, build(entries, 1), SheetRow)
    sheet.with_suffix(".csv").write_text("by hand\n")
    return project


def rows(project):
    """Clip → reason and attempts."""
    return {row.clip: (row.reason, row.attempts) for row in read_rows(project.folder / FETCH, FetchRow)}


def test_the_next_run_tries_again_what_may_pass(project, web):
    project.run(FETCH)
    lost = {"good.mp4": ("", 1), "lost.mp4": ("removed", 1)}
    assert rows(project) == lost | {"late.mp4": ("server-error", 1), "never.mp4": ("server-error", 1)}

    del web.answers["late.mp4"]
    web.paths.clear()
    project.run(FETCH)
    assert rows(project) == lost | {"late.mp4": ("", 2), "never.mp4": ("server-error", 2)}
    assert Counter(web.paths) == {"late.mp4": 1, "never.mp4": QUICK["tries"]}
    assert (project.folder / "data/mini/fetch/00000/good.mp4").is_file()

    # The attempts are used up: nothing is left to do, however patient the next run would be.
    assert project.jobs(FETCH) == {}
    config = project.folder / "run.yaml"
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    download = values["datasets"]["mini"]["download"]
    download |= {"throttle_seconds": 1, "kib_per_second": 100, "attempts": 3, "wall_seconds": 10}
    config.write_text(yaml.safe_dump(values))
    assert project.jobs(FETCH) == {}
    # What decides which file comes is another matter.
    download["lines"] = 360
    config.write_text(yaml.safe_dump(values))
    assert project.jobs(FETCH) == {"fetch_clips": 1}
