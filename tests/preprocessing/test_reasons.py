"""The closed list of reasons."""

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
