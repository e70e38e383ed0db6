"""The page: whole, self-contained, honest, and written even where parts of a run are absent."""

import json
import re
from html.parser import HTMLParser

import imageio
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.report import __main__ as report
from evaluation.report.departures import departures
from evaluation.report.page import table_view
from evaluation.report.results import Results
from evaluation.report.verdicts import IDENTITY, SAID, health_rows
from evaluation.tables.build import COLUMNS
from evaluation.tables.comparisons import COLUMNS as COMPARED
from model.settings import EncoderSettings, ModelSettings, TrainingSettings
from preprocessing.files import write_json

CONFIG = {
    "run": "demo",
    "label": "demo-scale",
    "datasets": {"embedded": {"source": {"kind": "embedded"}}},
    "train_on": ["embedded"],
    "test_on": ["embedded"],
    "crop": {"backend": "mediapipe", "framing": "eg3d"},
    "faces": {"landmarks": "facemesh", "camera": "pnp"},
    "masks": {"backend": "selfie"},
    "model": ModelSettings(
        resolution=96, neural_rendering_resolution=96, superresolution=False, motion_encoder=EncoderSettings()
    ).model_dump(mode="json"),
    "training": TrainingSettings(recipe="robust", iterations=10).model_dump(mode="json"),
    "methods": {"planedict": {"name": "PlaneDict"}},
    "ablation": {},
    "evaluation": {"backend": "embedded", "protocol": {"cross_pairs": 150}},
}
HEALTH = {
    "psnr_gain_db": {"ann": 6.0, "bob": 1.0},
    "face_found": 0.99,
    "yaw_correlation": None,
    "shuffle_drop_db": 1.2,
    "swap_ratio": 1.4,
    "seeds": [0, 1],
}


def row(method, motion, measured, *, dataset="embedded", metric="PSNR", paper=""):
    values = dict.fromkeys(COLUMNS, "")
    values |= {"table": 1, "task": "self-reenactment", "dataset": dataset, "method": method, "metric": metric}
    values |= {"motion": motion, "measured": measured, "paper": paper, "n_used": 3, "n_attempted": 4}
    values |= {"ci_low": measured, "ci_high": measured, "label": "demo-scale; trained here; interval over 3 blocks"}
    return values


