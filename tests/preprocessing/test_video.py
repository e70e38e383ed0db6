"""Decoding in a watched child: frames as they are, and every kind of failure as a reason."""

import contextlib
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from preprocessing.ffmpeg import Child
from preprocessing.reasons import Dropped
from preprocessing.settings import DecodeSettings, ScanSettings
from preprocessing.video import CHANGED, exact_rate, frame_times, frames, scan


def reason(call) -> Dropped:
    with pytest.raises(Dropped) as dropped:
        call()
    return dropped.value


def test_scan_tells_what_a_video_is(tmp_path: Path, make_video):
    info = scan(make_video(tmp_path / "a.mp4", frames=30, size="96x64", rate=30))
    assert (info.width, info.height, info.fps, info.frames) == (96, 64, 30.0, 30)


def test_frames_come_in_order_and_spans_choose(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=20)
    whole = dict(frames(path))
    assert list(whole) == list(range(20))
    assert whole[0].shape == (48, 64, 3)
    assert whole[0].dtype == np.uint8
    some = dict(frames(path, spans=[(2, 4), (7, 8), (18, 99)]))
    assert list(some) == [2, 3, 7, 18, 19]
    assert all(np.array_equal(some[index], whole[index]) for index in some)


def test_times_are_those_of_a_player(tmp_path: Path, make_video):
    even = make_video(tmp_path / "a.mp4", frames=20)
    np.testing.assert_allclose(frame_times(even), np.arange(20) / 25, atol=0.001)
    uneven = tmp_path / "uneven.mp4"
    late = "setpts='(0.3+N*0.05+0.01*mod(N,3))/TB'"
    silence = ["-f", "lavfi", "-i", "anullsrc", "-shortest"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(even), *silence, "-vf", late]
    subprocess.run([*command, "-fps_mode", "vfr", "-enc_time_base", "1/1000", str(uneven)], check=True)
    expected = 0.3 + np.arange(20) * 0.05 + 0.01 * (np.arange(20) % 3)
    np.testing.assert_allclose(frame_times(uneven), expected, atol=0.001)
    assert reason(lambda: frame_times(tmp_path / "no.mp4")).reason == "missing"


def test_leaving_early_ends_the_child(tmp_path: Path, make_video):
    stream = frames(make_video(tmp_path / "a.mp4", frames=50))
    assert next(stream)[0] == 0
    stream.close()


@pytest.mark.parametrize("name", ["-dash.mp4", "with space.mp4", "ünïcode.mp4", "quo'te.mp4"])
def test_odd_names(tmp_path: Path, make_video, monkeypatch: pytest.MonkeyPatch, name: str):
    plain = make_video(tmp_path / "plain.mp4", frames=5)
    plain.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert scan(name).frames == 5


def test_rotation_is_applied(tmp_path: Path, make_video):
    upright = make_video(tmp_path / "a.mp4", frames=3, size="96x64")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-display_rotation",
        "90",
        "-i",
        str(upright),
        "-c",
        "copy",
    ]
    subprocess.run([*command, str(tmp_path / "b.mp4")], check=True)
    info = scan(tmp_path / "b.mp4")
    assert (info.width, info.height) == (64, 96)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "empty-file"), (b"this is text, not a video\n", "corrupt"), (bytes(range(256)) * 400, "corrupt")],
)
def test_what_is_no_video_is_dropped(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    assert reason(lambda: scan(path)).reason == expected
    assert reason(lambda: list(frames(path))).reason == expected


def test_a_missing_file_is_dropped(tmp_path: Path):
    assert reason(lambda: scan(tmp_path / "gone.mp4")).reason == "missing"


def test_sound_without_picture_is_corrupt_with_the_same_words_every_time(tmp_path: Path):
    path = tmp_path / "sound.m4v"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(path)]
    subprocess.run(command, check=True)
    first, second = reason(lambda: scan(path)), reason(lambda: scan(path))
    assert first.reason == "corrupt"
    assert first.detail == second.detail
    assert str(tmp_path) not in first.detail


