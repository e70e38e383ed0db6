"""Pages per method and clip: which cases stand on them, that pictures are the pairs' own, and names safe for files."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.metrics.catalogue import METRICS
from evaluation.outputs import Inputs, Reenactments
from evaluation.report import pages
from evaluation.report.cases import BINS, cases, failures, headlines, main_motion, motion_said, spreads, with_unit
from evaluation.report.gallery import Gallery
from evaluation.report.pages import entries, held_out_clips
from evaluation.report.results import Results
from preprocessing.reader import Sample, ShardReader

PSNR, PRMSE, CSIM = METRICS["psnr"], METRICS["prmse"], METRICS["csim"]


def rows(values, metric=PSNR, block=None, motion="absolute"):
    """Scores of as many pairs; None: not used."""
    return pd.DataFrame(
        {
            "pair": range(len(values)),
            "motion": motion,
            "metric": metric.name,
            "backend": "numpy",
            "value": [np.nan if value is None else value for value in values],
            "used": [value is not None for value in values],
            "reason": ["" if value is not None else "no face" for value in values],
            "block": block or [f"b{i}" for i in range(len(values))],
        }
    )


def chosen(frame, metric, **counts):
    return {group: [case.pair for case in found] for group, found in cases(frame, metric, counts).items()}


def test_worst_and_best_follow_the_metrics_direction():
    values = [3.0, 1.0, 5.0, 2.0, 4.0, None]
    assert chosen(rows(values), PSNR, worst=2, median=1, best=2) == {"worst": [1, 3], "median": [0], "best": [2, 4]}
    found = chosen(rows(values, PRMSE), PRMSE, worst=2, median=1, best=2)
    assert found == {"worst": [2, 4], "median": [0], "best": [1, 3]}


def test_a_block_of_frames_is_shown_by_its_most_extreme_frame():
    frame = rows([1.0, 1.1, 5.0, 2.0, 9.0], block=["a", "a", "b", "c", "c"])
    assert chosen(frame, PSNR, worst=3, best=1) == {"worst": [0, 3, 2], "best": [4]}


def test_no_pair_stands_in_two_groups_and_equal_values_have_no_worst():
    found = chosen(rows([1.0, 2.0, 3.0]), PSNR, worst=3, median=2, best=3)
    assert found == {"worst": [0, 1, 2]}
    assert cases(rows([1.0, 1.0, 1.0]), PSNR, {"worst": 1}) == {}
    assert chosen(rows([1.0]), PSNR, worst=1, best=1) == {"worst": [0]}
    assert cases(rows([None]), PSNR, {"worst": 1}) == {} and headlines(rows([None]), "self") == []


def test_absolute_motion_is_shown_where_there_is_one():
    both = pd.concat([rows([1.0], motion="relative"), rows([2.0], motion="absolute")])
    assert main_motion(both)["value"].tolist() == [2.0]
    assert main_motion(rows([3.0], motion="none"))["value"].tolist() == [3.0]
    assert main_motion(rows([]).assign(pair=[])).empty


def test_histograms_hold_every_value_once_over_one_range():
    mine, copy = rows([1.0, 2.0, 2.0, None]), rows([0.0, 4.0])
    [spread] = spreads(mine, copy, "self")
    assert (spread.low, spread.high, spread.median, spread.count) == (0.0, 4.0, 2.0, 3)
    assert sum(spread.shares) == pytest.approx(1) and sum(spread.copy) == pytest.approx(1)
    assert spread.shares[2 * BINS // 4] == pytest.approx(2 / 3)
    assert spread.tallest == pytest.approx(2 / 3)
    [spread] = spreads(rows([0.5], CSIM), rows([1.0], CSIM), "cross")
    assert not spread.copy and (spread.low, spread.high) == (0.5, 0.5)  # the copy is perfect there
    [spread] = spreads(rows([1e-15, 3e-15], METRICS["avd"]), rows([]), "cross")
    assert spread.high == spread.low and max(spread.shares) == 1  # rounding is no spread
    assert with_unit(2.345, PRMSE) == "2.35°" and with_unit(20.0, PSNR) == "20.00 dB"


def test_failures_name_reasons_and_metrics():
    frame = pd.concat([rows([1.0, None]), rows([None, None], PRMSE)])
    frame = pd.concat([frame, rows([1.0, None], motion="relative")])
    assert [(f.pair, f.motion, dict(f.reasons)) for f in failures(frame)] == [
        (0, "absolute", {"no face": ["PRMSE"]}),
        (1, "absolute", {"no face": ["PRMSE", "PSNR"]}),
        (1, "relative", {"no face": ["PSNR"]}),  # lost, though histograms show absolute motion alone
    ]
    assert "driver's camera" in motion_said(frame) and motion_said(rows([1.0], motion="none")) == ""


def sample(key, clip, split="test"):
    return Sample(key, clip, "p", split, 5, 25.0, "00000", "d")


def test_pages_are_named_safely_and_never_alike():
    clips = {name: [sample("x", name)] for name in ("a b", "a/b", "A.B", "日本", "../x", "n" * 300)}
    files = [entry["file"] for entry in entries("d", {"copy": "copy of the source"}, clips)]
    assert files[0] == "d/method-copy.html"
    assert all(re.fullmatch(r"d/(clip|method)-[\w-]{1,80}\.html", file) for file in files)
    assert len({file.lower() for file in files}) == len(files)


def test_test_clips_come_first_and_training_clips_have_no_page():
    samples = [
        sample("c_0", "c", "unseen-clip"),
        sample("b_0", "b", "train"),
        sample("b_1", "b"),
        sample("a_0", "a", "train"),
    ]
    assert {clip: [s.key for s in group] for clip, group in held_out_clips(samples).items()} == {
        "b": ["b_0", "b_1"],
        "c": ["c_0"],
    }
    assert list(held_out_clips(samples)) == ["b", "c"]


def test_a_case_shows_its_own_source_driver_and_output(finished_run, synthetic_shards):
    reader = ShardReader(synthetic_shards)
    inputs = Inputs(reader, 32)
    with Gallery(Results(finished_run), "synthetic", reader) as gallery:
        for pair, row in list(gallery.pairs("cross").items())[:3]:
            motion = ("absolute", "relative")[pair % 2]
            uri = gallery.pair("planedict", "cross", pair, motion)
            shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), int)
            with Reenactments(finished_run / "reenactments/synthetic/planedict/cross") as outputs:
                output = outputs.picture(f"{motion}/{pair:05d}.png")
            photo = inputs.picture(row["source_key"], row["source_frame"])
            driver = inputs.picture(row["driver_key"], row["driver_frame"])
            assert shown.shape == (32, 96, 3)
            assert np.abs(shown - np.hstack([photo, driver, output])).mean() < 6


def test_pages_say_what_was_measured_and_what_failed(finished_run):
    folder = finished_run / "pages" / "synthetic"
    listed = json.loads((finished_run / "pages" / "index.json").read_text())["pages"]
    assert {finished_run / "pages" / entry["file"] for entry in listed} == set(folder.glob("*.html"))
    text = (folder / "method-planedict.html").read_text()
    assert "no face found in &lt;the output&gt;" in text and "Table 4" in text and "<svg" in text
    assert text.count("<video") == 4 and "yaw +0.0" in text and "../../report.html#pages" in text
    lost = [pair for pair in range(10) if pair % 5 == 4]
    assert f"{2 * len(lost)} of 20 outputs (10 pairs, every kind of motion) could not be used" in text
    assert (
        "of unseen clips" not in text
        and "pair 4, relative" in text
        and "Absolute motion (the driver&#39;s camera; of methods without cameras its keypoints). Bars" in text
    )
    table = pd.read_csv(finished_run / "tables" / "table1.csv")
    own = table[(table["method"] == "PlaneDict") & (table["motion"] == "absolute") & table["paper"].isna()]
    assert f"{own[own['metric'] == 'PSNR']['measured'].item():.2f}" in text
    clip = (folder / "clip-ann.html").read_text()
    assert all(name in clip for name in ("PlaneDict (5)", "copy of the source", "kept", "train: 10 frames"))
    assert "Absolute motion (the driver&#39;s camera; of methods without cameras its keypoints). Means" in clip
    assert "<small>invented</small>" in clip
    assert not re.search(r"https?://|@import|url\(", text + clip)


def test_wrong_input_ends_in_one_sentence(tmp_path, synthetic_shards, capsys):
    with pytest.raises(SystemExit) as stopped:
        pages.main(
            ["--results", str(tmp_path / "no"), "--shards", str(synthetic_shards), "--methods", "{}", "--output", "x"]
        )
    assert stopped.value.code == 2 and str(tmp_path / "no") in capsys.readouterr().err
