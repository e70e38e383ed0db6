"""The agreement of detectors: nothing differs from itself, and random weights of the real layouts go all the way."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing.agreement import Found, angle_between, differences, in_the_middle, main
from preprocessing.cameras import flip_camera, intrinsics, label
from preprocessing.detectors.points import as_ibug
from preprocessing.reference_face import reference_face
from tests.preprocessing.layouts import write_bisenet, write_deep3d, write_fan, write_sfd

FACE = reference_face() * 100
FRONTAL = label(np.diag([1.0, -1, -1, 1]), intrinsics())
MASK = np.arange(64).reshape(8, 8) % 7


@pytest.fixture
def crop(film: Path) -> str:
    """Rows of the crop stage of a film of a portrait."""
    return str(film / "crop" / "00000.parquet")


def test_nothing_differs_from_itself(crop: str, tmp_path: Path):
    output = tmp_path / "agreement.json"
    main(["--crop", crop, "--families", "embedded", "embedded", "--per-clip", "2", "--output", str(output)])
    found = json.loads(output.read_text())
    assert len(found["frames"]) == 2
    assert found["missed"] == {"box": [0, 0], "landmarks": [0, 0], "camera": [0, 0]}
    for measure, values in found["summary"].items():
        expected = 1 if "iou" in measure else 0
        assert values["mean"] == values["worst_tenth"] == pytest.approx(expected, abs=1e-4), measure
    assert {"box_iou", "landmark_nme", "camera_degrees", "mask_iou_mouth"} <= found["summary"].keys()
    assert Image.open(output.with_suffix(".png")).size == (2 * 196 - 4, 4 * 196 - 4)


def test_the_papers_detectors_are_compared_with_the_embedded(crop: str, tmp_path: Path, monkeypatch):
    for write in (write_sfd, write_fan, write_bisenet, write_deep3d):
        write(tmp_path)
    monkeypatch.setattr("preprocessing.detectors.choice.weights.require", lambda name: tmp_path / name)
    output = tmp_path / "agreement.json"
    main(["--crop", crop, "--per-clip", "1", "--output", str(output)])
    found = json.loads(output.read_text())
    assert found["families"]["standard"]["boxes"].startswith("face-alignment-1.5.0-sfd s3fd-619a316812.pth:")
    assert found["missed"]["landmarks"] == [0, 0]
    assert found["summary"]["landmark_nme"]["mean"] > 0
    assert 0 <= found["summary"]["box_iou"]["mean"] < 1
    assert 0 <= found["summary"]["mask_iou_background"]["mean"] < 1


def test_a_video_that_is_gone_is_one_sentence(crop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tubes = json.loads(Path(crop).with_suffix(".tubes.json").read_text())
    tubes["tubes"] = [tube | {"path": str(tmp_path / "gone.mp4")} for tube in tubes["tubes"]]
    (tmp_path / "00000.tubes.json").write_text(json.dumps(tubes))
    command = ["--crop", str(tmp_path / "00000.parquet"), "--families", "embedded", "embedded"]
    with pytest.raises(SystemExit):
        main([*command, "--output", str(tmp_path / "agreement.json")])
    assert "cannot be decoded again (missing" in capsys.readouterr().err.splitlines()[-1]


def test_missing_weights_are_named_before_anything(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["--crop", "none.parquet", "--output", str(tmp_path / "a.json")])
    assert "s3fd-619a316812.pth is missing" in capsys.readouterr().err


def test_differences_have_the_units_they_name():
    one = Found(np.array([0.0, 0, 9, 9]), FACE, FRONTAL, MASK)
    shifted = as_ibug(FACE) + np.array([9, 0, 5])
    moved = Found(np.array([0.0, 0, 9, 4]), shifted, flip_camera(FRONTAL), np.where(MASK == 5, 1, MASK))
    found = differences(one, moved)
    assert found["box_iou"] == pytest.approx(0.5)
    width = np.linalg.norm((FACE[33] - FACE[263])[:2])
    assert found["landmark_nme"] == pytest.approx(9 / width)
    assert found["camera_degrees"] == pytest.approx(0, abs=1e-4)
    assert found["mask_iou_mouth"] == 0
    assert found["mask_iou_face"] == pytest.approx((MASK == 1).sum() / np.isin(MASK, (1, 5)).sum())
    assert found["mask_iou_hair"] == 1
    assert differences(one, Found(None, None, None, None)) == {}


def test_an_angle_is_that_of_the_turn():
    turned = np.eye(4)
    turned[:3, :3] = [[np.cos(0.2), 0, np.sin(0.2)], [0, 1, 0], [-np.sin(0.2), 0, np.cos(0.2)]]
    turned @= np.diag([1.0, -1, -1, 1])
    assert angle_between(FRONTAL, label(turned, intrinsics())) == pytest.approx(np.degrees(0.2), abs=1e-3)


def test_of_many_boxes_the_windows_is_meant():
    boxes = np.array([[0.0, 0, 10, 10], [40, 40, 62, 60]])
    assert np.array_equal(in_the_middle(boxes, (30, 30, 70, 70)), boxes[1])
    assert in_the_middle(boxes[:0], (30, 30, 70, 70)) is None
