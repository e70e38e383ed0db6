"""Scoring a synthetic run: rows, counts, reasons, and the copy's exact answers."""

import numpy as np
import pandas as pd
import pytest

from evaluation.metrics.catalogue import PROTOCOLS
from evaluation.metrics.choice import Choice
from evaluation.metrics.faces import FaceReader
from evaluation.outputs import Reenactments, read_pairs
from evaluation.scores import COLUMNS, requested_degrees, score
from preprocessing.cli import InputError


@pytest.fixture(scope="module")
def choice(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANEDICT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Choice()


def pairs_csv(path, rows):
    pd.DataFrame(rows).to_csv(path, index=False)
    return read_pairs(path)


def test_self_rows_are_whole_and_undetected_faces_are_counted(tmp_path, shards, choice, make_pair, make_outputs):
    pairs = pairs_csv(tmp_path / "self.csv", [make_pair(i, ("ann_00", 0), ("ann_00", i + 1)) for i in range(3)])
    pictures = {("absolute", i): shards.frames("ann_00", [i + 1])[0][::2, ::2] for i in range(2)}
    pictures["absolute", 2] = np.zeros((128, 128, 3), np.uint8)
    with Reenactments(make_outputs(tmp_path / "out", pictures)) as outputs:
        table = score(pairs, outputs, shards, "self", choice)
    assert list(table.columns) == list(COLUMNS)
    rows = table[table["pair"] >= 0]
    measured = [name for name in PROTOCOLS["self"] if name != "lpips"]
    assert len(rows) == 3 * len(measured) and set(rows["motion"]) == {"absolute"}
    lost = rows[(rows["pair"] == 2) & (rows["metric"] == "CSIM")].iloc[0]
    assert not lost["used"] and np.isnan(lost["value"]) and lost["reason"] == "no face found in the generated image"
    assert rows[rows["pair"] == 2].set_index("metric").loc["PSNR", "used"]
    lpips = table[table["metric"] == "LPIPS"]
    assert len(lpips) == 1 and lpips.iloc[0]["pair"] == -1 and "alexnet-owt-7be5be79.pth" in lpips.iloc[0]["reason"]


def test_a_copy_is_its_source_exactly(tmp_path, shards, choice, make_pair, make_outputs):
    pairs = pairs_csv(tmp_path / "cross.csv", [make_pair(i, ("ann_00", 0), ("bob_00", i)) for i in range(4)])
    copies = {("none", i): shards.frames("ann_00", [0])[0] for i in range(4)}
    with Reenactments(make_outputs(tmp_path / "out", copies)) as outputs:
        table = score(pairs, outputs, shards, "cross", choice).set_index("metric")
    assert np.allclose(table.loc["CSIM", "value"], 1) and np.allclose(table.loc["AVD", "value"], 0, atol=1e-9)
    assert np.all(table.loc["PRMSE", "value"] > 3)  # the driver's head is rolled by nine degrees and more
    assert "129 images" in table.loc["FFD-dlib", "reason"] and "pt_inception" in table.loc["FID", "reason"]


def test_multiview_compares_with_the_requested_camera(tmp_path, shards, choice, make_pair, make_outputs):
    row = make_pair(0, ("ann_00", 0), ("bob_00", 1), yaw=0.2, pitch=-0.4)
    pairs = pairs_csv(tmp_path / "multiview.csv", [row])
    with Reenactments(make_outputs(tmp_path / "out", {("absolute", 0): shards.frames("ann_00", [0])[0]})) as outputs:
        table = score(pairs, outputs, shards, "multiview", choice).set_index("metric")
    seen = FaceReader().read(shards.frames("ann_00", [0])[0]).degrees
    wanted = requested_degrees(0.2, -0.4)
    assert table.loc["PRMSE", "value"] == pytest.approx(np.sqrt(np.mean((seen - wanted) ** 2)))


def test_requested_angles_have_the_signs_of_the_camera():
    assert np.allclose(requested_degrees(0, 0), 0, atol=1e-4)
    pitch, yaw, roll = requested_degrees(0.2, 0)
    assert yaw > 11 and abs(pitch) < 1e-4 and abs(roll) < 1e-4
    assert requested_degrees(0, 0.2)[0] < -5  # +pitch moves the camera down


@pytest.mark.parametrize("damage", ["pair", "member", "tar"])
def test_bad_reenactments_are_named(tmp_path, shards, choice, make_pair, make_outputs, damage):
    pairs = pairs_csv(tmp_path / "self.csv", [make_pair(0, ("ann_00", 0), ("ann_00", 1))])
    folder = make_outputs(
        tmp_path / "out", {("absolute", 0 if damage != "pair" else 7): shards.frames("ann_00", [0])[0]}
    )
    if damage == "tar":
        (folder / "frames.tar").write_bytes(b"not a tar")
    if damage == "member":
        index = pd.read_parquet(folder / "index.parquet")
        index.assign(member="absolute/99999.png").to_parquet(folder / "index.parquet")
    with pytest.raises(InputError, match=r"out|pair 7"), Reenactments(folder) as outputs:
        score(pairs, outputs, shards, "self", choice)
