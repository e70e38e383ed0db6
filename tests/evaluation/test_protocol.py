"""The pair lists: who meets whom, what is written beside them, and lists taken over from elsewhere."""

import json

import pandas as pd
import pytest

from evaluation.frozen import frozen_lists
from evaluation.outputs import PAIR_COLUMNS, read_pairs, read_real
from evaluation.protocol import PROTOCOLS, VIEW_OFFSETS, all_pairs, main, parser, real_set, sampled_lists
from evaluation.settings import ProtocolSettings
from preprocessing.cli import InputError
from preprocessing.files import sha256
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


def test_the_real_set_is_shared_among_clips():
    samples = [sample("a_00", "a", "p", frames=5), sample("b_00", "b", "p", frames=100)]
    samples += [sample(f"c_{tube:02d}", "c", "p") for tube in (0, 1)] + [sample("d_00", "d", "p", "train", 99)]
    chosen = real_set(samples, 45)
    assert len(chosen.drop_duplicates(["key", "frame"])) == len(chosen) == 45
    assert chosen.groupby("clip").size().to_dict() == {"a": 5, "b": 20, "c": 20}
    assert real_set([], 9).empty and len(real_set([sample("a_00", "a", "p", frames=3)], 9)) == 3


def test_the_real_set_is_as_large_as_the_cross_protocol_and_large_enough_for_embeddings():
    assert len(sampled_lists(SAMPLES, SETTINGS).real) == 129
    assert len(sampled_lists(SAMPLES, ProtocolSettings(cross_pairs=170)).real) == 170


def written(shards, output, **protocol):
    settings = json.dumps({"protocol": {"cross_pairs": 9, "multiview_pairs": 2} | protocol})
    main(parser().parse_args(["--shards", str(shards), "--output", str(output), "--settings", settings]))
    return json.loads((output / "protocol.json").read_text())


FILES = (*(f"{name}.csv" for name in PROTOCOLS), "real.csv")


def test_frozen_lists_that_a_run_sampled_give_the_same_lists(synthetic_shards, tmp_path):
    frozen = tmp_path / "pairs" / synthetic_shards.parent.name
    first = written(synthetic_shards, frozen)
    # Other sizes and seeds no longer matter.
    second = written(synthetic_shards, tmp_path / "again", frozen=str(frozen.parent), cross_pairs=3, seed=5)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (frozen / name).read_bytes()
    assert second["frozen"] == str(frozen.parent) and first["frozen"] is None and second["left_out"] == []
    for name, entry in first["lists"].items():
        assert second["lists"][name]["sha256"] == entry["sha256"] == sha256(frozen / f"{name}.csv")
        assert second["lists"][name]["got"] == entry["got"] and second["lists"][name]["asked"] is None


def test_the_rules_are_written_in_numbers(synthetic_shards, tmp_path):
    document = written(synthetic_shards, tmp_path, seed=4)
    cross, views = document["lists"]["cross"], document["lists"]["multiview"]
    assert cross["asked"] == {"pairs": 9, "pairs_of_unseen_clips": 1, "seed": 4, "seed_of_unseen_clips": 5}
    assert cross["got"]["pairs"] == 9  # nobody's clip is unseen here
    assert views["got"]["pairs"] == 2 * views["asked"]["views"] == 50
    assert cross["got"]["people"] == len(set(read_pairs(tmp_path / "cross.csv")["driver_person"]))
    assert document["lists"]["real"]["got"]["frames"] == len(read_real(tmp_path / "real.csv"))
    assert document["view_offsets_radians"]["yaw"] == list(VIEW_OFFSETS)
    assert {"absolute", "relative", "relative_best", "none"} == set(document["motions"])


