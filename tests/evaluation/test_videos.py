"""The report's videos: which clips are driven, and a file that plays."""

import imageio
import numpy as np
import pytest

from evaluation import videos
from evaluation.settings import ReportSettings
from evaluation.videos import PANEL, choose, write_video
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
    assert len(choose(SAMPLES, ReportSettings(videos=2))) == 2


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
            ["--shards", str(tmp_path), "--checkpoint", str(tmp_path / "no.safetensors"), "--output", str(tmp_path)]
        )
    assert "no.safetensors" in capsys.readouterr().err
