"""The closed list of reasons."""

from pathlib import Path

import pytest

from preprocessing.reasons import PERMANENT, REASONS, TRANSIENT, Dropped, is_transient


def test_permanent_and_transient_are_disjoint_and_complete():
    assert not PERMANENT.keys() & TRANSIENT.keys()
    assert REASONS == PERMANENT | TRANSIENT
    assert {"timeout", "rate-limit", "blocked", "server-error"} <= TRANSIENT.keys()
    assert all(is_transient(reason) == (reason in TRANSIENT) for reason in REASONS)


def test_the_list_is_closed():
    with pytest.raises(ValueError, match="unknown reason 'bored'"):
        Dropped("bored")
    assert str(Dropped("corrupt", "moov atom not found")) == "corrupt: moov atom not found"


def test_the_docs_list_every_reason():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(f"| `{reason}` | {meaning} |" in page for reason, meaning in REASONS.items())