@pytest.fixture
def frozen(tmp_path):
    lists = sampled_lists(SAMPLES, SETTINGS)
    for name, table in (lists.pairs | {"real": lists.real}).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_frozen_rows_that_the_shards_lack_are_listed_and_counted(frozen, caplog):
    without_b = [s for s in SAMPLES if s.clip != "b"]
    shorter = [sample("a_00", "a", "ann", frames=20) if s.key == "a_00" else s for s in without_b]
    whole = {name: read_pairs(frozen / f"{name}.csv") for name in PROTOCOLS}
    with pytest.raises(InputError, match=r"cross\.csv cannot be used.*clip 'b' \(sample 'b_00'\) is not in the shards"):
        frozen_lists(frozen, PROTOCOLS, without_b)
    caplog.clear()
    # Lists of which something is left without clip b: cross takes in the self pairs, multi-view renders clip a's.
    pd.concat([whole["cross"], whole["self"].assign(pair=range(50, 50 + len(whole["self"])))]).to_csv(
        frozen / "cross.csv", index=False
    )
    whole["multiview"].assign(source_clip="a", source_key="a_00", driver_clip="a", driver_key="a_01").to_csv(
        frozen / "multiview.csv", index=False
    )
    lists = frozen_lists(frozen, PROTOCOLS, shorter)
    for name, table in lists.pairs.items():
        lost = [row for row in lists.left_out if row["list"] == name]
        given = read_pairs(frozen / f"{name}.csv")
        assert sorted([*table["pair"], *(row["row"] for row in lost)]) == sorted(given["pair"])
        assert set(table["driver_clip"]) <= {"a", "c"}
    reasons = {row["reason"].split("'")[0] for row in lists.left_out}
    assert reasons == {"driver clip ", "source clip ", "clip ", "driver sample ", "sample "}
    assert any("has 20 frames, no frame" in row["reason"] for row in lists.left_out)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 3 and all("cannot be used; the first, " in text for text in warnings)


def test_lists_that_were_empty_stay_empty(frozen):
    for name in ("cross", "multiview"):  # one person alone meets nobody
        read_pairs(frozen / f"{name}.csv").iloc[:0].to_csv(frozen / f"{name}.csv", index=False)
    lists = frozen_lists(frozen, PROTOCOLS, SAMPLES)
    for name in ("cross", "multiview"):
        assert lists.pairs[name].empty and list(lists.pairs[name].columns) == list(PAIR_COLUMNS)
    assert len(lists.pairs["self"]) and lists.left_out == []


def test_a_sample_of_another_clip_is_not_taken(frozen):
    renamed = [sample(s.key, "z" if s.clip == "b" else s.clip, s.person, s.split) for s in SAMPLES]
    pd.read_csv(frozen / "real.csv").query("clip == 'a'").to_csv(frozen / "real.csv", index=False)
    with pytest.raises(InputError, match="is of clip 'z', not 'b'"):
        frozen_lists(frozen, PROTOCOLS, renamed)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("cross", lambda table: table.assign(pair=3), r"cross\.csv hold pair 3 twice"),
        ("self", lambda table: table.drop(columns="block"), r"self\.csv lack the columns block"),
        ("self", lambda table: table.assign(driver_frame="x"), r"Cannot read the pairs .*self\.csv"),
        ("real", lambda table: table.drop(columns="frame"), r"real\.csv lacks the columns frame"),
        ("real", lambda table: None, r"Cannot read the real set .*real\.csv"),
    ],
)
def test_bad_frozen_lists_are_named(frozen, name, change, words):
    table = change(pd.read_csv(frozen / f"{name}.csv"))
    (frozen / f"{name}.csv").unlink()
    if table is not None:
        table.to_csv(frozen / f"{name}.csv", index=False)
    with pytest.raises(InputError, match=words):
        frozen_lists(frozen, PROTOCOLS, SAMPLES)


def test_command_writes_lists_that_read_back(synthetic_shards, tmp_path):
    main(parser().parse_args(["--shards", str(synthetic_shards), "--output", str(tmp_path)]))
    pairs = read_pairs(tmp_path / "self.csv")
    assert set(pairs["source_key"]) == {"ann_00", "bob_00"} and not pairs["unseen"].any()
    assert len(read_pairs(tmp_path / "multiview.csv")) % 25 == 0
