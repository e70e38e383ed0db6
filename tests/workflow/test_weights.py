"""The target `weights` on a registry of its own, whose files a server on this machine has."""

import hashlib
import json
import shutil

import pytest
import yaml

from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.choice import ALEXNET, INCEPTION
from preprocessing.weights import COLUMNS
from tests.workflow.conftest import ROOT, Project

FILES = {ALEXNET: b"alexnet" * 100, INCEPTION: b"inception" * 100}


@pytest.fixture
def project(tmp_path, web, monkeypatch):
    """mini.yaml with the standard backends, their files registered at ``web``, nothing in the cache."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    web.files |= FILES
    rows = [
        (name, f"{web.url}/{name}", hashlib.sha256(data).hexdigest(), "", "MIT", "no", "x")
        for name, data in FILES.items()
    ]
    (folder / "workflow/config/weights.tsv").write_text("\n".join(map("\t".join, [COLUMNS, *rows])) + "\n")
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    project = Project(folder, "run.yaml")
    configure(project, "standard")
    return project


def configure(project, backend):
    """Let the run ask for a family of backends; of the metrics that need files only LPIPS and FID follow it."""
    config = yaml.safe_load((ROOT / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    others = {key: METRICS[key].embedded for key in ("csim", "avd", "aucon", "prmse")}
    config["evaluation"] |= {"backend": backend, "backends": others}
    (project.folder / "run.yaml").write_text(yaml.safe_dump(config))


def fails(project, *targets):
    """What a run that fails prints."""
    process = project.start(*targets)
    text, _ = process.communicate(timeout=300)
    assert process.returncode != 0, text
    return text


def test_the_target_fetches_and_checks_once(project, web, tmp_path):
    project.run("weights")
    for name, data in FILES.items():
        assert (tmp_path / "cache/weights" / name).read_bytes() == data
        facts = json.loads((project.folder / f"data/weights/{name}.json").read_text())
        assert facts == {
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "verified": True,
        }
    assert len(web.asked) == 2
    # Files that a user put there are looked at; the same ones are not fetched again.
    project.run("weights")
    assert len(web.asked) == 2 and not project.jobs("weights")
    # A file that went missing comes back.
    (tmp_path / "cache/weights" / ALEXNET).unlink()
    project.run("weights")
    assert len(web.asked) == 3


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (None, "Cannot download {url}: it answers 404 (Not Found)."),
        (b"another", "{url} gave a file with sha256 {found}, not {wanted} as registered"),
    ],
)
def test_what_cannot_be_had_is_named_before_anything_heavy(project, web, served, words):
    del web.files[ALEXNET]
    if served:
        web.files[ALEXNET] = served
    assert project.jobs("training")["fetch_weights"] == project.jobs("scores")["fetch_weights"] == 2
    found, wanted = (hashlib.sha256(data).hexdigest() for data in (served or b"", FILES[ALEXNET]))
    assert words.format(url=f"{web.url}/{ALEXNET}", found=found, wanted=wanted) in fails(project)
    assert not list(project.folder.glob("data/*/crop/*")) and not (project.folder / "results").exists()


def test_auto_uses_what_is_there_and_fetches_only_when_asked(project, web):
    # Embedded, too: no wheel carries the weights of LPIPS and FID.
    for family in ("auto", "embedded"):
        configure(project, family)
        assert "fetch_weights" not in project.jobs("scores")
        assert project.jobs("weights")["fetch_weights"] == 2
