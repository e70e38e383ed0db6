"""A sheet with a million rows: none lost, none doubled, keys unique; and every shard reads its own."""

import random
import resource
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from preprocessing.entries import Entry
from preprocessing.rows import write_rows
from preprocessing.sheets import SheetRow, build, read_sheet, shard_of

CLIPS, SHARDS = 1_000_000, 2000


def test_a_million_clips_are_a_million_rows(tmp_path: Path):
    draw = random.Random(0)
    # one in fifty has no ASCII letter, so that its key must be numbered; one in a thousand is dropped by the list
    names = [
        f"{'日本' * (1 + n % 7)}{chr(0x4E00 + n % 20_000)}{chr(0x4E00 + n // 20_000)}"
        if n % 50 == 0
        else f"id{n:07d}#v"
        for n in range(CLIPS)
    ]
    assert len(set(names)) == CLIPS
    reasons = ["removed" if draw.random() < 0.001 else "" for _ in range(CLIPS)]
    rows = build(
        [
            Entry(name, f"{name}.mp4", name[:5], ((0, -1, "train"),), reason=reason)
            for name, reason in zip(names, reasons, strict=True)
        ],
        SHARDS,
    )
    write_rows(tmp_path / "clips.parquet", rows, SheetRow)
    del rows
    table = pq.read_table(tmp_path / "clips.parquet", columns=["clip", "key", "status", "shard"])
    assert table.num_rows == CLIPS
    assert pc.count_distinct(table["clip"]).as_py() == CLIPS
    kept = table.filter(pc.field("status") == "kept")
    assert kept.num_rows == sum(not reason for reason in reasons)
    assert pc.count_distinct(pc.utf8_lower(kept["key"])).as_py() == kept.num_rows
    assert pc.max(pc.utf8_length(kept["key"])).as_py() <= 64 + len("-20000")
    shard = read_sheet(tmp_path / "clips.parquet", 7)
    assert sorted(row.clip for row in shard) == sorted(name for name in names if shard_of(name, SHARDS) == 7)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6 << 20  # KiB: a machine of 8 GB lists a million clips
