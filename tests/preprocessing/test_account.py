"""The account of a large dataset: its order, its JSON and a page that still opens."""

import json

import pytest

from preprocessing.account import LISTED, account, page, text
from preprocessing.cli import InputError
from preprocessing.reader import Sample
from preprocessing.rows import Row
from preprocessing.sheets import SheetRow

KEPT, LOST = 3 * LISTED, 7
CLIPS = [f"clip{number:05d}" for number in range(KEPT + LOST)]
SHEET = [SheetRow(clip, clip) for clip in CLIPS]
ROWS = [Row(clip, clip) for clip in CLIPS[:KEPT]]
ROWS += [Row(clip, clip, "dropped", "fetch", "removed", 'a "<b>" of it\n') for clip in CLIPS[KEPT:]]
SAMPLES = [Sample(f"{clip}_00", clip, "ann", "train", 10, 25.0, "00000", "d") for clip in CLIPS[:KEPT]]


def test_the_order_of_shards_and_sheet_changes_nothing():
    assert account(SHEET, ROWS, SAMPLES) == account(SHEET[::-1], ROWS[::-1], SAMPLES[::-1])


def test_the_json_has_every_clip_and_says_what_the_account_says():
    value = account(SHEET, ROWS, SAMPLES)
    written = text(value)
    assert json.loads(written) == value
    assert len(value["clips"]) == value["clips_in"] == value["kept"] + sum(value["dropped"].values())
    assert max(map(len, written.splitlines())) < 200
    empty = account([], [], [])
    assert json.loads(text(empty)) == empty


def test_the_page_lists_dropped_clips_first_and_leads_to_the_rest():
    written = page("d", account(SHEET, ROWS, SAMPLES))
    assert written.count("class=dropped") == LOST and written.count("class=kept") == LISTED - LOST
    assert "a &quot;&lt;b&gt;&quot; of it" in written
    assert f"{KEPT + LOST - LISTED} more in <a href='d.json'>" in written
    assert "more in" not in page("d", account(SHEET[:9], ROWS[:9], SAMPLES[:9]))


def test_a_clip_that_the_shards_lack_or_have_twice_is_an_error():
    for rows in (ROWS[1:], [*ROWS, ROWS[0]], [*ROWS[1:], ROWS[1]]):
        with pytest.raises(InputError, match="do not list the clips of the sheet"):
            account(SHEET, rows, SAMPLES)
