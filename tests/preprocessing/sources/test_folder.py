"""A folder of videos: what is listed, how it is split, and the traps of clips.csv."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.settings import FolderSettings, ScanSettings
from preprocessing.sources import folder as module
from preprocessing.sources.folder import FolderSource, look
from preprocessing.video import VideoInfo


def source(folder: Path) -> FolderSource:
    return FolderSource(FolderSettings(kind="folder", path=folder))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not open videos: a file counts as usable unless it is empty."""

    def glance(path: Path, _: object, limits: object) -> VideoInfo:
        if not path.stat().st_size:
            raise Dropped("empty-file")
        return VideoInfo(64, 48, 25.0, int(path.read_text() or 0))

    monkeypatch.setattr(module, "look", glance)


def fill(folder: Path, *names: str, frames: int = 300) -> None:
    for name in names:
        (folder / name).write_text(str(frames))


def splits(folder: Path) -> dict[str, list[str]]:
    return {entry.clip: [part[2] for part in entry.segments] for entry in source(folder).entries()}


def test_every_file_that_may_be_meant_is_a_row(tmp_path: Path):
    fill(tmp_path, "b.mp4", "a.MOV", "-dash.mp4", "with space.webm", "text.mp4", "odd.xyz", "noext")
    fill(tmp_path, "README.md", "notes.txt", ".hidden.mp4", "poster.jpg")
    (tmp_path / "sub").mkdir()
    entries = source(tmp_path).entries()
    assert [(entry.file, entry.reason) for entry in entries] == [
        ("-dash.mp4", ""),
        ("a.MOV", ""),
        ("b.mp4", ""),
        ("noext", "not-a-video"),
        ("odd.xyz", "not-a-video"),
        ("text.mp4", ""),
        ("with space.webm", ""),
    ]
    assert all(entry.person == entry.clip for entry in entries)


def test_the_second_of_two_files_with_one_stem_is_a_duplicate(tmp_path: Path):
    fill(tmp_path, "a.mkv", "a.mp4", "b.mp4")
    entries = source(tmp_path).entries()
    assert [(e.file, e.reason, e.detail) for e in entries] == [
        ("a.mkv", "", ""),
        ("a.mp4", "duplicate", "a.mkv has the same stem"),
        ("b.mp4", "", ""),
    ]


def test_a_name_that_is_no_utf8_is_a_row(tmp_path: Path):
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))).write_text("300")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    fill(tmp_path, "a.mp4")
    assert [(e.reason, e.clip) for e in source(tmp_path).entries()] == [("", "a"), ("bad-name", "\ufffd")]


def test_four_usable_videos_are_split_by_person(tmp_path: Path):
    fill(tmp_path, *(f"{name}.mp4" for name in "abcdefgh"))
    (tmp_path / "b.mp4").write_text("")  # not usable: does not count
    assert splits(tmp_path) == {
        "a": ["train"], "b": ["train"], "c": ["train"], "d": ["train"],
        "e": ["test"], "f": ["train"], "g": ["train"], "h": ["train"],
    }  # fmt: skip


def test_fewer_videos_hold_out_time(tmp_path: Path):
    fill(tmp_path, "a.mp4", "b.mp4", frames=500)
    fill(tmp_path, "short.mp4", frames=100)
    fill(tmp_path, "empty.mp4", "empty2.mp4")
    for name in ("empty.mp4", "empty2.mp4"):
        (tmp_path / name).write_text("")
    result = splits(tmp_path)
    assert result["a"] == ["train", "test", "train", "test", "train"]
    assert result["short"] == ["train", "test"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (200, ((0, 140, "train"), (160, 200, "test"))),
        (199, ((0, 140, "train"), (160, 199, "test"))),
        (60, ((0, 49, "train"), (52, 60, "test"))),
        (16, ((0, 16, "train"),)),
        (2, ((0, 2, "train"),)),
    ],
)
def test_short_clips_hold_out_what_they_can(count: int, expected: tuple):
    assert module.in_time(count, 25) == expected


def test_large_folders_are_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PROBED", 3)
    monkeypatch.setattr(module, "look", None)
    fill(tmp_path, *(f"{i}.mp4" for i in range(8)))
    assert [part for parts in splits(tmp_path).values() for part in parts].count("test") == 2


def test_an_empty_folder_is_one_sentence(tmp_path: Path):
    (tmp_path / "README.md").touch()
    with pytest.raises(InputError, match="holds no videos"):
        source(tmp_path).entries()


def sheet(folder: Path, text: str) -> None:
    fill(folder, "a.mp4", "b.mp4", "c d.mp4")
    (folder / "clips.csv").write_text(text, encoding="utf-8-sig")


def test_clips_csv_names_person_and_split(tmp_path: Path):
    sheet(tmp_path, "clip, person,split\na,anna,train\nb.mp4,bo, test \nc d,,unseen-clip\n")
    assert [(e.clip, e.person, e.segments) for e in source(tmp_path).entries()] == [
        ("a", "anna", ((0, -1, "train"),)),
        ("b", "bo", ((0, -1, "test"),)),
        ("c d", "c d", ((0, -1, "unseen-clip"),)),
    ]


def test_files_it_does_not_list_are_trained_on_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    sheet(tmp_path, "clip,person,split\na,anna,train\nb,anna,test\n")
    with caplog.at_level(logging.INFO):
        entries = source(tmp_path).entries()
    assert (entries[2].person, entries[2].segments) == ("c d", ((0, -1, "train"),))
    assert "does not list c d.mp4" in caplog.text
    assert "anna in both train and test" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a CSV table"),
        ("clip,split\na,train\n", "has no column 'person'"),
        ("a,anna,train\n", "has no column 'clip'"),
        ("clip,person,split\nz,anna,train\n", "line 2: clip 'z' is not a video in the folder"),
        ("clip,person,split\na,anna,train\nb,bo,valid\n", "line 3: split 'valid' is none of train, test, unseen-clip"),
        ("clip,person,split\na,anna,\n", "split '' is none of"),
        ("clip,person,split\na,anna,train\na,anna,test\n", "clip 'a' is listed twice"),
    ],
)
def test_a_wrong_sheet_is_one_sentence(tmp_path: Path, text: str, words: str):
    sheet(tmp_path, text)
    with pytest.raises(InputError, match=words):
        source(tmp_path).entries()


def test_a_row_written_twice_alike_does_no_harm(tmp_path: Path):
    sheet(tmp_path, "clip,person,split\na,anna,train\na,anna,train\nb,bo,test\nc d,cd,test\n")
    assert len(source(tmp_path).entries()) == 3


def test_looking_asks_for_a_face(tmp_path: Path, make_video):
    path = make_video(tmp_path / "a.mp4", frames=30)
    looked = []

    def detect(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        looked.extend(frames)
        return [np.zeros((int(len(looked) == 3), 4))]

    assert look(path, detect, ScanSettings()).frames == 30
    assert len(looked) == 3
    with pytest.raises(Dropped, match="no-face"):
        look(path, lambda frames: [np.zeros((0, 4))], ScanSettings())
    with pytest.raises(Dropped, match="too-short"):
        look(make_video(tmp_path / "one.mp4", frames=1), detect, ScanSettings())


def test_the_users_files_stay_in_place(tmp_path: Path):
    fill(tmp_path, "a.mp4")
    assert source(tmp_path).bring("a.mp4", "", tmp_path / "media") == tmp_path / "a.mp4"
    shutil.rmtree(tmp_path / "media", ignore_errors=True)
    with pytest.raises(Dropped, match="missing"):
        source(tmp_path).bring("gone.mp4", "", tmp_path / "media")
