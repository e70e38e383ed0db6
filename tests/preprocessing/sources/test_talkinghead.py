"""TalkingHead-1KH's lists."""

import subprocess
import zipfile
from functools import partial
from pathlib import Path

import pytest

from preprocessing.cli import InputError
from preprocessing.ffmpeg import ffmpeg
from preprocessing.settings import TalkingHead1KHSettings
from preprocessing.sheets import build
from preprocessing.sources.entries import Entry
from preprocessing.sources.talkinghead import TalkingHeadSource
from preprocessing.video import scan
from tests.preprocessing.lists_of_clips import TUBES, write

# As the dataset's script splits videos into minutes.
SPLIT = ["-c", "copy", "-map", "0", "-segment_time", "00:01:00", "-f", "segment"]


def entries(place: Path, **settings: object) -> list[Entry]:
    given = {"kind": "talkinghead1kh", "lists": place} | settings
    return TalkingHeadSource(TalkingHead1KHSettings.model_validate(given)).entries()


def test_a_tube_is_a_clip_of_a_minute_of_a_video(tmp_path: Path) -> None:
    write(tmp_path / "train_video_tubes.txt", *TUBES)
    first, second, third = build(entries(tmp_path, parts=["train"]), 1)
    assert first.clip == "aaaaaaaaaaa_0000_S0_E99_L100_T50_R400_B350" and first.person == "aaaaaaaaaaa"
    # Both ends are in; frames are the file's own, from the segment's first on.
    assert first.parts(30) == [(0, 100, "train")]
    assert second.parts(30) == [(3600 + 30, 3600 + 130, "train")] and second.parts(25) == [(3030, 3130, "train")]
    assert third.parts(24) == [(60 * 24 + 7, 60 * 24 + 8, "train")]
    assert first.place(360, 640) == pytest.approx((50, 25, 200, 175))
    assert first.url == second.url == "https://www.youtube.com/watch?v=aaaaaaaaaaa"


@pytest.mark.parametrize("folder", ["", "data_list/"])
def test_lists_lie_in_a_folder_or_in_the_published_zip(tmp_path: Path, folder: str) -> None:
    write(tmp_path / "lists" / folder / "val_video_tubes.txt", TUBES[0])
    with zipfile.ZipFile(tmp_path / "data_list.zip", "w") as archive:
        archive.writestr(f"{folder}val_video_tubes.txt", TUBES[0] + "\r\n")
    assert entries(tmp_path / "lists", parts=["val"]) == entries(tmp_path / "data_list.zip", parts=["val"])


def test_a_video_of_both_lists_is_test(tmp_path: Path) -> None:
    write(tmp_path / "train_video_tubes.txt", *TUBES)
    write(tmp_path / "val_video_tubes.txt", TUBES[0], "aaaaaaaaaaa_0003,720,1280,0,9,100,50,400,350")
    found = entries(tmp_path)
    assert [entry.reason for entry in found] == ["", "", "", "duplicate", ""]
    assert found[3].detail == "val_video_tubes.txt, line 1: the same clip as train_video_tubes.txt, line 1"
    assert {entry.person: entry.segments[0][2] for entry in found if not entry.reason} == {
        "aaaaaaaaaaa": "test",
        "bbbbbbbbbbb": "train",
    }


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("aaaaaaaaaaa,720,1280,0,99,100,50,400,350", "name = 'aaaaaaaaaaa' is not a video's id, _, 4 digits"),
        ("aaaaaaaaaaa_0000,720,1280,9,8,100,50,400,350", "end must be greater than start"),
        ("aaaaaaaaaaa_0000,720,1280,0,99,400,50,100,350", "right must be greater than left"),
        ("aaaaaaaaaaa_0000,0,1280,0,99,100,50,400,350", "H = '0.0' is not a size in pixels"),
        ("aaaaaaaaaaa_0000,720,1280,0,99,100,50,400", "8 fields instead of 9"),
        ("aaaaaaaaaaa_0000,720,1280,0,99,100,50,400,x", "B = 'x' is not a whole number"),
    ],
)
def test_a_bad_line_is_a_row_with_its_reason(tmp_path: Path, line: str, problem: str) -> None:
    write(tmp_path / "train_video_tubes.txt", TUBES[0], line)
    good, bad = entries(tmp_path, parts=["train"])
    assert (good.reason, bad.reason) == ("", "bad-row")
    assert bad.detail.startswith(f"train_video_tubes.txt, line 2: {problem}")


def test_places_without_lists_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no train_video_tubes\.txt"):
        entries(tmp_path)
    (tmp_path / "x.zip").write_text("x")
    with pytest.raises(InputError, match="neither a folder nor a zip of lists"):
        entries(tmp_path / "x.zip")
    write(tmp_path / "train_video_tubes.txt")
    with pytest.raises(InputError, match="lists no clips"):
        entries(tmp_path, parts=["train"])


def test_a_damaged_zip_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "data_list.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("val_video_tubes.txt", "x" * 1000)
    data = bytearray(path.read_bytes())
    data[50:54] = bytes(4)  # of the member, behind its head
    path.write_bytes(data)
    settings = TalkingHead1KHSettings(kind="talkinghead1kh", lists=path, parts=["val"])
    with pytest.raises(InputError, match="val_video_tubes"):
        TalkingHeadSource(settings).entries()


def test_segments_begin_at_the_first_key_frame_from_each_minute_on(tmp_path: Path) -> None:
    """What the dataset's splitting does, asked of ffmpeg itself: our offset is early by less than one distance of key
    frames."""
    fps, distance = 5, 7 * 5
    video = str(tmp_path / "v.mp4")
    made = ["-f", "lavfi", "-i", f"testsrc=size=32x32:rate={fps}:duration=200", "-c:v", "mpeg4", "-g", str(distance)]
    run = partial(subprocess.run, check=True)
    run([*ffmpeg("-v", "error"), *made, "-sc_threshold", "1000000000", video])
    run([*ffmpeg("-v", "error"), "-i", video, *SPLIT, str(tmp_path / "v_%04d.mp4")])
    lengths = [scan(path).frames for path in sorted(tmp_path.glob("v_*.mp4"))]
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    keys = range(0, 200 * fps, distance)
    assert sum(lengths) == 200 * fps
    assert starts == [next(key for key in keys if key >= 60 * fps * number) for number in range(4)]
    write(tmp_path / "val_video_tubes.txt", *(f"aaaaaaaaaaa_{number:04d},32,32,0,9,0,0,9,9" for number in range(4)))
    offsets = [row.parts(fps)[0][0] for row in build(entries(tmp_path, parts=["val"]), 1)]
    assert all(0 <= start - offset < distance for start, offset in zip(starts, offsets, strict=True))
