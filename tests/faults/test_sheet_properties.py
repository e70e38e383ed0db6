"""Sheets and rows of any clips: nothing lost, nothing doubled, keys that any file system and any tar can hold."""

import dataclasses
import re
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.reasons import REASONS, Dropped
from preprocessing.rows import Row, drop, read_rows, statistics, write_rows
from preprocessing.sheets import SheetRow, build, read_sheet, safe, shard_of, without_doubles
from preprocessing.sources.entries import Entry

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=90)
NAMES = TEXT | st.sampled_from(
    ["$(touch x)", "; rm x", "--help", "-v", "..", "a/b", "A", "a", "a-2", "é", "日本", "\n", ""]
)
SPANS = st.tuples(st.integers(0, 10**6), st.integers(-1, 10**6), st.sampled_from(["train", "test", "unseen-clip"]))
SHARES = st.floats(0, 1)
ENTRIES = st.lists(
    st.builds(
        Entry,
        clip=NAMES,
        file=NAMES,
        person=NAMES,
        segments=st.lists(SPANS, max_size=4).map(tuple),
        sha256=TEXT,
        reason=st.sampled_from(["", "", "", "not-a-video", "removed"]),
        detail=TEXT,
        url=st.sampled_from(["", "https://example.org/a.mp4", "https://example.org/b.mp4"]),
        rate=st.sampled_from([0.0, 25.0, 30000 / 1001]),
        box=st.none() | st.tuples(SHARES, SHARES, SHARES, SHARES),
    ),
    max_size=30,
)


@given(ENTRIES, st.integers(1, 500))
def test_every_entry_is_a_row_and_keys_are_unique_and_safe(entries: list[Entry], shards: int):
    rows = build(without_doubles(entries), shards)
    assert [(row.clip, row.file, row.person, row.url) for row in rows] == [
        (entry.clip, entry.file, entry.person, entry.url) for entry in entries
    ]
    kept = [row for row in rows if row.kept]
    assert len({row.key.lower() for row in kept}) == len(kept)
    assert {row.clip for row in kept} == {entry.clip for entry in entries if not entry.reason}
    assert len({row.clip for row in kept}) == len(kept)
    for row, entry in zip(rows, entries, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,80}", row.key)
        assert 0 <= row.shard < shards
        assert row.shard == shard_of(entry.file if entry.url else entry.clip, shards)
        assert row.parts(row.rate or 25) == [tuple(span) for span in entry.segments]
        assert row.reason in {"", *REASONS}
        if entry.reason:
            assert (row.reason, row.detail) == (entry.reason, entry.detail)


@settings(max_examples=30)
@given(ENTRIES, st.integers(1, 9))
def test_a_sheet_reads_back_whole_and_shard_by_shard(entries: list[Entry], shards: int):
    rows = build(entries, shards)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clips.parquet"
        write_rows(path, rows, SheetRow)
        assert Counter(read_sheet(path)) == Counter(rows)
        assert Counter(row for shard in range(shards) for row in read_sheet(path, shard)) == Counter(rows)
        first = path.read_bytes()
        write_rows(path, rows, SheetRow)
        assert path.read_bytes() == first


@given(NAMES)
def test_a_safe_name_is_its_own_safe_name(name: str):
    assert safe(safe(name)) == safe(name)
    assert not safe(name).startswith("-") and "." not in safe(name) and 1 <= len(safe(name)) <= 64


@given(
    st.lists(SPANS, max_size=5).map(tuple), st.sampled_from([24.0, 25.0, 30.0, 50.0]), st.sampled_from([25.0, 29.97])
)
def test_segments_keep_their_order_and_seconds_at_any_frame_rate(segments: tuple, fps: float, rate: float):
    (row,) = build([Entry("c", "f", "p", segments, rate=rate)], 1)
    for (start, end, split), (first, last, same) in zip(segments, row.parts(fps), strict=True):
        assert split == same
        assert abs(first / fps - start / rate) <= 0.5 / fps + 1e-9
        assert last == -1 if end < 0 else abs(last / fps - end / rate) <= 0.5 / fps + 1e-9
        assert end < 0 or (first <= last) == (start <= end) or first == last


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(REASONS))), max_size=40))
def test_counts_add_up(fates: list[tuple[bool, str]]):
    rows = [Row(f"c{n}", f"c{n}") for n in range(len(fates))]
    rows = [
        row if kept else drop(row, "crop", Dropped(reason, "x"))
        for row, (kept, reason) in zip(rows, fates, strict=True)
    ]
    counts = statistics(rows)
    assert counts["kept"] + sum(counts["dropped"].values()) == counts["clips"] == len(fates)
    assert counts["kept"] == sum(kept for kept, _ in fates)


@settings(max_examples=30)
@given(st.lists(st.builds(Row, clip=TEXT, key=TEXT, detail=TEXT, attempts=st.integers(0, 2**62)), max_size=20))
def test_rows_read_back_as_they_were(rows: list[Row]):
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows.parquet", rows)
        assert [dataclasses.astuple(row) for row in read_rows(Path(folder) / "rows.parquet", Row)] == [
            dataclasses.astuple(row) for row in rows
        ]
