"""The generated schema and configuration page are what the types say."""

from workflow.schema import PAGE, SCHEMA, page, schema


def test_schema_has_not_drifted():
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "run python -m workflow.schema"


def test_configuration_page_has_not_drifted():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run python -m workflow.schema"


def test_every_key_is_described():
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert not [row for row in rows if row.endswith("|  |")]
