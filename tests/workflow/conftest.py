"""Snakemake as the subject: a folder of links to this checkout, and one run of the whole chain that tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "Snakefile",
    "workflow",
    "preprocessing",
    "model",
    "evaluation",
    "environment.yml",
    "requirements.lock",
    "pyproject.toml",
)


SMALL = ("results/mini/dataset/mini.json", "results/mini/checkpoints/planedict/final.safetensors")


class Project:
    """A folder in which Snakemake runs as in a checkout; data and results stay in it."""

    def __init__(self, folder: Path, config: str = "workflow/config/mini.yaml") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = config
        for name in PARTS:
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)

    def command(self, *targets: str, options: tuple[str, ...] = ()) -> list[str]:
        """Snakemake's command line: targets first, options, configuration last."""
        config = ["--configfile", self.config] if self.config else []
        return [sys.executable, "-m", "snakemake", *targets, "--cores", "2", "--nocolor", *config, *options]

    def start(self, *targets: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a run without waiting for it."""
        return subprocess.Popen(
            self.command(*targets, options=options),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"GIT_CEILING_DIRECTORIES": str(self.folder)},
        )

    def run(self, *targets: str, options: tuple[str, ...] = ()) -> str:
        """Run to the end; returns everything printed, and fails with it when the exit code is not 0."""
        process = self.start(*targets, options=options)
        text, _ = process.communicate(timeout=1500)
        assert process.returncode == 0, text
        return text

    def jobs(self, *targets: str, options: tuple[str, ...] = ()) -> dict[str, int]:
        """Rule → number of jobs that a run would do."""
        text = self.run(*targets, options=("-n", "--quiet", "rules", *options))
        rows = (line.split() for line in text.splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}

    def copy(self, folder: Path) -> "Project":
        """A second project with the same data, results and records, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder, self.config)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """mini.yaml run from the first rule to the last; tests that change something work on a copy."""
    project = Project(tmp_path_factory.mktemp("chain") / "project")
    project.run()
    return project


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """mini.yaml with one shard of short clips, and one training, of two processes."""
    settings = yaml.safe_load((ROOT / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    frames = {"franck": 60, "cap12_edit": 20, "cap13_edit2": 60, "carphone_pristine": 20}
    settings["datasets"]["mini"] = {"source": {"kind": "embedded", "frames": frames}, "shards": 1}
    settings["training"] |= {"devices": 2, "iterations": 30, "checkpoint_every": 4}
    settings["ablation"] = {}
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def small(small_config: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The shards, account and weights of ``small_config``, made on this machine with nothing in the way."""
    project = Project(tmp_path_factory.mktemp("small") / "project", small_config)
    project.run(*SMALL)
    return project


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An empty bucket, and the environment that leads Snakemake to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"ACCESS_KEY": "key", "SECRET_KEY": "secret", "ENDPOINT_URL": endpoint}
    for name, value in keys.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    session = boto3.Session(aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1")
    bucket = session.resource("s3", endpoint_url=endpoint).Bucket("planedict")
    bucket.create()
    yield bucket
    server.stop()


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str], Project]:
    """Configuration file (or nothing) → a project in which nothing has been run."""
    return lambda config: Project(tmp_path / "project", config)


@pytest.fixture
def project(new_project: Callable[[str], Project]) -> Project:
    """A project of mini.yaml in which nothing has been run."""
    return new_project("workflow/config/mini.yaml")
