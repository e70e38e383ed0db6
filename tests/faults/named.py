"""A small project whose clips have names that a shell, an option parser, a path or a table could misread."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.workflow.conftest import Project

STEMS = (
    "$(touch executed)",
    "`touch executed`",
    "; touch executed;",
    "a && touch executed",
    "| touch executed",
    "quo'te",
    'quo"te',
    "new\nline",
    "tab\tstop",
    "--settings",
    "-v",
    "a...b",
    " space ",
    "{wildcards.shard}",
    "%(asctime)s",
    "comma,semicolon;",
    "<img src=x onerror=alert(1)>",
    "ünï-日本-🙂",
    "u\u0308ber",
    "CASE",
    "case",
    "nan",
    "007",
    "=1+1",
    "\\back\\slash",
    "x" * 250,
)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory, carphone: Path) -> Path:
    """One talking head under every name; a pattern of bytes where decoding would only take time."""
    folder = tmp_path_factory.mktemp("names") / "cl'ips $(touch executed)"
    folder.mkdir()
    for number, stem in enumerate(STEMS):
        path = folder / f"{stem}.mp4"
        if number % 5:
            path.write_bytes(b"no video")
        else:
            shutil.copy(carphone / "man in car.mp4", path)
    table = pd.DataFrame({"clip": [stem.strip() for stem in STEMS]})
    table = table[table["clip"].isin([path.stem for path in folder.iterdir()])]
    table.assign(person=table["clip"] + '\'s \n"$(touch executed)"', split="train").to_csv(
        folder / "clips.csv", index=False
    )
    return folder


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Project:
    """A project whose data stages ran on these clips."""
    project = Project(tmp_path_factory.mktemp("chain") / "project")
    config = yaml.safe_load((project.folder / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    config["datasets"] = {"names": {"source": {"kind": "folder", "path": str(clips)}, "shards": 1}}
    config |= {"train_on": ["names"], "test_on": ["names"], "reference": {"seeds": 1}}
    (project.folder / "run.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    project.config = "run.yaml"
    project.run("shards")
    return project
