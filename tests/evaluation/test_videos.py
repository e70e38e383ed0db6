"""The report's videos: which clips are driven, and a file that plays."""

import json

import imageio
import numpy as np
import pytest

from evaluation.report import videos
from evaluation.report.videos import CAPTION, PANEL, choose, side_by_side, write_video
from evaluation.settings import ReportSettings
from preprocessing.reader import Sample


def sample(key: str, person: str, split: str, frames: int = 30) -> Sample:
    return Sample(key, key.rsplit("_", 1)[0], person, split, frames, 25.0, "00000", "tiny")


SAMPLES = [
    sample("ann_00", "ann", "train"),
    sample("ann_01", "ann", "test"),
    sample("ann_03", "ann", "test"),
    sample("bob_01", "bob", "test"),
    sample("bob2_00", "bob", "unseen-clip", 500),
]


def test_cross_videos_come_first_and_only_held_out_frames_drive():
    chosen = choose(SAMPLES, ReportSettings(videos=9, video_frames=40))
    assert [(d.driver, d.source.clip, d.kind, d.unseen) for d in chosen] == [
        ("ann", "bob", "cross", False),
        ("bob", "ann", "cross", False),
        ("bob2", "ann", "cross", True),
        ("ann", "ann", "self", False),
        ("bob", "bob", "self", False),
        ("bob2", "bob2", "self", True),
    ]
    assert chosen[0].frames[29:31] == (("ann_01", 29), ("ann_03", 0)) and len(chosen[0].frames) == 40
    assert [(d.driver, d.kind) for d in choose(SAMPLES, ReportSettings(videos=1))] == [
        ("ann", "cross"),
        ("ann", "self"),
    ]
    assert choose(SAMPLES, ReportSettings(videos=0)) == []


def test_one_person_drives_only_himself():
    chosen = choose([s for s in SAMPLES if s.person == "ann"], ReportSettings())
    assert [d.kind for d in chosen] == ["self"] and choose([], ReportSettings()) == []


def test_a_video_plays_back(tmp_path):
    frames = np.zeros((6, PANEL, 2 * PANEL, 3), np.uint8)
    frames[:, :, PANEL:] = np.linspace(0, 250, 6, dtype=np.uint8)[:, None, None, None]
    write_video(frames, 12.0, tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")  # plays before it is whole
    reader = imageio.get_reader(tmp_path / "a.mp4")
    assert reader.get_meta_data()["codec"] == "h264" and reader.get_meta_data()["fps"] == 12.0
    back = np.stack([np.asarray(frame) for frame in reader])
    assert back.shape == frames.shape and np.abs(back.astype(int) - frames).mean() < 4


def test_absent_weights_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        videos.main(
            ["--shards", str(tmp_path), "--checkpoints", str(tmp_path), "--methods", "{}", "--output", str(tmp_path)]
        )
    assert str(tmp_path / "planedict" / "final.safetensors") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("panels", "rows", "columns"), [(3, 1, 3), (4, 1, 4), (6, 2, 3), (8, 2, 4), (9, 3, 3), (11, 3, 4)]
)
def test_panels_stand_in_even_rows_below_their_names(panels, rows, columns):
    shades = {f"m{i}": np.full((2, 8, 8, 3), 20 * i, np.uint8) for i in range(panels)}
    shades["m0"] = shades["m0"][:1]  # the photo stands still
    frames = side_by_side(shades)
    assert frames.shape == (2, rows * (PANEL + CAPTION), columns * PANEL, 3)
    for i in range(panels):
        top, left = i // columns * (PANEL + CAPTION), i % columns * PANEL
        assert (frames[:, top + CAPTION : top + CAPTION + PANEL, left : left + PANEL] == 20 * i).all()
        assert frames[0, top : top + CAPTION, left : left + PANEL].max() > 150  # light words


@pytest.mark.parametrize("name", ["PlaneDict", "a method with a name much longer than its panel is wide"])
def test_names_stay_inside_their_panels(name):
    dark = np.zeros((1, 8, 8, 3), np.uint8)
    words = side_by_side({"": dark, name: dark, " ": dark})[0, :CAPTION].max(axis=(0, 2))
    assert words[PANEL : 2 * PANEL].max() > 150 and not words[:PANEL].any() and not words[2 * PANEL :].any()


def test_every_method_takes_part_as_in_the_tables(finished_run):
    entries = json.loads((finished_run / "videos" / "videos.json").read_text())["videos"]
    assert [(e["kind"], e["driver"], e["panels"][2:], list(e["alone"])) for e in entries] == [
        ("cross", "ann", ["PlaneDict", "PlaneDict (5)"], ["planedict"]),
        ("cross", "bob", ["PlaneDict", "PlaneDict (5)"], ["planedict"]),
        ("self", "ann", ["PlaneDict"], []),
        ("self", "bob", ["PlaneDict"], []),
    ]
    for entry in entries:
        assert entry["methods"] == ["planedict", "planedict-5"][: len(entry["panels"]) - 2]
        assert entry["dataset"] == "synthetic" and entry["frames"] == 6
        for name, panels in [(entry["file"], len(entry["panels"])), *((n, 4) for n in entry["alone"].values())]:
            reader = imageio.get_reader(finished_run / "videos" / name)
            assert reader.get_meta_data()["size"][0] == panels * PANEL and sum(1 for _ in reader) == 6
