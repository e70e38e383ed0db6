"""The clip sheet: keys, shards, segments, and what the command refuses."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from preprocessing.rows import GROUP
from preprocessing.sheets import build, main, read_sheet, safe, shard_of, write_sheet
from preprocessing.sources.entries import Entry

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
    assert [row.shard for row in rows] == sorted(row.shard for row in rows)
    table = pd.read_csv(tmp_path / "clips.csv", keep_default_na=False)
    assert list(table["clip"]) == ["cap12_edit", "cap13_edit2", "carphone_pristine", "franck"]
    assert [dataclasses.asdict(row) for row in rows] == table.sort_values("shard", kind="stable").to_dict("records")
    assert all(json.loads(row.segments) == [list(part) for part in row.parts(25)] for row in rows)
    assert read_sheet(output, 0) + read_sheet(output, 1) == rows
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
        ('{"source": {"kind": "voxceleb2", "path": "a", "lists": "b"}}', "or lists (utterance files), not both."),
        (
            '{"source": {"kind": "talkinghead1kh", "parts": []}}',
            "'source.parts' is empty: it needs at least one entry.",
        ),
        (
            '{"source": {"kind": "embedded", "scan": {"wall": 3}}}',
            "key 'source.scan.wall' (did you mean 'wall_seconds'?).",
        ),
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


def test_many_names_of_one_key_are_numbered_in_one_pass() -> None:
    # A dropped one takes no key; "clip-3" is taken by its own name.
    entries = [Entry(name, name, "p", ()) for name in ("日", "本", "clip-3", "語", "clip")]
    entries.insert(2, Entry("文", "f", "p", (), reason="not-a-video"))
    assert [row.key for row in build(entries, 1) if row.kept] == ["clip", "clip-2", "clip-3", "clip-4", "clip-5"]
    many = build([Entry("字" * (n + 1), str(n), "p", ()) for n in range(5000)], 7)
    assert [row.key for row in many] == ["clip", *(f"clip-{n}" for n in range(2, 5001))]


def test_a_shard_is_read_without_the_others(tmp_path: Path) -> None:
    rows = build([Entry(f"c{n}", f"c{n}.mp4", "p", ((0, -1, "train"),)) for n in range(3 * GROUP)], 5)
    write_sheet(tmp_path / "clips.parquet", rows)
    for shard in range(5):
        assert read_sheet(tmp_path / "clips.parquet", shard) == [row for row in rows if row.shard == shard]
    # The groups that may hold the first shard by their statistics, and so are read.
    about = pq.ParquetFile(tmp_path / "clips.parquet")
    column = about.schema_arrow.names.index("shard")
    least = [about.metadata.row_group(n).column(column).statistics.min for n in range(about.num_row_groups)]
    assert len(least) == 3 and sum(shard == 0 for shard in least) == 1
