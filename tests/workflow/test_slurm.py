"""The SLURM profile on a real SLURM of one node: jobs that are killed in the middle come back and finish whole."""

import json
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.workflow.conftest import SMALL, Project
from tests.workflow.test_killed import digests, wait_for

pytestmark = [pytest.mark.chain, pytest.mark.timeout(900)]
ACCOUNT, WEIGHTS = SMALL


def slurm(*command: str) -> str:
    """What one of SLURM's commands prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def node() -> None:
    """A SLURM that takes jobs here."""
    try:
        assert re.search("idle|mix|alloc", slurm("sinfo", "--noheader", "--format=%T")), "its node is down"
    except (OSError, subprocess.SubprocessError, AssertionError) as problem:
        pytest.skip(f"no SLURM here (tests/cluster/one_node_slurm.sh starts one): {problem}")


def job_of(project: Project, module: str) -> tuple[str, psutil.Process] | None:
    """SLURM's number of the job of ``project`` that runs ``module``, and the first process that does."""
    for process in psutil.process_iter():
        try:
            if module in process.cmdline()[1:8] and process.cwd() == str(project.folder):
                return process.environ()["SLURM_JOB_ID"], process
        except (psutil.Error, KeyError):
            continue
    return None


def restarts(job: str) -> int:
    """How many times SLURM has queued a job again."""
    fields = dict(part.split("=", 1) for part in slurm("scontrol", "show", "job", job).split() if "=" in part)
    return int(fields["Restarts"])


def test_killed_jobs_come_back_and_finish_whole(node, small_config, small, tmp_path):
    project = Project(tmp_path / "project", small_config)
    options = ("--profile", "workflow/profiles/slurm")
    run = project.start(*SMALL, options=options)

    # A process that dies fails its job: Snakemake submits it again.
    failed, process = wait_for(run, lambda: job_of(project, "preprocessing.faces"))
    process.send_signal(signal.SIGKILL)

    # A job that is put back, as when its machine goes: SLURM runs it again, and the training goes on.
    checkpoints = project.folder / Path(WEIGHTS).parent
    wait_for(run, lambda: list(checkpoints.glob("0*.pt")))
    requeued, _ = wait_for(run, lambda: job_of(project, "model.train"))
    assert "gres:gpu:2" in slurm("scontrol", "show", "job", requeued)
    slurm("scontrol", "requeue", requeued)

    text, _ = run.communicate(timeout=800)
    assert run.returncode == 0, text
    assert failed != requeued and text.count("Trying to restart job") == 1
    assert restarts(requeued) == 1
    assert "resuming at step" in (project.folder / "logs/results/mini/train/planedict.log").read_text(encoding="utf-8")

    assert digests(project.folder) == digests(small.folder)
    account, expected = (
        json.loads((folder / ACCOUNT).read_text(encoding="utf-8")) for folder in (project.folder, small.folder)
    )
    assert account == expected and account["clips_in"] == account["kept"] + sum(account["dropped"].values()) == 4
    ours, whole = load_file(project.folder / WEIGHTS), load_file(small.folder / WEIGHTS)
    assert ours.keys() == whole.keys() and all(torch.equal(ours[name], whole[name]) for name in whole)
    assert "Nothing to be done" in project.run(*SMALL)
