"""Paired comparisons: against exact and analytic answers, what is compared with what, and what is marked."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.statistics import holm, mean_interval, paired_difference
from evaluation.tables.comparisons import COLUMNS, LEVEL, compare, marks, read_comparisons
from evaluation.tables.paper import ODD, paper_ranks
from preprocessing.cli import InputError

NAMES = {"a": "A", "b": "B", "c": "C", "copy": "copy of the source"}


def scores(values, *, metric="CSIM", backend="dlib-128", motion="absolute", unused=()):
    """Rows of a score file: {slug: one value per pair}, a clip per pair; pairs in ``unused`` showed no face."""
    rows = []
    for slug, numbers in values.items():
        for pair, value in enumerate(numbers):
            row = {"run": "demo", "dataset": "d", "method": slug, "protocol": "self", "pair": pair, "metric": metric}
            row |= {"motion": "" if slug == "copy" else motion, "backend": backend, "unseen": False, "value": value}
            row |= {"driver_clip": f"c{pair}", "block": f"c{pair}#0", "used": (slug, pair) not in unused}
            rows.append(row)
    return pd.DataFrame(rows)


def of_metric(table, metric="CSIM"):
    return table[table["metric"] == metric].set_index(["method", "other"])


def test_pairing_finds_what_separate_intervals_cannot():
    generator = np.random.default_rng(0)
    hard = generator.normal(scale=1.0, size=200)  # what makes a pair hard, for both methods alike
    first, second = hard + 0.05, hard + generator.normal(scale=0.05, size=200)
    clips = [f"c{i}" for i in range(200)]
    separate = [mean_interval(values.tolist(), clips, clips, 2000) for values in (first, second)]
    assert separate[0].low < separate[1].high  # they overlap
    paired = paired_difference(first.tolist(), second.tolist(), clips, clips, 2000)
    assert paired.value == pytest.approx(np.mean(first - second)) and 0 < paired.low < paired.value < paired.high
    assert paired.p == pytest.approx(2 / 2001)


@pytest.mark.parametrize("shift", [0.0, 0.12, 0.2])
def test_p_and_interval_agree_with_students_test_on_many_clips(shift):
    generator = np.random.default_rng(3)
    first, second = generator.normal(shift, 1, 400), generator.normal(0, 1, 400)
    clips = [f"c{i}" for i in range(400)]
    ours = paired_difference(first.tolist(), second.tolist(), clips, clips, 8000)
    theirs = stats.ttest_rel(first, second)
    low, high = theirs.confidence_interval()
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.02)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.01)


def test_the_interval_is_scipys_percentile_bootstrap():
    generator = np.random.default_rng(4)
    difference = generator.gamma(2, size=60)
    clips = [f"c{i}" for i in range(60)]
    ours = paired_difference(difference.tolist(), [0.0] * 60, clips, clips, 5000)
    theirs = stats.bootstrap((difference,), np.mean, n_resamples=5000, method="percentile", random_state=0)
    interval = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.03)


def test_whole_clips_are_drawn_so_that_repeating_frames_adds_no_significance():
    differences = np.random.default_rng(5).normal(0.3, 1, 20)
    once = paired_difference(differences.tolist(), [0.0] * 20, list(map(str, range(20))), [""] * 20, 4000)
    clips = np.repeat(list(map(str, range(20))), 50).tolist()
    often = paired_difference(np.repeat(differences, 50).tolist(), [0.0] * 1000, clips, clips, 4000)
    assert (often.p, often.low, often.high) == pytest.approx((once.p, once.low, once.high))


def test_false_positives_are_as_rare_as_promised():
    generator = np.random.default_rng(6)
    clips = [f"c{i}" for i in range(40)]
    p = [paired_difference(generator.normal(size=40), np.zeros(40), clips, clips, 500).p for _ in range(400)]
    assert stats.binomtest(sum(value <= LEVEL for value in p), 400, 0.05, "greater").pvalue > 0.001
    assert sum(value <= LEVEL for value in p) > 0


@pytest.mark.parametrize("units", [2, 3, 5, 6])
def test_few_units_that_agree_are_no_more_than_equal_signs(units):
    clips = [f"c{i}" for i in range(units)]
    found = paired_difference(np.arange(1.0, units + 1).tolist(), [0.0] * units, clips, clips, 5000)
    signs = stats.binomtest(units, units, 0.5).pvalue
    assert found.low > 0 and found.p == pytest.approx(signs) and (found.p <= LEVEL) == (units >= 6)


def test_equal_methods_and_single_units():
    same = paired_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], list("abc"), list("abc"), 200)
    assert same.value == same.low == same.high == 0 and same.p == 1
    one = paired_difference([1.0], [0.0], ["a"], ["a#0"], 200)
    assert one.value == 1 and one.low is one.high is one.p is None
    with pytest.raises(ValueError):
        paired_difference([1.0, 2.0], [1.0, 2.0, 3.0], list("ab"), list("ab"), 200)


def test_holm_equals_the_closed_test_by_hand():
    # In order: .005·4, .01·3, .03·2, and .04·1 raised to the step before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.7, 0.8]) == [1.0, 1.0]
    generator = np.random.default_rng(7)
    for _ in range(50):
        p = generator.uniform(size=6) ** 3
        # Holm is the closure of Bonferroni: the largest Bonferroni p over all subsets that hold the hypothesis.
        subsets = [np.flatnonzero(bits) for bits in product((0, 1), repeat=6) if any(bits)]
        closed = [max(min(1.0, len(s) * p[s].min()) for s in subsets if i in s) for i in range(6)]
        assert holm(p.tolist()) == pytest.approx(closed)


def test_every_two_methods_meet_on_the_pairs_that_both_measured():
    base = np.random.default_rng(8).normal(size=30)
    values = {"a": base + 1, "b": base, "copy": base - 1}
    table = compare(2, scores(values, unused={("b", 0), ("a", 1)}), NAMES, 500)
    assert tuple(table.columns) == COLUMNS
    rows = of_metric(table)
    assert list(rows.index) == [("A", "B"), ("A", "copy of the source"), ("B", "copy of the source")]
    both = rows.loc[("A", "B")]
    assert both["n_pairs"] == 28 and both["difference"] == pytest.approx(1) and both["better"] == "A"
    assert "2 of 30 pairs not measured by both" in both["units"] and "28 clips" in both["units"]
    assert (table["motion"] == "absolute").all()
    missing = of_metric(table, "ET")
    assert (missing["n_pairs"] == 0).all() and missing["p"].isna().all() and (missing["better"] == "").all()


def test_the_lower_is_better_where_the_metric_says_so():
    values = {"a": np.arange(20.0), "b": np.arange(20.0) + 1}
    assert of_metric(compare(2, scores(values, metric="ET"), NAMES, 500), "ET").loc[("A", "B"), "better"] == "A"


def test_seeds_are_paired_with_themselves_and_motions_are_kept_apart():
    base = np.random.default_rng(9).normal(size=12)
    first = scores({"a": base, "b": base + 0.5})
    second = scores({"a": base + 10, "b": base + 10.5}).assign(run="demo-seed1")
    other = scores({"a": base, "b": base - 0.5}, motion="relative")
    table = compare(2, pd.concat([first, second, other], ignore_index=True), NAMES, 500)
    rows = table[table["metric"] == "CSIM"].set_index("motion")
    assert rows.loc["absolute", "n_pairs"] == 24 and rows.loc["absolute", "difference"] == pytest.approx(-0.5)
    assert rows.loc["absolute", "better"] == "B" and rows.loc["relative", "better"] == "A"
    assert rows.loc["absolute", "units"] == "24 images of 12 clips"


def test_two_backends_and_distances_of_sets_are_not_compared():
    base = np.arange(12.0)
    mixed = pd.concat([scores({"a": base}), scores({"b": base + 1}, backend="facenet-vggface2")], ignore_index=True)
    row = of_metric(compare(3, mixed, NAMES, 500)).loc[("A", "B")]
    assert row["better"] == "" and "dlib-128 and facenet-vggface2" in row["units"]
    ffd = of_metric(compare(3, scores({"a": base, "b": base}), NAMES, 500), "FFD-dlib").loc[("A", "B")]
    assert "one distance of sets" in ffd["units"] and ffd["n_pairs"] == 0


def test_many_methods_leave_enough_resamples_for_holms_first_step():
    base = np.random.default_rng(10).normal(size=40)
    names = {f"m{i}": f"M{i}" for i in range(8)}
    table = of_metric(compare(2, scores({f"m{i}": base + 3 * i for i in range(8)}), names, 100))
    assert len(table) == 28 and (table["better"] == table.index.get_level_values("other")).all()


def marked(values, table=2, metric="CSIM"):
    found = marks(compare(table, scores(values, metric=metric), NAMES, 500), {})
    ranks = {method: rank for (_, method, _, name), rank in found.rank.items() if name == metric}
    return ranks, {method: mark for (_, method, _, name), mark in found.copy.items() if name == metric}


def test_best_and_second_are_marked_only_where_significant():
    generator = np.random.default_rng(11)
    base = generator.normal(size=40)
    assert marked({"a": base + 2, "b": base + 1, "c": base})[0] == {"A": "best", "B": "second"}
    tied = {"a": base + generator.normal(scale=0.1, size=40), "b": base, "c": base - 1}
    assert marked(tied)[0] == {"A": "second", "B": "second"}  # neither is told from the other, both beat C
    assert marked({"a": base + 1, "b": base})[0] == {"A": "best"}
    assert marked({"a": base})[0] == {}  # nothing to be better than
    assert marked({"a": base, "copy": base - 5})[0] == {}  # the copy takes no part


def test_colours_against_the_copy():
    base = np.random.default_rng(12).normal(size=40)
    noise = np.random.default_rng(13).normal(scale=0.5, size=40)
    values = {"a": base - 1, "b": base + 1, "c": base + noise, "copy": base}
    assert marked(values, metric="ET")[1] == {"A": "better", "B": "worse"}
    assert marked(values, metric="CSIM")[1] == {}  # the copy is perfect there by construction
    relative = marks(compare(2, scores(values, metric="ET", motion="relative"), NAMES, 500), {})
    assert relative.copy == {} and relative.rank  # it does not aim at the driver's frame, as the copy does not


def test_the_papers_own_marks_follow_its_numbers():
    first = paper_ranks(1)
    assert first["", "FNeVR", "", "SSIM"] == "best" and first["", "PlaneDict", "", "SSIM"] == "second"
    assert first["", "DaGAN", "", "PSNR"] == "best" and first["", "PlaneDict", "", "LPIPS"] == "best"
    assert set(paper_ranks(4).values()) == {"best"}  # of two methods none is second
    fifth = paper_ranks(5)
    assert {method for (_, method, _, _), rank in fifth.items() if rank == "best"} == {"PlaneDict (20)"}
    assert all(1 <= table <= 5 for table, _ in ODD)


def test_without_pairs_there_is_nothing_to_compare_or_mark():
    table = compare(2, scores({"a": [], "b": []}, metric="ET").reindex(columns=list(scores({"a": [1.0]}))), NAMES, 500)
    assert table.empty and tuple(table.columns) == COLUMNS
    assert marks(table, {}).rank == marks(table, {}).copy == {}


def test_comparisons_read_back_and_name_bad_files(tmp_path):
    table = compare(2, scores({"a": np.arange(12.0), "b": np.arange(12.0) ** 1.1}), NAMES, 200)
    table.to_csv(tmp_path / "comparisons.csv", index=False)
    back = read_comparisons(tmp_path / "comparisons.csv")
    assert marks(back, {}).rank == marks(table, {}).rank and list(back["units"]) == list(table["units"])
    (tmp_path / "bad.csv").write_text("method,other\n")
    with pytest.raises(InputError, match=r"bad\.csv lack the columns table"):
        read_comparisons(tmp_path / "bad.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_comparisons(tmp_path / "nowhere.csv")
