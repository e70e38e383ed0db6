"""Seeking gives the frames that a decoder finds who starts at the beginning, or is not done at all."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from preprocessing import seeking, video
from preprocessing.seeking import start_before
from preprocessing.settings import DecodeSettings
from preprocessing.video import frames

FRAMES = 300
LIMITS = DecodeSettings()

UNEVEN = ("-vf", "setpts='(0.3+N*0.05+0.01*mod(N,3))/TB'", "-fps_mode", "vfr", "-enc_time_base", "1/1000")
SOUGHT = {
    "b-frames.mp4": ("-g", "25", "-bf", "3"),
    "uneven.mp4": ("-g", "25", *UNEVEN),
    "open.mkv": ("-x264-params", "open-gop=1:keyint=25:bframes=3"),
    "refresh.mp4": ("-x264-params", "intra-refresh=1:keyint=25"),
    "interlaced.mp4": ("-g", "25", "-flags", "+ildct+ilme", "-x264-params", "interlaced=1"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"),
}
FROM_THE_START = {
    "stream.ts": ("-g", "25"),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "25"),
    "old.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "25"),
    "one-key.mp4": ("-g", "999"),
}


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small videos are long enough."""
    monkeypatch.setattr(seeking, "FAR", 60)


@pytest.fixture
def from_the_start(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First frame of every decoding from the beginning."""
    seen: list[int] = []
    decoded = video._decoded

    def noted(path, limits, wanted, start, filters=()):
        if start is None:
            seen.append(wanted[0].start)
        return decoded(path, limits, wanted, start, filters)

    monkeypatch.setattr(video, "_decoded", noted)
    return seen


def same(path: Path, spans: list[video.Span]) -> None:
    whole = dict(frames(path))
    some = dict(frames(path, spans=spans))
    assert list(some) == [index for span in spans for index in range(*span) if index in whole]
    assert all(np.array_equal(some[index], whole[index]) for index in some)


@pytest.mark.parametrize("name", SOUGHT)
def test_a_sought_frame_is_the_same(tmp_path: Path, make_video, name: str, from_the_start: list[int]):
    path = make_video(tmp_path / name, frames=FRAMES, options=SOUGHT[name])
    same(path, [(200, 203), (230, 260, 7), (298, 310)])
    assert from_the_start == [0]


@pytest.mark.parametrize("name", FROM_THE_START)
def test_what_is_not_sure_is_decoded_from_the_start(tmp_path: Path, make_video, name: str):
    path = make_video(tmp_path / name, frames=FRAMES, options=FROM_THE_START[name])
    assert start_before(path, 200, LIMITS) is None
    same(path, [(200, 203), (298, 310)])


def test_a_file_cut_without_decoding_keeps_its_indices(tmp_path: Path, make_video):
    whole = make_video(tmp_path / "whole.mp4", frames=FRAMES, options=("-g", "25", "-bf", "3"))
    for name, cut in (("list", ["-i", str(whole), "-ss", "1.3"]), ("key", ["-ss", "1.3", "-i", str(whole)])):
        part = tmp_path / f"{name}.mp4"
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *cut, "-c", "copy", str(part)], check=True)
        same(part, [(180, 190), (255, 300)])


def test_damage_before_the_place_still_ends_the_video(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", FRAMES, "320x240", options=("-g", "25", "-movflags", "+faststart"))
    data = bytearray(path.read_bytes())
    start = len(data) * 9 // 10
    data[start : start + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    good = len(dict(frames(path)))
    assert 200 < good < FRAMES
    same(path, [(180, 190), (good - 3, FRAMES)])


def test_a_wrong_table_is_noticed(tmp_path: Path, make_video, monkeypatch: pytest.MonkeyPatch, from_the_start):
    path = make_video(tmp_path / "a.mp4", frames=FRAMES, options=("-g", "25"))
    right = start_before(path, 200, LIMITS)
    assert right is not None
    late = seeking.Start(right.time(230), right.stamps, right.base)
    monkeypatch.setattr(video, "start_before", lambda *_: late)
    same(path, [(200, 203), (250, 252)])
    assert from_the_start[-1] == 200


def test_a_near_or_absent_frame_is_not_sought(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=FRAMES, options=("-g", "25"))
    assert start_before(path, 59, LIMITS) is None
    assert start_before(path, FRAMES, LIMITS) is None
    assert start_before(tmp_path / "no.mp4", 200, LIMITS) is None
    sought = start_before(path, 290, LIMITS)
    assert sought is not None
    assert len(sought.stamps) == FRAMES
    assert sought.seek == sought.time(250)
