"""The crop command: the ``tubes`` contract, and windows from a known track."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from preprocessing.crop import WINDOW_DECIMETRES, crop_clip, main, own_frames, read_boxes
from preprocessing.fetch import FetchRow
from preprocessing.reasons import Dropped
from preprocessing.settings import CropSettings
from preprocessing.sheets import SheetRow
from preprocessing.tracking import Track

BOX = [400, 200, 700, 500]


def write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_tubes_prints_json_alone(tmp_path: Path):
    boxes = write(tmp_path / "boxes.json", [BOX] * 70 + [[0, 0, 0, 0]] * 2)
    command = [
        sys.executable,
        "-m",
        "preprocessing.crop",
        "tubes",
        "--boxes",
        boxes,
        "--height",
        "1080",
        "--width",
        "1920",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [
        {"start": 0, "end": 70, "tube": BOX, "crop": [370, 170, 730, 530], "reason": None},
        {"start": 70, "end": 72, "tube": [0, 0, 0, 0], "crop": None, "reason": "zero-size"},
    ]


def test_tubes_takes_every_number_of_the_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    boxes = write(tmp_path / "boxes.json", [[100, 100, 160, 160]] * 5 + [[110, 100, 170, 160]] * 5)
    arguments = ["tubes", "--boxes", boxes, "--height", "400", "--width", "400"]
    main(
        [*arguments, "--iou", "0.9", "--increase", "0.5", "--min-frames", "3", "--max-frames", "4", "--min-size", "20"]
    )
    tubes = json.loads(capsys.readouterr().out)
    assert [(tube["start"], tube["end"], tube["reason"]) for tube in tubes] == [
        (0, 4, None),
        (4, 5, "too-short"),
        (5, 9, None),
        (9, 10, "too-short"),
    ]
    assert tubes[0]["crop"] == [70, 70, 190, 190]


@pytest.mark.parametrize(
    "value",
    [{"boxes": []}, [[1, 2, 3]], [[1, 2, 3, "4"]], [[1, 2, 3, True]], [[0, 0, 1, float("nan")]], [5]],
)
def test_wrong_boxes_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], value: object):
    path = write(tmp_path / "boxes.json", value)
    with pytest.raises(SystemExit) as end:
        main(["tubes", "--boxes", path, "--height", "10", "--width", "10"])
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert path in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "not json", "[[1,2,3,4]"])
def test_unreadable_boxes_name_the_file(tmp_path: Path, text: str):
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(Exception, match=r"boxes\.json is not valid JSON"):
        read_boxes(str(path))


def test_wrong_sizes_name_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "boxes.json", [])
    with pytest.raises(SystemExit):
        main(["tubes", "--boxes", path, "--height", "0", "--width", "10"])
    assert "--height must be at least 1, not 0." in capsys.readouterr().err


def sheet(segments: str) -> SheetRow:
    return SheetRow("a clip", "a-clip", file="a clip.mp4", person="anna", segments=segments)


MEDIA = FetchRow("a clip", "a-clip", path="x.mp4", width=1000, height=1000, fps=25.0, frames=200)
SETTINGS = CropSettings(min_frames=8, min_size=48, allow_padding=True)


def track(frames: int = 200, scale: float = 100.0) -> Track:
    boxes = np.tile([400.0, 400.0, 600.0, 600.0], (frames, 1))
    fits = np.array([(i, scale, 500 + i, 480) for i in range(0, frames, 5)], float)
    return Track(boxes, fits)


def test_segments_are_split_before_tubes():
    tubes = crop_clip(sheet('[[0, 90, "train"], [110, -1, "test"]]'), MEDIA, SETTINGS, track())
    assert [(tube["key"], tube["start"], tube["end"], tube["split"]) for tube in tubes] == [
        ("a-clip_00", 0, 90, "train"),
        ("a-clip_01", 110, 200, "test"),
    ]
    assert all(tube["person"] == "anna" and tube["clip"] == "a clip" for tube in tubes)


def test_the_window_has_one_side_and_follows_smoothly():
    (tube,) = crop_clip(sheet('[[0, -1, "train"]]'), MEDIA, SETTINGS, track())
    assert tube["window"]["side"] == pytest.approx(100 * WINDOW_DECIMETRES, abs=1e-3)
    centers = np.array(tube["window"]["centers"])
    assert centers.shape == (200, 2)
    steps = np.diff(centers[20:-25, 0])
    assert np.allclose(steps, 1, atol=1e-2)
    assert np.allclose(centers[:, 1], 480)


def test_a_tube_that_is_much_larger_keeps_its_own_side():
    fits = track().fits.copy()
    fits[30:, 1] = 200
    tubes = crop_clip(sheet('[[0, 150, "train"], [150, 200, "test"]]'), MEDIA, SETTINGS, Track(track().boxes, fits))
    sides = [tube["window"]["side"] for tube in tubes]
    assert sides == pytest.approx([100 * WINDOW_DECIMETRES, 200 * WINDOW_DECIMETRES], abs=1e-3)


def test_fomm_framing_stands_still():
    settings = SETTINGS.model_copy(update={"framing": "fomm"})
    (tube,) = crop_clip(sheet('[[0, -1, "train"]]'), MEDIA, settings, track())
    assert len({tuple(center) for center in tube["window"]["centers"]}) == 1
    assert tube["crop"] == (380, 380, 620, 620)


def test_dropped_clips_say_why():
    nothing = Track(np.zeros((100, 4)), np.zeros((0, 4)))
    others = dataclasses.replace(nothing, faces=3)
    late = "no-segment: the clip asks for frames from 300 on, the video has 200"
    cases = [
        (nothing, '[[0, -1, "train"]]', "no-face: none in 100 frames"),
        (others, '[[0, -1, "train"]]', "no-face: 3 faces, none in the list's box (100 frames)"),
        (track(), '[[300, 400, "train"]]', late),
        (track(), '[[0, 5, "train"]]', "too-short: longest stretch: 5 frames, face box 200 pixels"),
        (
            Track(track().boxes, np.zeros((0, 4))),
            '[[0, -1, "train"]]',
            "no-face: the landmark detector finds none in the boxes",
        ),
    ]
    for given, segments, words in cases:
        with pytest.raises(Dropped) as dropped:
            crop_clip(sheet(segments), MEDIA, SETTINGS, given)
        assert str(dropped.value) == words


def test_fomms_rejections_are_settings():
    small = Track(track().boxes * 0.2, track().fits)
    with pytest.raises(Dropped, match="too-small"):
        crop_clip(sheet('[[0, -1, "train"]]'), MEDIA, CropSettings(), small)
    outside = Track(track().boxes - 390, track().fits)
    strict = CropSettings(min_size=48)
    with pytest.raises(Dropped, match="leaves-the-frame"):
        crop_clip(sheet('[[0, -1, "train"]]'), MEDIA, strict, outside)
    (kept,) = crop_clip(sheet('[[0, -1, "train"]]'), MEDIA, SETTINGS, outside)
    assert kept["padded"]


def test_the_papers_detector_asks_for_its_weights(tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path))
    files = ["--sheet", "s", "--shard", "0", "--fetch", "f", "--output", str(tmp_path / "o.parquet")]
    with pytest.raises(SystemExit):
        main([*files, "--settings", '{"backend": "sfd"}'])
    error = capsys.readouterr().err.strip()
    assert "s3fd-619a316812.pth is missing: `python -m preprocessing.weights" in error
    assert len(error.splitlines()) == 1


def test_of_a_long_download_only_the_clips_own_frames_are_looked_at():
    row = sheet('[[5000, 5250, "train"], [5300, -1, "test"]]')
    media = FetchRow("a clip", "a-clip", path="x.mp4", width=1000, height=1000, fps=50.0, frames=20000)
    assert own_frames(row, media) == (5000, 20000)
    listed = dataclasses.replace(row, segments='[[5000, 5250, "train"]]', rate=25.0)
    assert own_frames(listed, media) == (10000, 10500)
    assert own_frames(dataclasses.replace(row, segments="[]"), media) == (0, 0)


def test_tubes_of_a_track_that_starts_late_are_counted_in_the_files_frames():
    late = track()
    fits = late.fits + np.array([5000, 0, 0, 0])
    (tube,) = crop_clip(sheet('[[5000, 5150, "train"]]'), MEDIA, SETTINGS, Track(late.boxes, fits, 5000))
    assert (tube["start"], tube["end"]) == (5000, 5150)
    assert tube["window"]["centers"][75] == pytest.approx([575, 480], abs=0.1)
    with pytest.raises(Dropped, match="no-segment"):
        crop_clip(sheet('[[0, 100, "train"]]'), MEDIA, SETTINGS, Track(late.boxes, fits, 5000))
