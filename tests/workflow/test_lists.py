"""The target `sheets` on lists of every kind, of which a server on this machine has the one that is fetched."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.preprocessing.lists_of_clips import FOMM_HEADER, FOMM_ROWS, TUBES, write
from tests.web_server import Web
from tests.workflow.conftest import ROOT, Project
from workflow.plan import Plan
from workflow.settings import load, read

SHEET = ("\n".join([FOMM_HEADER, *FOMM_ROWS]) + "\n").encode()


@pytest.fixture
def project(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A run of small datasets of every listed kind; FOMM's sheet is registered at ``web``, the cache is empty."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "workflow", folder / "workflow")
    web.files["vox-metadata.csv"] = SHEET
    registry = folder / "workflow/config/datasets.yaml"
    values = yaml.safe_load(registry.read_text())
    values["datasets"]["voxceleb1"]["lists"]["vox-metadata.csv"] |= {
        "url": f"{web.url}/vox-metadata.csv",
        "sha256": hashlib.sha256(SHEET).hexdigest(),
        "bytes": len(SHEET),
    }
    registry.write_text(yaml.safe_dump(values))
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))
    write(folder / "lists/val_video_tubes.txt", *TUBES)
    write(folder / "copy/test/mp4/id00017/aaaaaaaaaaa/00001.mp4", "x")
    write(folder / "photos/dataset.json", json.dumps({"labels": [["a.png", [0.0] * 25]]}))
    write(folder / "mine.csv", "clip,person,file", "a,p,a.mp4")
    config = yaml.safe_load((ROOT / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    config["datasets"] |= {
        "vox1": {"source": {"kind": "voxceleb1"}, "shards": 2},
        "vox2": {"source": {"kind": "voxceleb2", "path": "copy"}},
        "heads": {"source": {"kind": "talkinghead1kh", "parts": ["val"], "lists": "lists"}},
        "faces": {"source": {"kind": "ffhq", "path": "photos"}},
        "mine": {"source": {"kind": "list", "path": "mine.csv"}},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return Project(folder, "run.yaml")


def test_sheets_need_nothing_but_the_lists(project: Project, web: Web) -> None:
    jobs = project.jobs("sheets")
    assert (jobs["fetch_list"], jobs["write_sheet"]) == (1, 6) and not web.asked  # planning needs none
    project.run("sheets")
    counts = {path.parts[1]: len(pd.read_csv(project.folder / path)) for path in map(Path, SHEETS)}
    assert counts == {"vox1": len(FOMM_ROWS), "vox2": 1, "heads": len(TUBES), "faces": 1, "mine": 1}
    # A list that is there is looked at once more, and no sheet is written again for it: everything depends on them.
    assert set(project.jobs("sheets")) == {"fetch_list"}
    assert len(web.asked) == 1
    facts = json.loads((project.folder / "data/lists/vox-metadata.csv.json").read_text())
    assert facts["sha256"] == hashlib.sha256(SHEET).hexdigest() and facts["verified"]


def test_no_target_takes_photos_for_videos(project: Project) -> None:
    jobs = project.jobs("all", "reference", "recipe", "agreement")
    assert jobs["crop_clips"] == jobs["write_shards"] == 7  # of five datasets
    assert jobs["compare_detectors"] == jobs["account_for_clips"] == 5


SHEETS = [f"data/{name}/sheets/clips.csv" for name in ("vox1", "vox2", "heads", "faces", "mine")]


def test_photos_are_made_for_the_fine_tune_that_names_them() -> None:
    plan = Plan(read(ROOT / "workflow/config/paper.yaml"))
    assert plan.photos == ["ffhq"] and "ffhq" not in plan.videos
    assert plan.made_photos("planedict") == ["data/ffhq/photos/dataset.json"] == plan.all_photos()
    assert plan.real_images("planedict") == []
    assert len(plan.photo_rows("ffhq")) == 2 * 140
    assert not any("/ffhq/" in path for path in (*plan.stage_everywhere("fetch"), *plan.accounts("paper")))
    assert plan.needed_lists == ["vox-metadata.csv", "data_list.zip"]
    values = plan.settings_.model_dump(mode="json")
    values["methods"]["planedict"]["training"]["adversarial"]["real"] = "elsewhere"
    assert Plan(load(values)).made_photos("planedict") == []
