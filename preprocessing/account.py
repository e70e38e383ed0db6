"""The account of a dataset: clips in, kept, dropped by reason, with people and hours, as JSON and as a small page."""

import argparse
import heapq
import html
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from preprocessing.cli import InputError, add_common, run_command
from preprocessing.files import atomic
from preprocessing.reader import Sample, ShardReader
from preprocessing.reasons import REASONS, STAGES
from preprocessing.rows import Row, read_rows
from preprocessing.sheets import SheetRow, read_sheet

log = logging.getLogger(__name__)


def account(sheet: list[SheetRow], rows: list[Row], samples: list[Sample]) -> dict[str, Any]:
    """The account's JSON from the sheet, the rows of the last stage (all shards) and the samples in the shards.

    Clips are listed by name, so that the number of shards changes nothing. ``rows`` must have one row per row of
    ``sheet``, else :class:`InputError`.
    """
    if Counter(row.clip for row in sheet) != Counter(row.clip for row in rows):
        raise InputError("The shards' rows do not list the clips of the sheet; run the stages again from fetch on.")
    rows = sorted(rows, key=lambda row: (row.clip, row.status, row.reason))
    kept = [row for row in rows if row.kept]
    return {
        "clips_in": len(rows),
        "kept": len(kept),
        "dropped": dict(sorted(Counter(row.reason for row in rows if not row.kept).items())),
        "clips": [
            {
                "clip": row.clip,
                "status": row.status,
                "stage": row.stage,
                "reason": row.reason,
                "detail": row.detail,
                "attempts": row.attempts,
            }
            for row in rows
        ],
        "passed": passed(rows),
        "people": len({sample.person for sample in samples}),
        "tubes": len(samples),
        "frames": sum(sample.frames for sample in samples),
        "hours": round(sum(sample.frames / sample.fps for sample in samples) / 3600, 6),
        "splits": {
            split: {
                "clips": len({sample.clip for sample in samples if sample.split == split}),
                "people": len({sample.person for sample in samples if sample.split == split}),
                "frames": sum(sample.frames for sample in samples if sample.split == split),
            }
            for split in sorted({sample.split for sample in samples})
        },
    }


def passed(rows: list[Row]) -> dict[str, int]:
    """How many clips each stage let pass."""
    lost = Counter(row.stage for row in rows if not row.kept)
    left, result = len(rows), {}
    for stage in STAGES:
        left -= lost[stage]
        result[stage] = left
    return result


STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}table{border-collapse:collapse;width:100%;margin:.8rem 0 1.6rem}
td,th{padding:.3rem .7rem;text-align:left;border-bottom:1px solid #e4e4e4;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.kept{color:#1a7f4b}.dropped{color:#b3372f}
.bar{background:#3b7dd8;height:.7rem;border-radius:.2rem;min-width:1px}small{color:#777}
"""


LISTED = 1000
"""Clips that the page lists, the dropped ones first; with a million of them no browser would open it."""


def page(dataset: str, value: dict[str, Any]) -> str:
    """The account as a page of HTML that needs nothing else."""
    escape = html.escape
    stages = "".join(
        f"<tr><td>{stage}</td><td class=n>{count}</td><td style='width:60%'>"
        f"<div class=bar style='width:{100 * count / max(value['clips_in'], 1):.1f}%'></div></td></tr>"
        for stage, count in value["passed"].items()
    )
    dropped = "".join(
        f"<tr><td>{escape(reason)}</td><td class=n>{count}</td><td>{escape(REASONS.get(reason, ''))}</td></tr>"
        for reason, count in value["dropped"].items()
    )
    splits = "".join(
        f"<tr><td>{escape(split)}</td><td class=n>{n['clips']}</td><td class=n>{n['people']}</td>"
        f"<td class=n>{n['frames']}</td></tr>"
        for split, n in value["splits"].items()
    )
    # "dropped" comes before "kept".
    listed = heapq.nsmallest(LISTED, value["clips"], key=lambda clip: str(clip["status"]))
    clips = "".join(
        f"<tr><td>{escape(clip['clip'])}</td><td class={clip['status']}>{clip['status']}</td>"
        f"<td>{clip['stage']}</td><td>{clip['reason']}</td><td><small>{escape(clip['detail'])}</small></td></tr>"
        for clip in listed
    )
    more = value["clips_in"] - len(listed)
    rest = f"<p>{more} more in <a href='{escape(dataset)}.json'>{escape(dataset)}.json</a>.</p>" if more else ""
    reasons = f"<table><tr><th>dropped because<th class=n>clips<th></tr>{dropped}</table>" if dropped else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Clips of {escape(dataset)}</title>"
        f"<style>{STYLE}</style><h1>Clips of {escape(dataset)}</h1>"
        f"<p>{value['clips_in']} clips in, <b>{value['kept']} kept</b>: {value['people']} people, "
        f"{value['tubes']} tubes, {value['frames']} frames, {value['hours'] * 60:.1f} minutes.</p>"
        f"<table><tr><th>after stage<th class=n>clips<th></tr>{stages}</table>{reasons}"
        f"<table><tr><th>split<th class=n>clips<th class=n>people<th class=n>frames</tr>{splits}</table>"
        f"<table><tr><th>clip<th>status<th>stage<th>reason<th>detail</tr>{clips}</table>{rest}</html>\n"
    )


def text(value: dict[str, Any]) -> str:
    """The account as JSON, one clip a line: half the size of one value a line, and still read by eye."""
    head = json.dumps(value | {"clips": []}, indent=2, ensure_ascii=False, allow_nan=False)
    clips = ",\n".join(f"    {json.dumps(clip, ensure_ascii=False)}" for clip in value["clips"])
    return head.replace('"clips": []', f'"clips": [\n{clips}\n  ]', 1) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Command line: write the account of one dataset."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.account", description=__doc__)
    parser.add_argument("--dataset", required=True, help="name of the dataset")
    parser.add_argument("--sheet", type=Path, required=True, metavar="PARQUET", help="sheet of the dataset")
    parser.add_argument("--shards", type=Path, required=True, metavar="DIR", help="folder of its shards")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="account to write; .html beside")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    reader = ShardReader(arguments.shards, verify=False)
    rows = [row for path in sorted(arguments.shards.glob("[!.]*.parquet")) for row in read_rows(path, Row)]
    value = account(read_sheet(arguments.sheet), rows, reader.samples)
    with atomic(arguments.output.with_suffix(".html")) as temporary:
        temporary.write_text(page(arguments.dataset, value), encoding="utf-8")
    with atomic(arguments.output) as temporary:
        temporary.write_text(text(value), encoding="utf-8")
    log.info("%s: %d of %d clips kept", arguments.dataset, value["kept"], value["clips_in"])


if __name__ == "__main__":
    main()
