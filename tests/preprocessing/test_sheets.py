"""The clip sheet: keys, shards, segments, and what the command refuses."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from preprocessing.entries import Entry
from preprocessing.sheets import build, main, read_sheet, safe, shard_of

EMBEDDED = '{"source": {"kind": "embedded"}, "shards": 2}'


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("franck", "franck"),
        ("-dash", "dash"),
        ("with space", "with-space"),
        ("a.b/c", "a-b-c"),
        ("Zoë_№7", "Zoe_No7"),
        ("日本", "clip"),
        ("--", "clip"),
        ("x" * 200, "x" * 64),
    ],
)
def test_keys_are_safe_and_readable(stem: str, key: str):
    assert safe(stem) == key


def test_keys_are_unique_even_on_file_systems_that_ignore_case():
    names = ["a b", "a-b", "A-B", "日本", "clip"]
    rows = build([Entry(name, f"{name}.mp4", name, ()) for name in names], 1)
    assert [row.key for row in rows] == ["a-b", "a-b-2", "A-B-3", "clip", "clip-2"]


def test_shards_are_stable_and_even():
    assert [shard_of(f"clip{i}", 4) for i in range(6)] == [shard_of(f"clip{i}", 4) for i in range(6)]
    counts = Counter(shard_of(f"id{i:05d}", 16) for i in range(8000))
    assert len(counts) == 16
    assert max(counts.values()) < 600
    assert {shard_of(str(i), 1) for i in range(10)} == {0}


def test_dropped_entries_stay_in_the_sheet():
    (row,) = build([Entry("a", "a.txt", "a", (), reason="not-a-video", detail="suffix '.txt'")], 1)
    assert (row.status, row.stage, row.reason) == ("dropped", "sheets", "not-a-video")


def test_the_command_writes_parquet_and_csv_alike(tmp_path: Path):
    output = tmp_path / "clips.parquet"
    main(["--dataset", "embedded", "--output", str(output), "--settings", EMBEDDED])
    rows = read_sheet(output)
    assert [row.clip for row in rows] == ["cap12_edit", "cap13_edit2", "carphone_pristine", "franck"]
    table = pd.read_csv(tmp_path / "clips.csv")
    assert table["segments"].map(json.loads).tolist() == [[list(part) for part in row.parts(25)] for row in rows]
    assert {row.clip for row in read_sheet(output, 0)} | {row.clip for row in read_sheet(output, 1)} == set(
        table["clip"]
    )
    before = output.read_bytes()
    main(["--dataset", "embedded", "--output", str(output), "--settings", EMBEDDED])
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            '{"source": {"kind": "tape"}}',
            "'source.kind' = 'tape' is wrong: input should be one of 'embedded', 'folder', 'list', 'voxceleb1'",
        ),
        ('{"source": {"kind": "folder"}}', "key 'source.path' is missing"),
        ('{"source": {"path": "x"}}', "key 'source.kind' is missing"),
        (
            '{"source": {"kind": "folder", "paht": "x"}}',
            "unknown key 'source.paht' for kind 'folder' (did you mean 'path'?)",
        ),
        ('{"source": {"kind": "voxceleb2"}}', "kind 'voxceleb2' needs path (your copy of the mp4 parts) or lists"),
        ('{"source": {"kind": "talkinghead1kh", "parts": ["tran"]}}', "'source.parts.0' = 'tran' is wrong"),
        ('{"source": {"kind": "folder", "path": "/nowhere"}}', "/nowhere is not a folder"),
        ('{"source": {"kind": "embedded", "path": "x"}}', "unknown key 'source.path' for kind 'embedded'."),
        ('{"source": {"kind": "embedded", "frames": {"frank": 3}}}', "'frank', which is not an embedded clip"),
        ('{"source": {"kind": "embedded", "frames": {"franck": 0}}}', "source.frames.franck"),
        ('{"source": {"kind": "embedded"}, "shards": 0}', "shards"),
        ('{"source": {"kind": "embedded"}, "shard": 2}', "unknown key 'shard'"),
        ("{}", "'source' is missing"),
    ],
)
def test_wrong_settings_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, words: str):
    with pytest.raises(SystemExit) as end:
        main(["--dataset", "d", "--output", str(tmp_path / "c.parquet"), "--settings", settings])
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_segments_of_a_list_follow_the_files_frame_rate_and_its_box_the_frames_size() -> None:
    entry = Entry("c", "v.mp4", "p", ((25, 50, "train"), (75, -1, "test")), url="u", rate=25, box=(0.25, 0, 0.5, 1))
    (row,) = build([entry], 1)
    assert row.parts(50) == [(50, 100, "train"), (150, -1, "test")]
    assert row.parts(25) == [(25, 50, "train"), (75, -1, "test")]
    assert row.place(200, 400) == (100, 0, 200, 200)


def test_clips_of_one_download_share_a_shard() -> None:
    entries = [Entry(f"c{number}", "v.mp4", "p", ((0, 9, "train"),), url="u") for number in range(9)]
    assert len({row.shard for row in build(entries, 1000)}) == 1
    local = [Entry(f"c{number}", "v.mp4", "p", ((0, 9, "train"),)) for number in range(9)]
    assert len({row.shard for row in build(local, 1000)}) > 1
