"""VoxCeleb's lists: every trap of FOMM's sheet, utterance files, and a copy of the mp4 parts."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from preprocessing.cli import InputError
from preprocessing.reasons import Dropped
from preprocessing.settings import VoxCeleb1Settings, VoxCeleb2Settings
from preprocessing.sheets import build
from preprocessing.sources.entries import Entry
from preprocessing.sources.voxceleb import VoxCeleb1Source, VoxCeleb2Source
from tests.preprocessing.lists_of_clips import FOMM_HEADER, FOMM_ROWS, UTTERANCE, real, write


def fomm(path: Path) -> list[Entry]:
    return VoxCeleb1Source(VoxCeleb1Settings(kind="voxceleb1", lists=path)).entries()


def kept(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if not entry.reason]


def split_of(entries: list[Entry], name: str) -> dict[str, set[str]]:
    """The parts in which each value of an entry's field is."""
    parts: dict[str, set[str]] = {}
    for entry in kept(entries):
        parts.setdefault(getattr(entry, name), set()).update(split for *_, split in entry.segments)
    return parts


def test_a_row_of_fomms_sheet_is_a_clip_of_a_video(tmp_path: Path) -> None:
    entry = fomm(write(tmp_path / "s.csv", FOMM_HEADER, FOMM_ROWS[0]))[0]
    assert (entry.clip, entry.file, entry.person) == ("id10001#aaaaaaaaaaa#000100#000200", "aaaaaaaaaaa.mp4", "id10001")
    assert entry.url == "https://www.youtube.com/watch?v=aaaaaaaaaaa"
    (row,) = build([entry], 1)
    # Frames at 25 per second, box in pixels of 1280 × 720, not square and left as it is.
    assert row.parts(50) == [(200, 400, "train")]
    assert row.place(720, 1280) == pytest.approx((400, 50, 600, 350))
    assert row.place(360, 640) == pytest.approx((200, 25, 300, 175))