def test_truncated_files_are_dropped(tmp_path: Path, make_video):
    whole = make_video(tmp_path / "a.mp4", frames=100, size="320x240").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])  # the table of frames is at the end
    assert reason(lambda: scan(cut)).reason == "corrupt"
    whole = make_video(tmp_path / "b.mp4", 100, "320x240", options=("-movflags", "+faststart")).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])  # the table is there, half of the frames are not
    assert reason(lambda: scan(cut)).reason == "damaged"


def test_damage_has_a_limit_and_reads_the_same_every_time(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", 100, "320x240", options=("-movflags", "+faststart"))
    data = bytearray(path.read_bytes())
    start = len(data) * 3 // 4
    data[start : start + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    strict = reason(lambda: scan(path, ScanSettings(max_damaged=0)))
    assert strict.reason == "damaged"
    assert "0x" not in strict.detail
    generous = ScanSettings(max_damaged=0.9)
    infos = [scan(path, generous) for _ in range(3)]
    assert len(set(infos)) == 1
    assert 0 < infos[0].frames < 100
    runs = [b"".join(frame.tobytes() for _, frame in frames(path)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == infos[0].frames * 320 * 240 * 3


def test_a_slow_reader_does_not_fill_the_memory(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=150, size="640x480")
    with contextlib.closing(frames(path)) as stream:
        next(stream)
        time.sleep(0.5)
        # Other tests leave helpers of their own: multiprocessing's tracker, a browser's driver.
        (child,) = [child for child in psutil.Process().children() if "ffmpeg" in child.name()]
        assert child.memory_info().rss < 100 * 640 * 480 * 3  # the video decoded is 138 MB


def test_spans_give_the_same_frames_as_the_whole(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mkv", frames=30)
    whole = dict(frames(path))
    assert [index for index, _ in frames(path, spans=[])] == []
    for start, end in ((0, 1), (29, 30), (13, 17)):
        some = dict(frames(path, spans=[(start, end)]))
        assert list(some) == list(range(start, end))
        assert all(np.array_equal(some[index], whole[index]) for index in some)


@pytest.mark.parametrize("pixels", ["yuv420p10le", "gray", "yuv444p"])
def test_other_pixel_formats_are_rgb_too(tmp_path: Path, make_video, pixels: str):
    path = make_video(tmp_path / "a.mkv", frames=4, options=("-pix_fmt", pixels))
    assert scan(path).frames == 4
    assert next(frames(path))[1].shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("printed", "exact"), [(25.0, 25.0), (29.97, 30000 / 1001), (23.98, 24000 / 1001), (0.0, 25.0)]
)
def test_frame_rates_behind_two_decimals(printed: float, exact: float):
    assert exact_rate(printed) == exact


def test_a_playlist_named_like_a_video_is_not_followed(tmp_path: Path):
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    assert reason(lambda: scan(path)).reason == "corrupt"


def test_endless_videos_are_dropped(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=20)
    assert reason(lambda: scan(path, ScanSettings(max_frames=19))).reason == "endless"
    assert scan(path, ScanSettings(max_frames=20)).frames == 20


def joined(path: Path, *parts: Path) -> Path:
    """Streams one after the other in one file."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_a_size_that_changes_is_a_reason(tmp_path: Path, make_video):
    parts = [make_video(tmp_path / f"{size}.h264", size=size) for size in ("64x48", "96x64")]
    path = joined(tmp_path / "both.h264", *parts)
    dropped = reason(lambda: scan(path))
    assert (dropped.reason, dropped.detail) == ("size-changes", "64x48 then 96x64")
    assert reason(lambda: scan(path, until=21)).reason == "size-changes"
    assert scan(path, until=20).frames == 20  # of a download that holds many clips, those before can be used


def test_colours_that_change_are_no_reason(tmp_path: Path, make_video):
    parts = [make_video(tmp_path / f"{space}.h264", options=("-colorspace", space)) for space in ("bt709", "smpte170m")]
    path = joined(tmp_path / "both.h264", *parts)
    with Child(path, ScanSettings(), ["-f", "null", "-"], level="info") as child:
        assert CHANGED in child.told()
    assert scan(path).frames == 40


def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Replace FFmpeg by a shell script."""
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(fake))
    video = tmp_path / "a.mp4"
    video.write_bytes(b"something")
    return video


def test_a_silent_decoder_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = decoder(tmp_path, monkeypatch, "exec sleep 60")
    limits = DecodeSettings(stall_seconds=0.2, wall_seconds=0.5)
    assert reason(lambda: list(frames(video, limits))).reason == "timeout"
    assert reason(lambda: scan(video, ScanSettings(stall_seconds=0.2, wall_seconds=0.5))).reason == "timeout"


def test_a_trickling_decoder_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = decoder(tmp_path, monkeypatch, "printf 'P6\n999 999\n255\n'; while :; do printf x; sleep 0.05; done")
    dropped = reason(lambda: list(frames(video, DecodeSettings(stall_seconds=5, wall_seconds=0.4))))
    assert dropped.reason == "timeout"
    assert "more than" in dropped.detail


def test_a_dying_decoder_is_corrupt_and_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = decoder(tmp_path, monkeypatch, "kill -ABRT $$")
    dropped = reason(lambda: list(frames(video)))
    assert (dropped.reason, dropped.detail) == ("corrupt", "the decoder ended with signal 6")


def test_a_decoder_that_dies_before_a_time_stamp_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    limits = DecodeSettings(stall_seconds=5)
    with Child(decoder(tmp_path, monkeypatch, "kill -KILL $$"), limits, ["-"], seek=Fraction(1)) as child:
        assert child.time() is None
    limits = DecodeSettings(stall_seconds=0.2)
    with Child(decoder(tmp_path, monkeypatch, "exec sleep 60"), limits, ["-"], seek=Fraction(1)) as child:
        assert reason(child.time).reason == "timeout"


def test_a_decoder_that_cannot_be_started_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = decoder(tmp_path, monkeypatch, "true")

    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError("too many processes")

    monkeypatch.setattr(subprocess, "Popen", refused)
    before = psutil.Process().num_fds()
    with pytest.raises(BlockingIOError):
        Child(video, DecodeSettings(), []).__enter__()
    assert psutil.Process().num_fds() == before


def test_too_little_memory_is_a_reason(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=3, size="3840x2160", options=("-preset", "ultrafast"))
    assert reason(lambda: list(frames(path, DecodeSettings(memory_mb=256)))).reason == "memory-limit"


def test_a_scan_may_end_early(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=100, size="320x240", options=("-movflags", "+faststart"))
    assert scan(path, until=7).frames == 7
    assert scan(path, until=500).frames == 100
    data = bytearray(path.read_bytes())
    start = len(data) * 3 // 4
    data[start : start + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    strict = ScanSettings(max_damaged=0)
    assert reason(lambda: scan(path, strict)).reason == "damaged"
    good = scan(path, ScanSettings(max_damaged=1)).frames
    assert scan(path, strict, until=good).frames == good
    assert reason(lambda: scan(path, strict, until=good + 1)).detail.startswith(f"1 of {good + 1} ")


def test_every_so_manieth_frame(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mkv", frames=30)
    whole = dict(frames(path))
    some = dict(frames(path, spans=[(1, 14, 4), (14, 16), (20, 40, 3)]))
    assert list(some) == [1, 5, 9, 13, 14, 15, 20, 23, 26, 29]
    assert all(np.array_equal(some[index], whole[index]) for index in some)
    assert list(frames(path, spans=[(30, 40)])) == []
