import json

import numpy as np
import pandas as pd
import pytest

from evaluation import recipe
from model.checkpoints import save_weights
from model.planedict import PlaneDict


def run(*arguments):
    parsed = recipe.parser().parse_args([str(a) for a in arguments])
    parsed.main(parsed)


def test_measure_and_table_of_two_variants(synthetic_shards, tiny_model, tmp_path):
    for seed in (0, 1):
        for variant in ("a", "b"):
            weights = tmp_path / f"{variant}{seed}.safetensors"
            save_weights(weights, PlaneDict(tiny_model), {"method": variant, "seed": str(seed), "step": "7"})
            output = tmp_path / str(seed) / f"{variant}.parquet"
            given = ["--shards", synthetic_shards, "--checkpoint", weights, "--clips", "ann", "bob"]
            run("measure", *given, "--output", output)
    measured = sorted(tmp_path.glob("*/*.parquet"))
    table = tmp_path / "recipe.csv"
    methods = json.dumps({"main": {"a": "first", "b": "second"}})
    pictures = sorted((tmp_path / "0").glob("*.npy"))
    run("table", "--measured", *measured, "--pictures", *pictures, "--methods", methods, "--output", table)
    lines = pd.read_csv(table)
    gain = lines[(lines["figure"] == "psnr_gain_db") & (lines["variant"] == "a")].iloc[0]
    assert (gain["people"], gain["seeds"], gain["n"], gain["steps"]) == ("known", 2, 2, 7)
    assert gain["low"] <= gain["value"] <= gain["high"] < 0, "an untrained model is worse than a copy"
    other = lines[(lines["figure"] == "psnr_gain_db") & (lines["variant"] == "b")].iloc[0]
    assert other["over_low"] <= other["over"] <= other["over_high"] and other["over"] == pytest.approx(
        other["value"] - gain["value"], abs=1e-3
    )
    text = (tmp_path / "recipe.md").read_text()
    assert "| first | 7 |" in text and "held-out frames" in text and "never seen" not in text
    assert (tmp_path / "recipe.png").stat().st_size > 1000


def test_interval_resamples_people_and_seeds():
    def lines(values):
        table = np.array(values, float)
        rows = [(s, p, table[s, p]) for s in range(table.shape[0]) for p in range(table.shape[1])]
        return recipe.cells(pd.DataFrame(rows, columns=["seed", "person", "value"]))

    assert recipe.interval(lines([[2, 2], [2, 2]])) == (2, 2, 2)
    mean, low, high = recipe.interval(lines([[0, 1], [0, 1], [0, 1]]))
    assert (mean, low, high) == (0.5, 0, 1), "two people who differ: the interval spans both"
    mean, low, high = recipe.interval(lines([[0.0] * 40, [1.0] * 40]))
    assert mean == 0.5 and (low, high) == pytest.approx((0, 1))
