"""A table of the user's own clips."""

import logging
from pathlib import Path

import pytest

from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.settings import ListSettings
from preprocessing.sources.cliplist import ListSource
from preprocessing.sources.entries import Entry
from tests.preprocessing.lists_of_clips import write


def source(path: Path, *lines: str) -> ListSource:
    return ListSource(ListSettings(kind="list", path=write(path / "mine.csv", *lines)))


def entries(path: Path, *lines: str) -> list[Entry]:
    return source(path, *lines).entries()


HEADER = "clip,url,file,person,split,start,end,fps,left,top,right,bottom,sha256"


def test_clips_come_from_youtube_addresses_and_files(tmp_path: Path) -> None:
    youtube, address, file = entries(
        tmp_path,
        HEADER,
        "a,https://youtu.be/-AbC_123xyz?t=4,,p,test,10,20,25,.1,.2,.3,.4,",
        "b,https://example.org/talks/My%20talk.webm?x=1,,q,,,,,,,,,",
        f"c,,videos/c.mp4,r,unseen-clip,5,,,,,,,{'A' * 64}",
    )
    assert (youtube.url, youtube.file) == ("https://www.youtube.com/watch?v=-AbC_123xyz", "-AbC_123xyz.mp4")
    assert (youtube.segments, youtube.rate, youtube.box) == (((10, 20, "test"),), 25, (0.1, 0.2, 0.3, 0.4))
    assert address.url == "https://example.org/talks/My%20talk.webm?x=1"
    assert address.file.startswith("My-20talk-") and address.file.endswith(".webm")
    assert (address.segments, address.rate, address.box) == (((0, -1, "train"),), 0, None)
    assert (file.url, file.file, file.sha256, file.segments) == (
        "",
        "videos/c.mp4",
        "a" * 64,
        ((5, -1, "unseen-clip"),),
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://youtube.com/watch?v=AAAAAAAAAAA",
        "https://www.youtube.com/watch?list=x&v=AAAAAAAAAAA&t=4s",
        "https://m.youtube.com/shorts/AAAAAAAAAAA",
        "https://www.youtube.com/embed/AAAAAAAAAAA?start=3",
    ],
)
def test_every_way_to_name_a_video_of_youtube_is_one_download(tmp_path: Path, url: str) -> None:
    assert entries(tmp_path, "clip,person,url", f"a,p,{url}")[0].url == "https://www.youtube.com/watch?v=AAAAAAAAAAA"


def test_two_addresses_never_share_a_file_and_one_does(tmp_path: Path) -> None:
    rows = [f"{n},p,https://example.org/{place}" for n, place in enumerate(("x/v.mp4", "y/v.mp4", "x/v.mp4"))]
    first, second, third = (entry.file for entry in entries(tmp_path, "clip,person,url", *rows))
    assert first == third != second


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",https://a.org/x,,p,,,,,,,,,", "clip = '' is not given"),
        ("a,,,p,,,,,,,,,", "exactly one of url and file is needed"),
        ("a,https://a.org/x,x.mp4,p,,,,,,,,,", "exactly one of url and file is needed"),
        ("a,file:///etc/passwd,,p,,,,,,,,,", "url = 'file:///etc/passwd' is not an http(s) address"),
        ("a,https://www.youtube.com/playlist?list=x,,p,,,,,,,,,", "url is of YouTube, but not of one video"),
        ("a,,x.mp4,p,dev,,,,,,,,", "split = 'dev' is not one of train, test, unseen-clip"),
        ("a,,x.mp4,p,,5,5,,,,,,", "end must be greater than start"),
        ("a,,x.mp4,p,,1.5,,,,,,,", "start = '1.5' is not a whole number from 0 on, or nothing"),
        ("a,,x.mp4,p,,,,0,,,,,", "fps = '0.0' is not a frame rate"),
        ("a,,x.mp4,p,,,,,.1,.2,.3,,", "left, top, right and bottom come together"),
        ("a,,x.mp4,p,,,,,.1,.5,.3,.4,", "bottom must be greater than top"),
        ("a,,x.mp4,p,,,,,100,50,300,400,", "left = '100.0' is not a share of the frame"),
        ("a,,x.mp4,p,,,,,,,,,12ab", "sha256 = '12ab' is not 64 hexadecimal digits"),
    ],
)
def test_a_bad_row_is_a_row_with_its_reason(tmp_path: Path, row: str, problem: str) -> None:
    good, bad = entries(tmp_path, HEADER, "g,,g.mp4,p,,,,,,,,,", row)
    assert (good.reason, bad.reason) == ("", "bad-row")
    assert bad.detail.startswith(f"mine.csv, line 3: {problem}")


def test_two_rows_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rows = ["a,p,a.mp4,test", "a,p,a.mp4,test", "a,p,b.mp4,train"]
    first, second, third = entries(tmp_path, "clip,person,file,split", *rows)
    assert [first.reason, second.reason, third.reason] == ["", "duplicate", "duplicate"]
    assert second.detail == "mine.csv, line 3: the same clip as mine.csv, line 2"
    assert third.detail == "mine.csv, line 4: the same clip as mine.csv, line 2, with other values"


def test_without_splits_every_fourth_person_is_held_out_with_the_videos_they_share(tmp_path: Path) -> None:
    rows = [f"{n},p{n % 8},v{n}.mp4" for n in range(16)] + ["x,p0,v3.mp4"]
    parts = {entry.clip: entry.segments[0][2] for entry in entries(tmp_path, "clip,person,file", *rows)}
    assert {clip for clip, part in parts.items() if part == "test"} == {"3", "11", "7", "15", "x", "0", "8"}


def test_the_users_own_splits_hold_and_their_leaks_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = ["a,p,a.mp4,test", "b,p,b.mp4,train"]
    parts = [entry.segments[0][2] for entry in entries(tmp_path, "clip,person,file,split", *rows)]
    assert parts == ["test", "train"] and "person p in both train and test" in caplog.text


def test_dropped_rows_take_no_part_in_the_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = ["a,p,a.mp4,test,", "a,q,b.mp4,train,", "c,p,a.mp4,train,x", "d,q,b.mp4,train,"]
    entries(tmp_path, "clip,person,file,split,start", *rows)
    assert "both train and test" not in caplog.text
    rows = ["bad,o,x.mp4,x", *(f"{n},p{n},v{n}.mp4," for n in range(4))]
    parts = {entry.clip: entry.segments[0][2] for entry in entries(tmp_path, "clip,person,file,start", *rows)[1:]}
    assert parts == {"0": "train", "1": "train", "2": "train", "3": "test"}


def test_files_are_beside_the_table(tmp_path: Path) -> None:
    opened = source(tmp_path / "lists", "clip,person,file", "a,p,sub/a.mp4")
    with pytest.raises(Dropped, match="missing"):
        opened.bring("sub/a.mp4", "", tmp_path)
    path = write(tmp_path / "lists/sub/a.mp4", "x")
    assert opened.bring("sub/a.mp4", "", tmp_path) == path


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("clip,file", "a,b"), "has no column 'person'; it needs clip, person, and url or file"),
        (("clip;person;file", "a;p;b"), r"has no column 'clip' \(separated by a semicolon, not a comma\)"),
        (("clip,person", "a,b"), "it needs a column url or file"),
    ],
)
def test_a_file_that_is_no_list_is_one_sentence(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        entries(tmp_path, *lines)
    with pytest.raises(InputError, match="is not a file; kind 'list' needs a CSV table"):
        ListSource(ListSettings(kind="list", path=tmp_path / "absent.csv"))
