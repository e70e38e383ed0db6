"""The table every stage writes: one row per input clip with status, stage, reason and the raw words of the error."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from preprocessing.cli import InputError
from preprocessing.files import atomic, write_json
from preprocessing.reasons import Dropped, is_transient


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One clip after one stage; ``stage``, ``reason`` and ``detail`` are empty while it is kept."""

    clip: str
    key: str
    status: str = "kept"
    stage: str = ""
    reason: str = ""
    detail: str = ""
    attempts: int = 1

    @property
    def kept(self) -> bool:
        """True while the clip goes on."""
        return self.status == "kept"


R = TypeVar("R", bound=Row)


def drop(row: R, stage: str, dropped: Dropped) -> R:
    """``row`` marked as dropped by ``stage``."""
    return dataclasses.replace(row, status="dropped", stage=stage, reason=dropped.reason, detail=dropped.detail)


def plain(row: Row) -> Row:
    """The columns every stage shares, without those of the sheet or of fetch."""
    return Row(**{field.name: getattr(row, field.name) for field in dataclasses.fields(Row)})


_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}

GROUP = 4096
"""Rows of a row group: what is read at least of a table that is sorted by the column it is filtered by."""


def columns(rows: Sequence[Row], kind: type[Row]) -> dict[str, list[Any]]:
    """Column → values of ``rows``, in the order of the fields of ``kind``."""
    return {field.name: [getattr(row, field.name) for row in rows] for field in dataclasses.fields(kind)}


def write_rows(path: Path, rows: Sequence[Row], kind: type[Row] = Row) -> None:
    """Write ``rows`` (all of dataclass ``kind``) as parquet, atomically, with the schema of ``kind``."""
    schema = pa.schema([(field.name, _ARROW[field.type]) for field in dataclasses.fields(kind)])  # type: ignore[index]
    table = pa.table(columns(rows, kind), schema=schema)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, row_group_size=GROUP)


def read_rows(path: Path, kind: type[R], where: tuple[str, str, Any] | None = None) -> list[R]:
    """Read what :func:`write_rows` wrote: all rows, or those of which ``where`` (column, operator, value) is true.

    A missing, broken or different file raises :class:`InputError`.
    """
    try:
        table = pq.read_table(path, filters=None if where is None else [where])
        names, values = table.column_names, [column.to_pylist() for column in table.columns]
        return [kind(**dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage before this one first.") from None
    except (pa.ArrowException, OSError, TypeError) as error:
        raise InputError(f"{path} is not a table of clips: {' '.join(str(error).split())}.") from None


def statistics(rows: Sequence[Row], **more: Any) -> dict[str, Any]:
    """Counts by status and reason, for a stage's stats file."""
    dropped = [row for row in rows if not row.kept]
    return {
        "clips": len(rows),
        "kept": len(rows) - len(dropped),
        "dropped": dict(sorted(Counter(row.reason for row in dropped).items())),
        "transient": sum(is_transient(row.reason) for row in dropped),
        **more,
    }


def start_stage(output: Path) -> None:
    """Take away the stats of an earlier run: they say that the files beside them are whole and belong together."""
    output.with_suffix(".json").unlink(missing_ok=True)


def write_stage(output: Path, rows: Sequence[Row], kind: type[Row] = Row, **more: Any) -> None:
    """Write a stage's rows to ``output`` and then, last, its stats beside them as ``.json``."""
    write_rows(output, rows, kind)
    write_json(output.with_suffix(".json"), statistics(rows, **more))