def test_the_traps_of_fomms_sheet(tmp_path: Path) -> None:
    entries = fomm(write(tmp_path / "vox-metadata.csv", FOMM_HEADER, *FOMM_ROWS))
    assert len(entries) == len(FOMM_ROWS) and len({entry.clip for entry in entries}) == len(entries)
    assert Counter(entry.reason for entry in entries) == {"": 7, "duplicate": 2}
    duplicates = [entry for entry in entries if entry.reason]
    assert duplicates[0].detail == "vox-metadata.csv, line 4: the same clip as vox-metadata.csv, line 2"
    assert duplicates[0].clip == "id10001#aaaaaaaaaaa#000100#000200 (vox-metadata.csv, line 4)"
    # Nobody is in two parts: test people by the dataset's rule, and whoever shares a video with them.
    for name in ("person", "url"):
        assert all(len(parts) == 1 for parts in split_of(entries, name).values())
    assert split_of(entries, "person") == {
        "id10001": {"train"}, "id10002": {"train"}, "id10282": {"test"}, "id10306": {"test"}, "id10003": {"test"},
    }  # fmt: skip
    below = entries[3]
    assert below.box is not None and below.box[3] == pytest.approx(730 / 720)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("aaaaaaaaaa,1,99,1-1-9-9,25,640,360,train,id10001", "video_id = 'aaaaaaaaaa' is not an id of YouTube"),
        ("aaaaaaa;rm -,1,99,1-1-9-9,25,640,360,train,id10001", "video_id = 'aaaaaaa;rm -' is not an id"),
        ("aaaaaaaaaaa,99,99,1-1-9-9,25,640,360,train,id10001", "end must be greater than start"),
        ("aaaaaaaaaaa,-1,99,1-1-9-9,25,640,360,train,id10001", "start = '-1' is not a whole number from 0 on"),
        ("aaaaaaaaaaa,1,x,1-1-9-9,25,640,360,train,id10001", "end = 'x' is not a whole number"),
        ("aaaaaaaaaaa,1,99,1-1-9,25,640,360,train,id10001", "bbox = '1-1-9' is not l-t-r-b in pixels"),
        ("aaaaaaaaaaa,1,99,9-1-1-9,25,640,360,train,id10001", "right must be greater than left"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,0,640,360,train,id10001", "fps = '0.0' is not a frame rate"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,25,0,360,train,id10001", "width = '0.0' is not a width in pixels"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,25,640,360,val,id10001", "partition = 'val' is not train or test"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,25,640,360,train,../etc", "person_id = '../etc' is not an id of VoxCeleb"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,25", "5 fields instead of 9"),
        ("aaaaaaaaaaa,1,99,1-1-9-9,25,640,360,train,id10001,x", "10 fields instead of 9"),
        ("\udcff", "1 fields instead of 9"),
    ],
)
def test_a_bad_row_is_a_row_with_its_reason(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("\n".join([FOMM_HEADER, FOMM_ROWS[0], row, FOMM_ROWS[1]]).encode(errors="surrogateescape"))
    entries = fomm(path)
    assert [entry.reason for entry in entries] == ["", "bad-row", ""]
    assert entries[1].detail.startswith(f"s.csv, line 3: {problem}") and entries[1].clip.endswith("(s.csv, line 3)")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no column 'video_id'; it needs video_id, start"),
        (FOMM_HEADER, "lists no clips"),
        (FOMM_HEADER.replace("bbox", "box") + "\n" + FOMM_ROWS[0], "has no column 'bbox'"),
        ("PK\x03\x04\x00\x00", "has no column 'video_id'"),
        (FOMM_HEADER + '\n"' + "x" * 200_000, "is not a CSV table: field larger"),
    ],
)
def test_a_file_that_is_no_sheet_is_one_sentence(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=words) as error:
        fomm(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_the_real_sheet() -> None:
    """What is known of the file, measured."""
    entries = fomm(real("PLANEDICT_FOMM_SHEET"))
    assert len(entries) == 20_075
    assert Counter(entry.reason for entry in entries) == {"": 19_764, "duplicate": 311}
    assert len({entry.person for entry in entries}) == 435 and len({entry.url for entry in entries}) == 3_442
    for name in ("person", "url"):
        assert all(len(parts) == 1 for parts in split_of(entries, name).values())
    test = {person for person, parts in split_of(entries, "person").items() if parts == {"test"}}
    assert len(test) == 13 and {"id10282", "id10306"} <= test
    assert sum(split == "test" for entry in kept(entries) for *_, split in entry.segments) == 525
    boxes = [entry.box for entry in kept(entries) if entry.box is not None]
    assert len(boxes) == 19_764 and sum(bottom > 1 for *_, bottom in boxes) == 851
    frames = sum(end - start for entry in kept(entries) for start, end, _ in entry.segments)
    assert frames / 25 / 3600 == pytest.approx(45.25, abs=0.01)
    # A clip's name is its key but for the signs, and no two differ by these or by case alone.
    assert not any(row.key.endswith("-2") for row in build(kept(entries), 64))


def test_utterance_files_give_clips_in_lines_of_360(tmp_path: Path) -> None:
    write(tmp_path / "txt/id10001/aaaaaaaaaaa/00001.txt", UTTERANCE)
    write(tmp_path / "txt/id10270/bbbbbbbbbbb/00007.txt", UTTERANCE)
    write(tmp_path / "txt/id10001/aaaaaaaaaaa/00002.txt", UTTERANCE.replace("214", "x"))
    write(tmp_path / "txt/readme/00002.txt", "hello")
    settings = VoxCeleb1Settings(kind="voxceleb1", clips="utterances", lists=tmp_path)
    entries = VoxCeleb1Source(settings).entries()
    assert [entry.reason for entry in entries] == ["", "bad-row", "", "bad-row"]
    first, _, second, _ = entries
    assert (first.clip, first.segments) == ("id10001#aaaaaaaaaaa#00001", ((185, 188, "train"),))
    assert second.segments == ((185, 188, "test"),)  # by the person
    (row,) = build([first], 1)
    assert json.loads(row.box) == [213, 51, 361, 201] and row.place(720, 1280) == (426, 102, 722, 402)
    assert row.place(360, 480) == (213, 51, 361, 201)  # whatever the frame's width


def test_utterances_of_voxceleb2_are_read_from_zips_and_are_shares(tmp_path: Path) -> None:
    text = UTTERANCE.split("000185")[0] + "000185 \t0.25 \t0.5 \t0.25 \t0.25 \n000186 \t0.25 \t0.5 \t0.25 \t0.25 \n"
    with zipfile.ZipFile(tmp_path / "vox2_test_txt.zip", "w") as archive:
        archive.writestr("txt/id00017/aaaaaaaaaaa/00001.txt", text)
    settings = VoxCeleb2Settings(kind="voxceleb2", lists=tmp_path / "vox2_test_txt.zip")
    (entry,) = VoxCeleb2Source(settings).entries()
    assert entry.segments == ((185, 187, "test"),) and entry.box == (0.25, 0.5, 0.5, 0.75) and entry.lines == 0


def test_a_copy_of_voxceleb2_stays_in_place(tmp_path: Path) -> None:
    for name in ("dev/mp4/id00012/aaaaaaaaaaa/00001", "test/mp4/id00017/bbbbbbbbbbb/00002", "dev/mp4/stray/00001"):
        write(tmp_path / f"{name}.mp4", "x")
    source = VoxCeleb2Source(VoxCeleb2Settings(kind="voxceleb2", path=tmp_path))
    entries = source.entries()
    assert [(entry.clip, entry.segments) for entry in kept(entries)] == [
        ("id00012#aaaaaaaaaaa#00001", ((0, -1, "train"),)),
        ("id00017#bbbbbbbbbbb#00002", ((0, -1, "test"),)),
    ]
    assert [entry.reason for entry in entries] == ["", "bad-row", ""] and not entries[0].url
    assert entries[1].detail.startswith("dev/mp4/stray/00001.mp4: ")  # a file has no line
    assert source.bring(entries[0].file, "", tmp_path) == tmp_path / "dev/mp4/id00012/aaaaaaaaaaa/00001.mp4"
    with pytest.raises(Dropped, match="missing"):
        source.bring("gone.mp4", "", tmp_path)
    write(tmp_path / "dev/mp4/id00012/00009.mp4", "x")
    details = [entry.detail for entry in source.entries() if entry.reason]
    assert details[0] == "dev/mp4/id00012/00009.mp4: is not in …/id00012/{video}/"


def test_places_without_clips_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder of VoxCeleb2"):
        VoxCeleb2Source(VoxCeleb2Settings(kind="voxceleb2", path=tmp_path / "x"))
    with pytest.raises(InputError, match="holds no mp4 files"):
        VoxCeleb2Source(VoxCeleb2Settings(kind="voxceleb2", path=tmp_path)).entries()
    with pytest.raises(InputError, match="holds no utterance files"):
        VoxCeleb2Source(VoxCeleb2Settings(kind="voxceleb2", lists=tmp_path)).entries()
    (tmp_path / "no.zip").write_text("x")
    with pytest.raises(InputError, match="neither a folder nor a zip"):
        VoxCeleb2Source(VoxCeleb2Settings(kind="voxceleb2", lists=tmp_path / "no.zip")).entries()
    with pytest.raises(InputError, match=r"there is no vox-metadata\.csv at"):
        fomm(tmp_path)
