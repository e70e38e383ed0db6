"""A run killed by kill -9, at every stage in turn: it resumes to the same bytes, training from its last checkpoint."""

import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.workflow.conftest import Project

pytestmark = [pytest.mark.chain, pytest.mark.timeout(1800)]
# Stage → seconds after which it is killed: during start-up, or in the middle of its work.
STAGES = {"sheets": 0.0, "fetch": 0.1, "crop": 1.0, "faces": 1.0, "masks": 1.0, "shards": 0.5}


def wait_for(process, condition: Callable[[], object], seconds: float = 900.0) -> object:
    """The first true value of ``condition``, polled while ``process`` runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not happen: {process.communicate()[0]}")


def running(process, module: str) -> list[psutil.Process]:
    """The interpreters below ``process`` that run ``module``."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            command = child.cmdline()
        except psutil.Error:
            continue
        if command[1:3] == ["-m", module]:
            found.append(child)
    return found


def kill(process, module: str) -> None:
    """Kill every process that runs ``module``, then wait for Snakemake to give up."""
    for child in running(process, module):
        child.send_signal(signal.SIGKILL)
    text, _ = process.communicate(timeout=900)
    assert process.returncode != 0, text


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every data file, without Snakemake's own."""
    files = (path for path in sorted((folder / "data").rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_data_stages_resume_to_the_same_bytes(small_config, small, tmp_path):
    project = Project(tmp_path / "project", small_config)
    for stage, delay in STAGES.items():
        module = f"preprocessing.{stage}"
        process = project.start("shards")
        wait_for(process, lambda process=process, module=module: running(process, module))
        time.sleep(delay)
        kill(process, module)
    project.run("shards")
    assert digests(project.folder) == digests(small.folder)


def test_training_continues_from_its_last_checkpoint(chain, tmp_path):
    project = chain.copy(tmp_path / "project")
    method = project.folder / "results/mini/checkpoints/planedict"
    whole = load_file(method / "final.safetensors")
    for path in method.iterdir():
        path.unlink()
    target = "results/mini/checkpoints/planedict/final.safetensors"
    process = project.start(target)
    wait_for(process, lambda: list(method.glob("0*.pt")))
    kill(process, "model.train")
    checkpoints = list(method.glob("0*.pt"))
    assert checkpoints and not (method / "final.safetensors").exists()
    text = project.run(target)
    assert "resuming at step" in text
    resumed = load_file(method / "final.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_killed_snakemake_can_be_run_again(chain, tmp_path):
    project = chain.copy(tmp_path / "project")
    tar = project.folder / "data/mini/shards/00000.tar"
    whole = tar.read_bytes()
    tar.unlink()
    process = project.start("data/mini/shards/00000.tar")
    stage = wait_for(process, lambda: running(process, "preprocessing.shards"))
    os.kill(process.pid, signal.SIGKILL)
    for child in stage:
        child.kill()
    process.wait()
    project.run("data/mini/shards/00000.tar", options=("--unlock",))
    project.run("data/mini/shards/00000.tar", options=("--rerun-incomplete",))
    assert tar.read_bytes() == whole
