"""A large sheet: none lost, none doubled, keys unique; and every shard reads its own."""

import random
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from preprocessing.sheets import build, read_sheet, shard_of, write_sheet
from preprocessing.sources.entries import Entry

CLIPS, SHARDS = 200_000, 400  # a million passes as well, in 21 s of processor time


def test_every_clip_is_a_row_of_one_shard(tmp_path: Path):
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
    write_sheet(tmp_path / "clips.parquet", rows)
    del rows
    table = pq.read_table(tmp_path / "clips.parquet", columns=["clip", "key", "status", "shard"])
    assert table.num_rows == CLIPS
    assert pc.count_distinct(table["clip"]).as_py() == CLIPS
    kept = table.filter(pc.field("status") == "kept")
    assert kept.num_rows == sum(not reason for reason in reasons)
    assert pc.count_distinct(pc.utf8_lower(kept["key"])).as_py() == kept.num_rows
    assert pc.max(pc.utf8_length(kept["key"])).as_py() <= 64 + len("-200000")
    shard = read_sheet(tmp_path / "clips.parquet", 7)
    assert sorted(row.clip for row in shard) == sorted(name for name in names if shard_of(name, SHARDS) == 7)
