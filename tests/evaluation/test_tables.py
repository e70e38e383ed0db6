"""Tables from synthetic scores: the paper's cells verbatim, unique keys, pooled seeds, honest labels."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from evaluation.metrics.catalogue import METRICS, PROTOCOLS
from evaluation.tables.build import COLUMNS, Methods, Run, build, identities, read_scores, write
from evaluation.tables.comparisons import Marks
from evaluation.tables.paper import paper_cells
from evaluation.tables.render import claim_in, lines, notes
from preprocessing.cli import InputError

METHODS = Methods(
    main={"planedict": "PlaneDict"},
    ablation={"without-planedict": "without PlaneDict", "planedict-20": "PlaneDict (20)"},
)
RUN = Run("demo-scale", {"embedded": "known identity"}, 200)
KEY = ["table", "dataset", "method", "metric", "motion"]


def score_row(metric, motion, pair, **values):
    """One row of a score file."""
    clip = f"c{pair % 3}" if pair >= 0 else ""
    row = {
        "pair": pair,
        "motion": motion,
        "metric": metric.name,
        "backend": metric.embedded or metric.standard,
        "value": np.nan,
        "used": True,
        "reason": "",
        "block": f"{clip}#{pair // 10}" if clip else "",
        "source_clip": "s",
        "driver_clip": clip,
        "unseen": pair >= 24,
        "ci_low": np.nan,
        "ci_high": np.nan,
        "n_used": 1,
        "n_attempted": 1,
    }
    return row | values


def metric_rows(key, motion, shift):
    """Thirty images, the last six of the unseen clip; CSIM loses two; LPIPS and the set metrics cannot be had."""
    metric = METRICS[key]
    if metric.embedded is None or metric.reference == "real":
        return [score_row(metric, motion, -1, used=False, reason="weights x.pth are not in the cache")]
    lost = {"used": False, "reason": "no face found in the generated image"}
    return [
        score_row(metric, motion, pair, **(lost if key == "csim" and pair < 2 else {"value": pair + shift}))
        for pair in range(30)
    ]


def write_scores(root, *, run="demo", shift=0.0):
    for method in ("planedict", "copy", "without-planedict", "planedict-20"):
        motions = ["none"] if method == "copy" else ["absolute", "relative"]
        for protocol, keys in PROTOCOLS.items():
            path = root / run / "scores" / "embedded" / method / f"{protocol}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [row for motion in motions for key in keys for row in metric_rows(key, motion, shift)]
            pd.DataFrame(rows).to_parquet(path)
    return root / run / "scores"


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    return write_scores(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("table", [1, 2, 3, 4, 5])
def test_every_cell_of_the_paper_is_a_row_with_a_reason(scores, table):
    frame = build(table, read_scores([scores]), METHODS, RUN)
    assert tuple(frame.columns) == COLUMNS and not frame.duplicated(KEY).any()
    cells = paper_cells()
    cells = cells[cells["table"] == str(table)]
    paper = frame[frame["paper"] != ""]
    assert list(map(tuple, paper[["task", "dataset", "method", "metric", "paper"]].values)) == list(
        map(tuple, cells[["task", "dataset", "method", "metric", "value"]].values)
    )
    assert paper["measured"].isna().all() and (paper["reason"] != "").all() and (paper["motion"] == "").all()
    own = frame[frame["paper"] == ""]
    assert set(own["dataset"]) == {"embedded", "embedded-unseen-clip"}
    assert "copy of the source" in set(own["method"])
    assert set(own[own["method"] == "copy of the source"]["motion"]) == {""}
    assert not (own["measured"].isna() & (own["reason"] == "")).any()


def test_the_paper_has_all_its_numbers():
    assert paper_cells().groupby("table").size().to_dict() == {"1": 18, "2": 30, "3": 108, "4": 8, "5": 25}


def test_values_counts_and_labels(scores):
    frame = build(2, read_scores([scores]), METHODS, RUN)
    row = frame[
        (frame["dataset"] == "embedded") & (frame["method"] == "PlaneDict") & (frame["motion"] == "absolute")
    ].set_index("metric")
    assert row.loc["ET", "measured"] == pytest.approx(np.mean(range(24))) and row.loc["ET", "n_used"] == 24
    csim = row.loc["CSIM"]
    assert (csim["n_used"], csim["n_attempted"]) == (22, 24) and csim["measured"] == pytest.approx(
        np.mean(range(2, 24))
    )
    assert "2 left out: no face found" in csim["reason"] and csim["backend"] == "dlib-128"
    assert csim["ci_low"] < csim["measured"] < csim["ci_high"]
    for word in (
        "demo-scale",
        "trained here",
        "known identity",
        "22 images in 9 blocks (stretches of 25 driver frames, 3 clips)",
    ):
        assert word in csim["label"]
    unseen = frame[(frame["dataset"] == "embedded-unseen-clip") & (frame["metric"] == "ET")]
    assert len(unseen) == 3 and unseen["label"].str.contains("unseen clip of a known identity").all()
    copies = frame[frame["method"] == "copy of the source"]
    assert copies["label"].str.contains("no training").all() and not copies["label"].str.contains("trained here").any()


def test_notes_say_only_what_applies_to_the_table(scores):
    def said(table, methods=METHODS):
        return " ".join(notes(build(table, read_scores([scores]), methods, RUN), table))

    one, three, five = said(1), said(3), said(5)
    assert "Measured here: bold" not in one + three  # a single method beats nobody
    assert "better than every other" in five and "underlined better" not in five and "FID" not in five
    rivals = Methods(main={"planedict": "PlaneDict", "planedict-20": "B", "without-planedict": "C"})
    assert "underlined better" in said(3, rivals) and "FID and FFD-dlib: no value per pair" in said(3, rivals)
    assert "Embedded backends" not in one and "Embedded backends" in three  # SSIM and PSNR need no detector
    assert "embedded, 24 images in 9 blocks" in three and "embedded-unseen-clip, 6 images in 3 blocks" in three
    assert "with which SSIM, PSNR, LPIPS, L1 compare" in one


def test_a_single_image_has_no_interval_and_names_none(tmp_path):
    scores = read_scores([write_scores(tmp_path)])
    frame = build(1, scores[scores["pair"].isin((0, 27, 28))], METHODS, RUN)
    own = frame[(frame["metric"] == "SSIM") & (frame["method"] == "PlaneDict") & (frame["motion"] == "absolute")]
    labels = own[own["paper"] == ""].set_index("dataset")["label"]
    assert "interval" not in labels["embedded"] and "interval over 2 images" in labels["embedded-unseen-clip"]


def test_missing_weights_give_their_reason(scores):
    lpips = build(1, read_scores([scores]), METHODS, RUN)
    lpips = lpips[(lpips["metric"] == "LPIPS") & (lpips["paper"] == "")]
    assert lpips["measured"].isna().all() and lpips["reason"].str.contains("x.pth").all()


def test_seeds_are_pooled(tmp_path):
    runs = [write_scores(tmp_path, run=name, shift=shift) for name, shift in (("demo", 0), ("demo-seed1", 100))]
    frame = build(1, read_scores(runs), METHODS, RUN)
    row = frame[(frame["dataset"] == "embedded") & (frame["method"] == "PlaneDict") & (frame["metric"] == "SSIM")].iloc[
        0
    ]
    assert row["measured"] == pytest.approx(np.mean(range(24)) + 50) and row["n_used"] == 48
    assert "2 seeds pooled" in row["label"]


def test_seeds_in_folders_of_one_name_are_two_runs_and_one_folder_is_not_read_twice(tmp_path):
    runs = [write_scores(tmp_path / place, shift=shift) for place, shift in (("here", 0), ("there", 100))]
    frame = build(1, read_scores(runs), METHODS, RUN)
    assert (
        frame[(frame["method"] == "PlaneDict") & (frame["paper"] == "")]["label"].str.contains("2 seeds pooled").all()
    )
    with pytest.raises(InputError, match="twice"):
        read_scores([runs[0], runs[0] / ".." / "scores"])


def test_a_dataset_without_pairs_keeps_its_rows(tmp_path):
    root = write_scores(tmp_path)
    for path in root.glob("*/*/cross.parquet"):
        pd.read_parquet(path).iloc[:0].to_parquet(path)
    frame = build(3, read_scores([root]), METHODS, RUN)
    own = frame[frame["paper"] == ""]
    assert set(zip(own["method"], own["motion"], strict=True)) == {
        ("PlaneDict", "absolute"),
        ("copy of the source", ""),
    }
    assert own["measured"].isna().all() and own["reason"].str.contains("no pairs").all()


def test_two_backends_are_not_pooled(tmp_path):
    runs = [write_scores(tmp_path, run=name) for name in ("demo", "demo-seed1")]
    path = runs[1] / "embedded" / "planedict" / "self.parquet"
    part = pd.read_parquet(path)
    part.assign(backend=part["backend"].replace("dlib-128", "facenet-vggface2")).to_parquet(path)
    with pytest.raises(InputError, match="CSIM"):
        build(2, read_scores(runs), METHODS, RUN)


def test_a_standard_backend_on_the_papers_dataset_fills_the_papers_row(tmp_path):
    scores = read_scores([write_scores(tmp_path)]).assign(dataset="voxceleb1")
    frame = build(1, scores, METHODS, RUN)
    filled = frame[(frame["paper"] == "0.870")].iloc[0]
    assert filled["measured"] == pytest.approx(np.mean(range(24))) and filled["backend"] == "scikit-image"
    embedded = build(2, scores, METHODS, RUN)
    assert embedded[embedded["paper"] != ""]["measured"].isna().all()


def test_a_miniature_fills_no_cell_of_the_paper_and_says_what_it_is(tmp_path):
    scores = read_scores([write_scores(tmp_path)]).assign(dataset="voxceleb1")
    scores = scores.replace({"method": {"planedict": "fomm"}})
    full = build(1, scores, Methods(main={"fomm": "FOMM"}), RUN)
    filled = full[(full["paper"] != "") & full["measured"].notna()]
    assert set(filled["method"]) == {"FOMM"} and set(filled["metric"]) == {"SSIM", "PSNR"}
    claim = "mini, trained here, without the adversarial loss"
    methods = Methods(main={"fomm": "FOMM"}, claims={"fomm": claim})
    frame = build(1, scores, methods, RUN)
    paper = frame[frame["paper"] != ""]
    assert paper["measured"].isna().all()
    assert paper[paper["method"] == "FOMM"]["reason"].str.contains("FOMM is a miniature in this run").all()
    own = lines(frame[frame["paper"] == ""])
    assert [line.name for line in own[:3]] == ["FOMM (mini, absolute)", "FOMM (mini, relative)", "copy of the source"]
    of_fomm = frame[(frame["method"] == "FOMM") & (frame["paper"] == "")]
    assert of_fomm["label"].str.contains(claim).all() and (of_fomm["n_used"] > 0).any()
    assert methods.heads == {"fomm": "FOMM (mini)"} and Methods().heads == {"planedict": "PlaneDict"}


@pytest.mark.parametrize(
    ("label", "claim"),
    [
        ("demo-scale; trained here; known identity", "trained here"),
        ("mini; trained here", "trained here"),  # a run of that name
        ("mini; mini without depth; unseen identity", "mini without depth"),
        ("mini, no depth; unseen identity", "mini, no depth"),
        ("official weights", "official weights"),
        ("the paper's number", ""),
    ],
)
def test_a_claim_is_found_in_a_label(label, claim):
    assert claim_in(label) == claim


def test_a_claim_begins_as_agreed():
    with pytest.raises(InputError, match="'small' of fomm does not begin with mini, trained here"):
        Methods.read('{"claims": {"fomm": "small"}}')


def test_kinds_of_motion_are_told_apart(scores):
    keypoints = read_scores([scores])
    more = keypoints[(keypoints["method"] == "planedict") & (keypoints["motion"] == "relative")]
    both = pd.concat([keypoints[keypoints["method"] == "planedict"], more.assign(method="fomm")])
    both = pd.concat([both, more.assign(method="fomm", motion="relative_best")])
    text = " ".join(notes(build(3, both, Methods(main={"planedict": "PlaneDict", "fomm": "FOMM"}), RUN), 3))
    assert "of FOMM, which know no cameras, the source's keypoints" in text and "relative_best: since" in text
    assert "keypoints" not in " ".join(notes(build(3, keypoints, METHODS, RUN), 3))


def test_written_files_read_back(scores, tmp_path):
    for table in range(1, 6):
        write(build(table, read_scores([scores]), METHODS, RUN), table, Marks(), tmp_path)
        with open(tmp_path / f"table{table}.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert tuple(rows[0]) == COLUMNS
        markdown = (tmp_path / f"table{table}.md").read_text()
        heads = [line for line in markdown.splitlines() if line.startswith("| Dataset")]
        assert len(heads) == 1 and "paper" in heads[0] and "measured" in heads[0]
        assert len({line.count("|") for line in markdown.splitlines() if line.startswith("|")}) == 1
    assert "0.870" in (tmp_path / "table1.md").read_text()


def test_identities_come_from_the_shards(tmp_path):
    def dataset(name, *samples):
        directory = tmp_path / name / "shards"
        directory.mkdir(parents=True)
        index = {"samples": [{"person": person, "split": split} for person, split in samples]}
        (directory / "00000.json").write_text(json.dumps(index))
        return directory

    known = dataset("a", ("ann", "train"), ("ann", "test"))
    unseen = dataset("b", ("bob", "train"), ("cid", "test"))
    partly = dataset("c", ("dan", "train"), ("ann", "test"), ("eve", "test"))
    words = identities([known, unseen, partly])
    assert words == {"a": "known identity", "b": "unseen identity", "c": "partly known identity"}


def test_the_command_writes_all_tables_and_names_bad_input(scores, tmp_path):
    command = [
        sys.executable,
        "-m",
        "evaluation.tables",
        "--output",
        str(tmp_path),
        "--methods",
        METHODS.model_dump_json(),
    ]
    subprocess.run([*command, "--scores", str(scores), "--label", "mini"], check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["comparisons.csv", *(f"table{n}.{s}" for n in range(1, 6) for s in ("csv", "md", "tex"))]
    )
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    subprocess.run(
        [*command, "--scores", str(scores), "--label", "mini"], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written  # two runs, identical tables
    bad = subprocess.run([*command, "--scores", str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert bad.returncode == 2 and "nowhere" in bad.stderr and "Traceback" not in bad.stderr
