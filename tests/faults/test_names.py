"""Names that a shell, an option parser, a path or a table could misread, through the whole data chain by Snakemake."""

import json
from pathlib import Path

import pytest

from preprocessing.reader import ShardReader
from preprocessing.rows import Row, read_rows
from tests.faults.named import STEMS
from tests.workflow.conftest import Project

pytestmark = [pytest.mark.chain, pytest.mark.timeout(900)]


def test_every_name_is_accounted_for_and_none_is_executed(named: Project, clips: Path):
    account = json.loads((named.folder / "results/mini/dataset/names.json").read_text(encoding="utf-8"))
    rows = {row["clip"]: row for row in account["clips"]}
    assert len(account["clips"]) == len(STEMS) and set(rows) == set(STEMS)
    assert {stem: rows[stem]["reason"] for stem in STEMS} == {
        stem: "corrupt" if number % 5 else "" for number, stem in enumerate(STEMS)
    }
    assert not [path for top in (named.folder, clips) for path in top.rglob("executed*")]
    page = (named.folder / "results/mini/dataset/names.html").read_text(encoding="utf-8")
    assert "<img" not in page


def test_samples_carry_their_clips_and_safe_keys(named: Project):
    reader = ShardReader(named.folder / "data/names/shards")
    kept = [stem for number, stem in enumerate(STEMS) if not number % 5]
    assert sorted({sample.clip for sample in reader.samples}) == sorted(kept)
    for sample in reader.samples:
        assert reader.meta(sample.key)["clip"] == sample.clip
        if sample.clip == sample.clip.strip():
            assert sample.person == f'{sample.clip}\'s \n"$(touch executed)"'
    rows = read_rows(named.folder / "data/names/shards/00000.parquet", Row)
    assert sorted(row.clip for row in rows) == sorted(STEMS)
    assert len({row.key.lower() for row in rows}) == len(rows)
