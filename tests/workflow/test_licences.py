"""The licences page is the registries'."""

import pytest

from preprocessing import lists, weights
from workflow.licences import PAGE, page


def test_the_page_is_as_generated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text
    for entry in (*lists.lists().values(), *weights.registry().values()):
        assert f"[`{entry.name}`]({entry.url}) | {entry.licence}" in text


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold the marks of the table datasets once"):
        page("# Licences\n")
