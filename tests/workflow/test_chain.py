"""The whole chain at the size of mini.yaml: what it leaves, and what a second run does."""

import json
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.chain, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["table", "task", "dataset", "method", "metric", "motion", "measured", "ci_low", "ci_high"]
COLUMNS += ["paper", "n_used", "n_attempted", "backend", "label", "reason"]
DATA = ("crop_clips", "find_faces", "mask_regions", "write_shards")
REENACTMENTS = 3 + 3 + 5 + 2


def read_table(folder: Path, number: int) -> pd.DataFrame:
    """A table's CSV as text."""
    return pd.read_csv(folder / f"results/mini/tables/table{number}.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_tables_read_back(chain, number):
    table = read_table(chain.folder, number)
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["table", "dataset", "method", "metric", "motion"]).any()
    paper = pd.read_csv(ROOT / "evaluation" / "tables" / "paper_tables.csv", dtype=str, keep_default_na=False)
    paper = paper[paper["table"] == str(number)]
    printed = table[table["paper"] != ""]
    keys = ["table", "task", "dataset", "method", "metric"]
    wanted = paper.rename(columns={"value": "paper"})[[*keys, "paper"]]
    assert sorted(map(tuple, printed[[*keys, "paper"]].values)) == sorted(map(tuple, wanted.values))
    assert (printed["measured"] == "").all() and (printed["reason"] != "").all()
    own = table[table["paper"] == ""]
    assert {"copy of the source"} < set(own["method"])
    assert own["label"].str.startswith("mini").all()
    measured = own[(own["method"] == "copy of the source") & (own["measured"] != "")]
    assert len(measured) and (measured["n_used"].astype(int) > 0).all()
    text = (chain.folder / f"results/mini/tables/table{number}.md").read_text(encoding="utf-8")
    assert "PlaneDict" in text


@pytest.mark.parametrize(
    ("number", "method", "motions"), [(1, "FOMM's warp", 1), (2, "FOMM's warp", 1), (3, "FOMM", 3)]
)
def test_a_baseline_has_its_rows(chain, number, method, motions):
    table = read_table(chain.folder, number)
    own = table[(table["method"] == method) & (table["paper"] == "")]
    assert own.groupby("dataset")["motion"].nunique().eq(motions).all() and len(own)
    assert own["label"].str.contains("mini, trained here, without VGG-19's features").all()
    theirs = table[(table["method"] == method) & (table["paper"] != "")]
    assert theirs["measured"].eq("").all() and theirs["reason"].str.contains("miniature|not in this run").all()


def test_ablation_has_its_five_rows(chain):
    table = read_table(chain.folder, 5)
    own = set(table[table["paper"] == ""]["method"])
    names = {"without PlaneDict", *(f"PlaneDict ({n})" for n in (5, 10, 15, 20))}
    assert names < own


def test_every_stage_left_its_files(chain):
    results = chain.folder / "results" / "mini"
    account = json.loads((results / "dataset/mini.json").read_text(encoding="utf-8"))
    assert account["clips_in"] == len(account["clips"]) == 4
    assert account["kept"] + sum(account["dropped"].values()) == 4
    health = json.loads((results / "health.json").read_text(encoding="utf-8"))
    assert health["seeds"] and "psnr_gain_db" in health
    assert json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert {path.name for path in (results / "figures").glob("*.png")} >= {f"figure{n}.png" for n in (1, 3, 4, 5, 6)}
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "<html" in page and 'src="http' not in page and "src='http" not in page


def test_nothing_half_written_is_left(chain):
    left = [path for top in ("data", "results") for path in (chain.folder / top).rglob(".*") if path.is_file()]
    assert [path for path in left if path.name != ".snakemake_timestamp"] == []


def test_second_run_has_nothing_to_do(chain):
    assert "Nothing to be done" in chain.run()


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        ("results/mini/report.html", {"write_report": 1}),
        ("results/mini/scores/mini/planedict/cross.parquet", {"score_pairs": 1, "make_tables": 1}),
        (
            "results/mini/reenactments/mini/copy/self/frames.tar",
            {"reenact_pairs": 1, "score_pairs": 1, "make_tables": 1},
        ),
        ("results/mini/training/planedict-5.png", {"train_method": 1, "reenact_pairs": 1, "score_pairs": 1}),
        ("results/mini/pairs/mini/cross.csv", {"choose_pairs": 1, "reenact_pairs": REENACTMENTS}),
        ("data/mini/shards/00000.json", {"write_shards": 1, "train_method": 7, "score_pairs": REENACTMENTS}),
        ("data/mini/masks/00001.tar", {"mask_regions": 1, "write_shards": 1, "train_method": 7}),
        ("data/mini/faces/00000.parquet", {"find_faces": 1, "mask_regions": 1, "write_shards": 1, "train_method": 7}),
        ("data/mini/crop/00001.tubes.json", dict.fromkeys(DATA, 1) | {"train_method": 7, "write_report": 1}),
        ("data/mini/fetch/00000.json", dict.fromkeys(DATA, 1) | {"fetch_clips": 1, "train_method": 7}),
        ("data/mini/sheets/clips.csv", dict.fromkeys(DATA, 2) | {"write_sheet": 1, "fetch_clips": 2}),
    ],
)
def test_a_deleted_output_comes_back_with_what_follows(chain, deleted, expected):
    path = chain.folder / deleted
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        jobs = chain.jobs()
    finally:
        aside.rename(path)
    assert {rule: jobs.get(rule, 0) for rule in expected} == expected
    before = {"write_report": (), "make_tables": DATA, "score_pairs": DATA, "train_method": DATA}
    if deleted.startswith("results/"):
        assert not set(before["make_tables"]) & set(jobs)
    if "train_method" not in expected and "choose_pairs" not in expected and deleted.startswith("results/"):
        assert "train_method" not in jobs


@pytest.mark.parametrize(
    ("change", "reruns", "spares"),
    [
        ("evaluation={figures: {rows: 1}}", {"draw_figures"}, {"score_pairs", "train_method", "crop_clips"}),
        (
            "evaluation={backends: {csim: arcface-r50}}",
            {"fetch_weights", "score_pairs", "make_tables", "write_report"},
            {"train_method", "reenact_pairs", "draw_figures"},
        ),
        ("evaluation={bootstrap_samples: 101}", {"make_tables"}, {"score_pairs", "train_method"}),
        ("ablation={planedict-5: {training: {iterations: 7}}}", {"train_method", "make_tables"}, {"crop_clips"}),
        ("shard={quality: 90}", {"write_shards", "train_method"}, {"mask_regions", "crop_clips"}),
        ("crop={smoothing: 0.3}", {"crop_clips", "find_faces"}, {"fetch_clips", "write_sheet"}),
    ],
)
def test_a_changed_setting_reruns_what_depends_on_it(chain, change, reruns, spares):
    jobs = chain.jobs(options=("--config", change))
    assert reruns <= set(jobs)
    assert not spares & set(jobs)
    if "ablation" in change:
        assert jobs["train_method"] == 1


def test_snakemake_writes_its_own_report(chain):
    chain.run(options=("--report", "snakemake-report.zip"))
    assert (chain.folder / "snakemake-report.zip").stat().st_size > 10_000
