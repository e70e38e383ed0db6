"""The tables that fetch leaves for its next run."""

from pathlib import Path

from preprocessing.retries import leave, waiting


def test_the_newest_table_of_each_shard_waits(tmp_path: Path):
    """A new number each time, also after nine; the table that was read stays, older ones go."""
    fetch = tmp_path / "fetch"
    assert waiting(fetch) == {}
    fetch.mkdir()
    for name in ("00000.parquet", "00000.json", "00000.again.parquet", "00000.again1.parquet.part"):
        (fetch / name).touch()
    assert waiting(fetch) == {}
    for _ in range(11):
        leave(fetch / "00000.parquet", Path.touch)
    leave(fetch / "00001.parquet", Path.touch)
    assert waiting(fetch) == {"00000": fetch / "00000.again11.parquet", "00001": fetch / "00001.again1.parquet"}
    assert [path.name for path in sorted(fetch.glob("00000.again1?.parquet"))] == [
        "00000.again10.parquet",
        "00000.again11.parquet",
    ]
    assert len(list(fetch.glob("*.again[1-9]*.parquet"))) == 3
