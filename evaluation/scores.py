"""Score one method's reenactments under one protocol: one row per pair, motion and metric.

Set-level metrics (FID, FFD) and metrics without weights have one row per motion with pair −1.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.measure import Measurement, Sample, is_set_metric, measured, set_distance
from evaluation.metrics.catalogue import METRICS, PROTOCOLS, Metric
from evaluation.metrics.choice import Choice
from evaluation.metrics.geometry import camera_degrees
from evaluation.outputs import EMPTY_SCORE, Inputs, Reenactments, read_pairs, read_real
from evaluation.readings import add_readings
from evaluation.settings import EvaluationSettings
from preprocessing.cli import InputError, add_common, load_settings, positive, progress, run_command
from preprocessing.files import atomic

COLUMNS = {
    "pair": "int64",
    "motion": "str",
    "metric": "str",
    "backend": "str",
    "value": "float64",
    "used": "bool",
    "reason": "str",
    "block": "str",
    "source_clip": "str",
    "driver_clip": "str",
    "unseen": "bool",
    "ci_low": "float64",
    "ci_high": "float64",
    "n_used": "int64",
    "n_attempted": "int64",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """One generated image: its row of the pair list, its kind of motion, its member of the tar."""

    pair: Row
    motion: str
    member: str


def requested_degrees(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Pitch, yaw and roll [3] in degrees of the multi-view protocol's camera at these offsets (radians)."""
    import torch

    from model.cameras import view_labels

    camera = view_labels(torch.tensor([yaw]), torch.tensor([pitch]))
    return camera_degrees(camera[0].numpy())


def score(
    pairs: pd.DataFrame,
    outputs: Reenactments,
    shards: Any,
    protocol: str,
    choice: Choice,
    threads: int = 1,
    real: Sequence[tuple[str, int]] = (),
) -> pd.DataFrame:
    """Rows of :data:`COLUMNS` for every pair, motion and metric of ``protocol`` (self, cross or multiview).

    ``real`` are the frames (key, frame) that metrics of sets compare with.
    """
    if outputs.index.empty:
        return _frame([])
    by_pair = {int(row["pair"]): row for row in pairs.to_dict("records")}
    index = outputs.index.sort_values(["pair", "motion"])
    work = [(by_pair.get(int(row.pair)), str(row.motion), str(row.member)) for row in index.itertuples()]
    if strangers := [row.pair for row, (pair, _, _) in zip(index.itertuples(), work, strict=True) if pair is None]:
        raise InputError(f"The reenactments hold pair {strangers[0]}, which the pair list lacks.")
    made = [Made(pair, motion, member) for pair, motion, member in work if pair is not None]
    inputs = Inputs(shards, outputs.picture(made[0].member).shape[0])
    metrics = [METRICS[key] for key in PROTOCOLS[protocol]]
    # A driver's frame is read once for all motions: they follow each other.
    samples = (_sample(item, outputs, inputs, protocol) for item in made)
    results = list(progress(measured(choice, metrics, samples, threads), f"score {protocol}", len(made)))
    rows = _images(made, results, [m for m in metrics if not is_set_metric(m)], choice)
    of_sets = [metric for metric in metrics if is_set_metric(metric)]
    at_hand = [metric for metric in of_sets if not choice.backend(metric)[1]]
    held_out = (Sample(inputs.picture(*at)) for at in real)
    others = list(progress(measured(choice, at_hand, held_out, threads), "real images")) if at_hand else []
    sets = _sets(made, results, others, of_sets, choice)
    return _frame(sorted([*rows, *sets], key=lambda row: row["motion"]))


def _frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _row(metric: Metric, backend: str, motion: str, **values: Any) -> Row:
    return {**EMPTY_SCORE, "motion": motion, "metric": metric.name, "backend": backend, **values}


def _sample(item: Made, outputs: Reenactments, inputs: Inputs, protocol: str) -> Sample:
    pair = item.pair
    degrees = requested_degrees(float(pair["yaw"]), float(pair["pitch"])) if protocol == "multiview" else None
    return Sample(
        outputs.picture(item.member),
        inputs.picture(pair["driver_key"], int(pair["driver_frame"])),
        inputs.picture(pair["source_key"], int(pair["source_frame"])),
        degrees,
    )