def table() -> pd.DataFrame:
    missing = row("PlaneDict", "absolute", None, metric="LPIPS") | {"reason": "weights x are not in the cache"}
    rows = [
        row("FOMM", "", None, dataset="", paper="19.2"),
        row("PlaneDict", "absolute", 25.0),
        row("PlaneDict", "relative", 15.0),
        row("copy of the source", "", 20.0) | {"label": "demo-scale; no training"},
        missing,
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def run(tmp_path):
    """A run with every part the page shows."""
    root = tmp_path / "demo"
    for folder in ("tables", "figures", "training", "videos", "dataset"):
        (root / folder).mkdir(parents=True)
    table().to_csv(root / "tables" / "table1.csv", index=False)
    for path in ("figures/figure3.png", "training/planedict.png", "training/other.png"):
        Image.new("RGB", (300, 100), (200, 30, 30)).save(root / path)
    pd.DataFrame({"step": [10, 2300]}).to_parquet(root / "training" / "planedict.parquet")
    imageio.mimwrite(root / "videos" / "0.mp4", [np.zeros((32, 64, 3), np.uint8)] * 3, fps=5)
    clip = {
        "file": "0.mp4",
        "kind": "cross",
        "source": "ann",
        "driver": "<bob>",
        "unseen": True,
        "frames": 3,
        "alone": {},
    }
    write_json(root / "videos" / "videos.json", {"videos": [clip]})
    entry = {
        "dataset": "embedded",
        "kind": "clip",
        "name": "ann",
        "title": "<ann>",
        "note": "",
        "file": "embedded/clip-ann.html",
    }
    write_json(root / "pages" / "index.json", {"pages": [entry]})
    clips = [
        {"clip": "ann", "status": "kept", "stage": "", "reason": "", "detail": ""},
        {"clip": "x", "status": "dropped", "stage": "fetch", "reason": "corrupt", "detail": "<moov> not found"},
    ]
    account = {"clips_in": 2, "kept": 1, "dropped": {"corrupt": 1}, "clips": clips}
    write_json(root / "dataset" / "embedded.json", account)
    write_json(root / "health.json", HEALTH)
    hardware = {"processor": "p", "cores": 2, "memory_gib": 24.0, "accelerators": [], "system": "s", "python": "3.11"}
    document = {"config": CONFIG, "code": {"commit": "abcdef0123456", "changed_files": True}, "hardware": hardware}
    document |= {"packages": {"torch": "2"}, "weights": {"w": "0" * 64}, "data": {"embedded": {"00000.tar": "1" * 64}}}
    document |= {"wall_time": {"train": {"jobs": 2, "seconds": 100.0, "longest_seconds": 60.0, "max_rss_mib": 900.0}}}
    write_json(root / "provenance.json", document)
    return root


class Checker(HTMLParser):
    """Collects what a browser would load and checks that elements nest."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.identifiers: set[str] = set()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.loads += [values[name] for name in ("src", "href", "poster", "data", "srcset") if name in values]
        self.identifiers |= {values["id"]} if "id" in values else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def build(root, tmp_path, *extra):
    output = tmp_path / "report.html"
    report.main(["--results", str(root), "--output", str(output), *extra])
    return output.read_text()


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    anchors = [load for load in checker.loads if load.startswith("#")]
    followed = ("pages/", "tables/", "health.json")  # never loaded
    links = {load for load in checker.loads if load.startswith(followed)}
    assert all(load.startswith("data:") for load in checker.loads if load not in {*anchors, *links})
    assert {anchor[1:] for anchor in anchors} <= checker.identifiers
    return checker


def test_the_page_is_self_contained_and_holds_everything(run, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "embedded.png")
    text = build(run, tmp_path, "--samples", str(tmp_path / "embedded.png"))
    checker = checked(text)
    kinds = [load.split(";")[0] for load in checker.loads if load.startswith("data:") and ";" in load]
    assert (
        kinds.count("data:video/mp4") == 2
        and kinds.count("data:image/jpeg") == 2
        and kinds.count("data:image/png") == 2
    )
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text
    for words in (
        "demo-scale",
        "19.2",
        "25.00",
        "corrupt",
        "&lt;moov&gt;",
        "&lt;bob&gt;",
        "&lt;ann&gt;",
        "abcdef012345",
    ):
        assert words in text
    assert "tables/table1.csv" in checker.loads and "health.json" in checker.loads
    assert not {"tables/table1.tex", "tables/comparisons.csv"} & set(checker.loads)  # this run has none
    assert "“Embedded” means" in text and "The data embedded are four clips of three people" in text
    assert "2,300 steps" in text and "unseen clip" in text and "weights x are not in the cache" in text
    assert 'name="viewport"' in text and "@media (max-width: 620px)" in text


def test_absent_parts_are_said_to_be_absent(tmp_path):
    (tmp_path / "empty").mkdir()
    text = build(tmp_path / "empty", tmp_path)
    checked(text)
    assert text.count('class="absent"') >= 7


def test_wrong_input_ends_in_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        report.main(["--results", str(tmp_path / "nowhere"), "--output", str(tmp_path / "x.html")])
    assert stopped.value.code == 2 and "nowhere" in capsys.readouterr().err


def test_health_verdicts():
    rows = {line["name"]: line for line in health_rows(HEALTH)}
    assert rows["Better than the copy"]["passed"] is False  # bob gains less than two decibels
    assert rows["Face found"]["passed"] is True and rows["Motion code is used"]["passed"] is False
    assert rows["Yaw follows"]["value"] == "—" and rows["Yaw follows"]["passed"] is None
    assert rows["Swap test"]["passed"] is None
    parts = [line["part"] for line in health_rows(HEALTH)]
    assert parts == sorted(parts, key=list(SAID).index) and parts.count(IDENTITY) == 3  # read together, side by side
    assert health_rows(None) == []


def against_copy(motion, better):
    values = dict.fromkeys(COMPARED, "") | {"table": 1, "dataset": "embedded", "metric": "PSNR", "motion": motion}
    return values | {"method": "PlaneDict", "other": "copy of the source", "p": 0.01, "better": better}


def test_tables_stand_side_by_side_and_mark_what_significantly_beats_the_copy():
    frame = table().replace({np.nan: None})
    rows = [against_copy("absolute", "PlaneDict"), against_copy("relative", "")]
    view = table_view(frame, 1, pd.DataFrame(rows))
    assert [line["name"] for group in view["paper"] for line in group["lines"]] == ["FOMM"]
    own = {line["name"]: line["cells"] for group in view["own"] for line in group["lines"]}
    assert own["PlaneDict (absolute)"][1]["mark"] == "better" and own["PlaneDict (relative)"][1]["mark"] == ""
    assert own["copy of the source"][1]["mark"] == "" and own["PlaneDict (absolute)"][2]["value"] == "—"
    assert view["own"][0]["label"] == "demo-scale, trained here" and "LPIPS" in view["notes"][-1]
    rows = [against_copy(motion, "copy of the source") for motion in ("absolute", "relative")]
    worse = table_view(frame, 1, pd.DataFrame(rows))["own"][0]["lines"]
    assert [line["cells"][1]["mark"] for line in worse[:2]] == ["worse", ""]  # relative: never aimed at these frames


def test_departures_are_read_off_the_configuration():
    found = departures(CONFIG)
    by_what = {item.what: item for item in found}
    assert by_what["side of the output image"].only_smaller
    assert by_what["face boxes"].here == "mediapipe" and by_what["cross pairs"].here == "150"
    assert by_what["optimiser steps"].paper == "4 days on 8 V100"
    assert "adversarial fine-tuning" in by_what
    assert not any("null" in text for item in found for text in (item.what, item.paper, item.here))
    encoder = by_what["an encoder of its own for motion, fed with the aligned grey driver"]
    assert encoder.paper == "E gives both codes" and "resnet10" in encoder.here
    assert all(item.why and item.paper != item.here for item in found)
    paper = {
        **CONFIG,
        "crop": {"backend": "sfd", "framing": "fomm"},
        "faces": {"landmarks": "fan", "camera": "deep3dfacerecon"},
        "masks": {"backend": "bisenet"},
        "model": ModelSettings().model_dump(mode="json"),
        "training": TrainingSettings().model_dump(mode="json"),
        "evaluation": {"backend": "standard", "protocol": {"cross_pairs": 2083}},
    }
    left = {item.what for item in departures(paper)}
    assert left == {"data sets", "camera distance", "targets of L_dis", "adversarial fine-tuning"}
    assert json.dumps([item.what for item in departures({})])


def test_accounts_are_of_datasets_alone(tmp_path):
    for name in ("demo", "demo.agreement", ".demo.abcdefgh"):
        write_json(tmp_path / "dataset" / f"{name}.json", {"of": name})
    assert Results(tmp_path).accounts == {"demo": {"of": "demo"}}
