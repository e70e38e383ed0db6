import pandas as pd

from evaluation.outputs import PAIR_COLUMNS, read_pairs
from evaluation.protocol import VIEW_OFFSETS, all_pairs, main, parser
from evaluation.settings import ProtocolSettings
from preprocessing.reader import Sample

SETTINGS = ProtocolSettings(self_frames_per_clip=5, cross_pairs=12, multiview_pairs=2, seed=0)


def sample(key: str, clip: str, person: str, split: str = "test", frames: int = 60) -> Sample:
    return Sample(key, clip, person, split, frames, 25.0, "00000", "d")


SAMPLES = [
    sample("a_00", "a", "ann"),
    sample("a_01", "a", "ann"),
    sample("b_00", "b", "bob"),
    sample("c_00", "c", "ann", "unseen-clip"),
    sample("d_00", "d", "dan", "train"),
]


def test_self_pairs_start_at_the_clips_first_frame_and_drive_with_held_out_ones():
    pairs = all_pairs(SAMPLES, SETTINGS)["self"]
    seen = pairs[~pairs["unseen"]]
    assert (seen["source_clip"] == seen["driver_clip"]).all()
    assert set(zip(seen["source_key"], seen["source_frame"], strict=True)) == {("a_00", 0), ("b_00", 0)}
    assert seen.groupby("driver_clip").size().to_dict() == {"a": 5, "b": 5}
    assert not ((seen["driver_key"] == seen["source_key"]) & (seen["driver_frame"] == 0)).any()


def test_where_time_is_held_out_the_source_may_be_a_training_frame_but_no_driver_is():
    samples = [sample("a_00", "a", "ann", "train"), sample("a_01", "a", "ann"), sample("a_02", "a", "ann", "train")]
    pairs = all_pairs(samples, SETTINGS)["self"]
    assert set(pairs["source_key"]) == {"a_00"} and set(pairs["driver_key"]) == {"a_01"}


def test_cross_pairs_join_different_people_and_never_training_clips():
    tables = all_pairs(SAMPLES, SETTINGS)
    cross = tables["cross"]
    assert (cross["source_person"] != cross["driver_person"]).all()
    assert not set(cross["source_clip"]) & {"d"} and not set(cross["driver_clip"]) & {"c", "d"}
    assert (~cross["unseen"]).sum() == 12
    assert set(cross.loc[cross["unseen"], "source_clip"]) == {"c"}


def test_multiview_renders_each_pair_at_25_views():
    multiview = all_pairs(SAMPLES, SETTINGS)["multiview"]
    assert len(multiview) == 50
    assert set(multiview["yaw"]) == set(multiview["pitch"]) == set(VIEW_OFFSETS)


def test_blocks_of_frames_when_clips_are_few_and_clips_when_many():
    few = all_pairs(SAMPLES, SETTINGS)["self"]
    assert few["block"].str.contains("#").all()
    many = all_pairs([sample(f"k{i}_00", f"k{i}", f"p{i}") for i in range(10)], SETTINGS)["self"]
    assert set(many["block"]) == {f"k{i}" for i in range(10)}


def test_one_person_has_no_cross_pairs_and_an_empty_set_no_pairs():
    alone = all_pairs(SAMPLES[:2], SETTINGS)
    assert len(alone["cross"]) == len(alone["multiview"]) == 0 and len(alone["self"]) == 5
    assert all(len(table) == 0 and list(table) == list(PAIR_COLUMNS) for table in all_pairs([], SETTINGS).values())


def test_pairs_are_the_same_every_time():
    for name, table in all_pairs(SAMPLES, SETTINGS).items():
        pd.testing.assert_frame_equal(table, all_pairs(SAMPLES, SETTINGS)[name])


def test_command_writes_lists_that_read_back(synthetic_shards, tmp_path):
    main(parser().parse_args(["--shards", str(synthetic_shards), "--output", str(tmp_path)]))
    pairs = read_pairs(tmp_path / "self.csv")
    assert set(pairs["source_key"]) == {"ann_00", "bob_00"} and not pairs["unseen"].any()
    assert len(read_pairs(tmp_path / "multiview.csv")) % 25 == 0
