"""The pair lists: who meets whom, what is written beside them, and lists taken over from elsewhere."""

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest

from evaluation.frozen import frozen_lists
from evaluation.outputs import PAIR_COLUMNS, read_pairs, read_real
from evaluation.protocol import main, parser
from evaluation.sampling import VIEW_OFFSETS, all_pairs, cross_pairs, real_set, sampled_lists
from evaluation.settings import LISTS, ProtocolSettings
from preprocessing.cli import InputError
from preprocessing.files import sha256
from preprocessing.reader import Sample

PROTOCOLS = ("self", "cross", "multiview")
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


def test_cross_pairs_are_those_of_a_search_through_all_drivers():
    samples = [sample(f"k{n}", f"clip{n // 2}", f"p{(n // 2) ** 2 % 5}", "test", 9 + n) for n in range(40)]
    random.Random(1).shuffle(samples)
    sources, drivers = samples[:25], samples[10:]
    rng, expected = np.random.default_rng(3), []
    clips = list(dict.fromkeys(s.clip for s in sources))
    for turn in range(99):
        group = [s for s in sources if s.clip == clips[turn % len(clips)]]
        source = group[rng.integers(len(group))]
        others = sorted({d.clip for d in drivers if d.person != source.person})
        clip = others[rng.integers(len(others))]
        candidates = [d for d in drivers if d.clip == clip]
        driver = candidates[rng.integers(len(candidates))]
        expected.append((source.key, driver.key, int(rng.integers(driver.frames))))
    rows = cross_pairs(sources, drivers, 99, 3)
    assert [(row["source_key"], row["driver_key"], row["driver_frame"]) for row in rows] == expected


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


def test_frozen_lists_that_a_run_sampled_give_the_same_lists(synthetic_shards, tmp_path):
    frozen = tmp_path / "pairs" / synthetic_shards.parent.name
    first = written(synthetic_shards, frozen)
    # Other sizes and seeds no longer matter.
    second = written(synthetic_shards, tmp_path / "again", frozen=str(frozen.parent), cross_pairs=3, seed=5)
    for name in LISTS:
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
    third = [*SAMPLES, sample("e_00", "e", "eve")]
    for name, table in sampled_lists(third, SETTINGS).pairs.items():
        table.to_csv(frozen / f"{name}.csv", index=False)
    shorter = [sample(s.key, s.clip, s.person, s.split, 20 if s.key == "a_00" else 60) for s in third if s.clip != "b"]
    lists = frozen_lists(frozen, shorter)
    for name, table in lists.pairs.items():
        lost = [row["pair"] for row in lists.left_out if row["list"] == name]
        given = read_pairs(frozen / f"{name}.csv")
        assert sorted([*table["pair"], *lost]) == sorted(given["pair"]) and len(table)
        assert "b" not in set(table["driver_clip"]) | set(table["source_clip"])
    rows = [row["row"] for row in lists.left_out if row["list"] == "real"]
    assert len(rows) + len(lists.real) == len(pd.read_csv(frozen / "real.csv")) and len(set(rows)) == len(rows)
    reasons = {row["reason"].split("'")[0] for row in lists.left_out}
    assert reasons == {"driver clip ", "source clip ", "clip ", "driver sample ", "sample "}
    assert any("has 20 frames, no frame" in row["reason"] for row in lists.left_out)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 4 and all("cannot be used; the first, " in text for text in warnings)
    with pytest.raises(InputError, match=r"self\.csv cannot be used.*clip 'a' \(sample 'a_00'\) is not in the shards"):
        frozen_lists(frozen, [s for s in SAMPLES if s.clip == "d"])


@pytest.mark.parametrize(
    ("given", "taken", "words"),
    [
        ("self", "cross", "source and driver are of one person, 'ann'"),
        ("self", "multiview", "source and driver are of one person, 'ann'"),
        ("cross", "multiview", "it has no yaw and pitch"),
        ("multiview", "cross", "it has a yaw, which only multi-view pairs have"),
        ("cross", "self", "source and driver are of two clips, '.' and '.'"),
    ],
)
def test_a_list_of_another_protocol_is_not_taken(frozen, given, taken, words):
    shutil.copy(frozen / f"{given}.csv", frozen / f"{taken}.csv")
    with pytest.raises(InputError, match=rf"{taken}\.csv cannot be used; the first, pair 0: {words}\.$"):
        frozen_lists(frozen, SAMPLES)


