"""Bootstrap intervals: what is resampled, and whether they cover."""

import numpy as np
import pytest

from evaluation.metrics.formulas import frechet_distance
from evaluation.statistics import mean_interval, resampling_units, set_interval


def test_clips_are_resampled_from_ten_on():
    clips = [f"c{i}" for i in range(10)]
    blocks = [f"{clip}#0" for clip in clips]
    assert resampling_units(clips, blocks) == (clips, "10 images of 10 clips")
    units, words = resampling_units(clips[:9], blocks[:9])
    assert units == blocks[:9] and words == "9 images in 9 blocks (stretches of 25 driver frames, 9 clips)"


def test_the_interval_is_that_of_the_clusters():
    generator = np.random.default_rng(0)
    means = generator.normal(size=40)
    values = np.repeat(means, 25) + generator.normal(scale=0.01, size=1000)
    clips = np.repeat([f"c{i}" for i in range(40)], 25).tolist()
    interval = mean_interval(values.tolist(), clips, clips, 2000)
    expected = 2 * 1.96 * means.std() / np.sqrt(40)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(expected, rel=0.2)


def test_one_unit_gives_no_interval_and_the_seed_decides():
    assert mean_interval([1.0], ["a"], ["a#0"], 100).low is None
    frames = mean_interval([1.0, 2.0], ["a", "a"], ["a#0", "a#0"], 100)
    assert frames.low == 1 and frames.high == 2 and frames.units == "2 images of one block, each by itself"
    draw = [mean_interval([1.0, 2.0, 4.0], ["a"] * 3, ["0", "1", "2"], 500) for _ in range(2)]
    assert draw[0] == draw[1]
    with pytest.raises(ValueError):
        mean_interval([], [], [], 100)


def test_a_distance_of_sets_lies_in_its_interval():
    generator = np.random.default_rng(1)
    real, made = generator.normal(size=(200, 4)), generator.normal(0.5, size=(200, 4))
    blocks = [f"#{i // 25}" for i in range(200)]
    interval = set_interval(frechet_distance, real, made, ["one"] * 200, blocks)
    assert interval.low <= interval.value <= interval.high and interval.value == frechet_distance(real, made)
    assert "each by itself" in set_interval(frechet_distance, real, made, ["one"] * 200, ["one"] * 200).units