def _images(made: list[Made], results: list[Measurement], metrics: list[Metric], choice: Choice) -> Iterator[Row]:
    backends = {metric.key: choice.backend(metric) for metric in metrics}
    for motion in sorted({item.motion for item in made}):
        attempted = sum(item.motion == motion for item in made)
        for metric in metrics:
            backend, reason = backends[metric.key]
            if reason:
                yield _row(metric, backend, motion, reason=reason, n_attempted=attempted)
    for item, result in zip(made, results, strict=True):
        for metric in metrics:
            backend, reason = backends[metric.key]
            if reason:
                continue
            value = result.values[metric.key]
            yield _row(
                metric,
                backend,
                item.motion,
                pair=int(item.pair["pair"]),
                value=value.value,
                used=value.used,
                reason=value.reason,
                block=item.pair["block"],
                source_clip=item.pair["source_clip"],
                driver_clip=item.pair["driver_clip"],
                unseen=item.pair["unseen"],
                n_used=int(value.used),
                n_attempted=1,
            )


def _sets(
    made: list[Made], results: list[Measurement], real: list[Measurement], metrics: list[Metric], choice: Choice
) -> Iterator[Row]:
    """One row for each motion, kind of clip and metric of sets, also where its backend is not at hand."""
    groups: dict[tuple[str, bool], list[tuple[Row, Measurement]]] = {}
    for item, result in zip(made, results, strict=True):
        groups.setdefault((item.motion, bool(item.pair["unseen"])), []).append((item.pair, result))
    for (motion, unseen), group in sorted(groups.items()):
        for metric in metrics:
            backend, reason = choice.backend(metric)
            row = _row(metric, backend, motion, unseen=unseen, reason=reason, n_attempted=len(group))
            yield row if reason else row | _distance(metric, real, group)


def _distance(metric: Metric, real: list[Measurement], group: list[tuple[Row, Measurement]]) -> Row:
    """Distance of the generated frames' features from the real frames'."""
    clips, blocks = ([str(pair[name]) for pair, _ in group] for name in ("driver_clip", "block"))
    interval, used, remark = set_distance(metric, real, [result for _, result in group], clips, blocks)
    if interval is None:
        return {"n_used": used, "reason": remark}
    low = math.nan if interval.low is None else interval.low
    high = math.nan if interval.high is None else interval.high
    return {"n_used": used, "value": interval.value, "used": True, "reason": remark, "ci_low": low, "ci_high": high}


def main(argv: list[str] | None = None) -> None:
    """Command line: score one folder of reenactments into one parquet."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.scores", description=__doc__)
    parser.add_argument("--shards", type=Path, required=True, nargs="+", metavar="DIR", help="data/{dataset}/shards")
    parser.add_argument(
        "--pairs", type=Path, required=True, metavar="CSV", help="results/{run}/pairs/{dataset}/{protocol}.csv"
    )
    parser.add_argument(
        "--reenactments", type=Path, required=True, metavar="DIR", help="frames.tar and index.parquet of one method"
    )
    parser.add_argument(
        "--real", type=Path, metavar="CSV", help="real set of FID and FFD (default: real.csv beside --pairs)"
    )
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), help="default: the pair list's name")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="scores to write")
    add_readings(parser)
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="processes that measure")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from preprocessing.reader import ShardReader

    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation")
    protocol = arguments.protocol or arguments.pairs.stem
    if protocol not in PROTOCOLS:
        raise InputError(f"--pairs {arguments.pairs} is not named self, cross or multiview; say which with --protocol.")
    pairs = read_pairs(arguments.pairs)
    has_sets = any(is_set_metric(METRICS[key]) for key in PROTOCOLS[protocol])
    real = read_real(arguments.real or arguments.pairs.with_name("real.csv")) if has_sets else []
    with Reenactments(arguments.reenactments) as outputs:
        shards = ShardReader(arguments.shards)
        choice = settings.choice(readings=arguments.readings)
        table = score(pairs, outputs, shards, protocol, choice, arguments.threads, real)
    with atomic(arguments.output) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
