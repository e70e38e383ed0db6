"""Training on two processes (gloo): killed and resumed it equals an unbroken run; it sees what one device would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.model.tiny import MODEL

ROOT = Path(__file__).parents[3]
# Batch norm and L_dis: running statistics, and a copy of them that reads codes, must survive too.
SETTINGS = {"sources": 2, "rays": 32, "devices": 2, "iterations": 24, "checkpoint_every": 5, "weight_dis": 0.1}
BATCH_NORM = MODEL | {"encoder": {"resolution": 32, "width": 4, "norm": "batch"}}


def command(shards: Path, folder: Path, settings: dict) -> list[str]:
    """The command line of one training."""
    parts = ["--shards", shards, "--method", "m", "--output", folder, "--curves", folder / "m.parquet"]
    parts += ["--model", json.dumps(BATCH_NORM), "--settings", json.dumps(settings)]
    return [sys.executable, "-m", "model.train", *map(str, parts)]


def environment() -> dict[str, str]:
    """No launcher's variables; one thread."""
    return {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}


@pytest.fixture(scope="module")
def whole(synthetic_shards, tmp_path_factory) -> dict[str, torch.Tensor]:
    """The weights of an unbroken run."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(command(synthetic_shards, folder, SETTINGS), cwd=ROOT, env=environment(), check=True)
    return load_file(folder / "final.safetensors")


@pytest.mark.timeout(300)
def test_two_processes_killed_and_resumed_equal_an_unbroken_run(synthetic_shards, whole, tmp_path):
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        command(synthetic_shards, broken, SETTINGS), cwd=ROOT, env=environment(), start_new_session=True
    )
    while not list(broken.glob("0*.pt")) and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "final.safetensors").exists(), "the run ended before it could be killed"
    arguments = [*command(synthetic_shards, broken, SETTINGS), "--log", str(broken / "m.log")]
    subprocess.run(arguments, cwd=ROOT, env=environment(), check=True)
    assert "resuming at step" in (broken / "m.log").read_text()
    resumed = load_file(broken / "final.safetensors")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.timeout(200)
def test_torchrun_starts_the_processes_too(synthetic_shards, whole, tmp_path):
    arguments = command(synthetic_shards, tmp_path / "run", SETTINGS)[1:]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*launcher, *arguments], cwd=ROOT, env=environment(), check=True)
    ours = load_file(tmp_path / "run" / "final.safetensors")
    assert all(torch.equal(value, ours[name]) for name, value in whole.items())


def test_one_task_of_slurm_is_not_taken_for_two_devices(synthetic_shards, tmp_path):
    task = {"NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_ID": "1"}
    variables = environment() | {f"SLURM_{name}": value for name, value in task.items()}
    arguments = command(synthetic_shards, tmp_path / "run", SETTINGS)
    result = subprocess.run(arguments, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "'devices' × 'nodes' = 2, but 1 processes were started." in result.stderr