D = {"key": "d_00", "clip": "d", "person": "dan"}  # trained on
D_MEETS_D = {f"{role}_{what}": value for role in ("source", "driver") for what, value in D.items()}


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("cross", {"driver_person": "zoe"}, "driver sample '{driver_key}' is of person '{driver_person}', not 'zoe'"),
        ("self", {"source_person": "zoe"}, "source sample 'a_00' is of person 'ann', not 'zoe'"),
        (
            "cross",
            {f"driver_{what}": value for what, value in D.items()},
            "driver sample 'd_00' is in the training part",
        ),
        (
            "multiview",
            {f"source_{what}": value for what, value in D.items()},
            "source sample 'd_00' is in the training part",
        ),
        ("self", D_MEETS_D, "driver sample 'd_00' is in the training part"),
        ("multiview", {"pitch": None}, "it has no yaw and pitch"),
    ],
)
def test_one_changed_row_is_left_out(frozen, name, changes, reason):
    table = pd.read_csv(frozen / f"{name}.csv")
    before = table.iloc[0]
    for column, value in changes.items():
        table.loc[0, column] = value
    table.to_csv(frozen / f"{name}.csv", index=False)
    lists = frozen_lists(frozen, SAMPLES)
    assert lists.left_out == [{"list": name, "pair": 0, "reason": reason.format(**before)}]
    assert list(lists.pairs[name]["pair"]) == list(table["pair"][1:])


def test_training_frames_are_not_real_ones(frozen):
    real = pd.read_csv(frozen / "real.csv")
    real.loc[4] = ["d_00", 0, "d"]
    real.to_csv(frozen / "real.csv", index=False)
    lists = frozen_lists(frozen, SAMPLES)
    assert lists.left_out == [{"list": "real", "row": 4, "reason": "sample 'd_00' is in the training part"}]
    assert len(lists.real) == len(real) - 1


def test_the_source_of_a_self_pair_may_lie_in_the_training_part(frozen):
    known = [sample("a_00", "a", "ann", "train"), *SAMPLES[1:]]
    lists = frozen_lists(frozen, known)
    of_a = lists.pairs["self"].query("source_clip == 'a'")
    assert len(of_a) and set(of_a["source_key"]) == {"a_00"} and set(of_a["driver_key"]) == {"a_01"}
    assert all("driver sample 'a_00'" in row["reason"] for row in lists.left_out if row["list"] == "self")


def test_unseen_and_blocks_follow_from_the_shards(frozen):
    expected = {name: read_pairs(frozen / f"{name}.csv") for name in PROTOCOLS}
    for name, table in expected.items():
        table.assign(unseen=~table["unseen"], block="mine").to_csv(frozen / f"{name}.csv", index=False)
    for name, table in frozen_lists(frozen, SAMPLES).pairs.items():
        pd.testing.assert_frame_equal(table, expected[name], check_dtype=False)


def test_empty_lists_stay_empty_where_sampling_finds_nothing(frozen):
    one_person = SAMPLES[:2]
    lists = sampled_lists(one_person, SETTINGS)
    for name, table in (lists.pairs | {"real": lists.real}).items():
        table.to_csv(frozen / f"{name}.csv", index=False)
    again = frozen_lists(frozen, one_person)
    for name in ("cross", "multiview"):
        assert again.pairs[name].empty and list(again.pairs[name].columns) == list(PAIR_COLUMNS)
    assert len(again.pairs["self"]) and again.left_out == []


@pytest.mark.parametrize("name", [*PROTOCOLS, "real"])
def test_a_list_that_was_emptied_is_not_taken(frozen, name):
    path = frozen / f"{name}.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=rf"{name}\.csv is empty, though these shards have something for it"):
        frozen_lists(frozen, SAMPLES)


def test_a_frozen_folder_is_checked_before_anything_runs(frozen):
    folder = frozen.parent
    assert ProtocolSettings().frozen_folder("d") is None
    assert ProtocolSettings(frozen=folder).frozen_folder(frozen.name) == frozen
    for given, words in [
        (folder / "nowhere", r"nowhere is not a folder \(docs/metrics\.md, Frozen\)\.$"),
        (frozen, f"holds lists itself; give the folder above it, {folder}\\.$"),
        (folder, r"has no other/self\.csv, other/cross\.csv, other/multiview\.csv, other/real\.csv \(docs"),
    ]:
        with pytest.raises(InputError, match=words):
            ProtocolSettings(frozen=given).frozen_folder("other")


def test_a_sample_of_another_clip_is_not_taken(frozen):
    renamed = [sample(s.key, "z" if s.clip == "b" else s.clip, s.person, s.split) for s in SAMPLES]
    pd.read_csv(frozen / "real.csv").query("clip == 'a'").to_csv(frozen / "real.csv", index=False)
    with pytest.raises(InputError, match="is of clip 'z', not 'b'"):
        frozen_lists(frozen, renamed)


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
        frozen_lists(frozen, SAMPLES)


def test_command_writes_lists_that_read_back(synthetic_shards, tmp_path):
    main(parser().parse_args(["--shards", str(synthetic_shards), "--output", str(tmp_path)]))
    pairs = read_pairs(tmp_path / "self.csv")
    assert set(pairs["source_key"]) == {"ann_00", "bob_00"} and not pairs["unseen"].any()
    assert len(read_pairs(tmp_path / "multiview.csv")) % 25 == 0
