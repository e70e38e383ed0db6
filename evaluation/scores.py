"""Score one method's reenactments under one protocol: one row per pair, motion and metric.

Set-level metrics (FID, FFD) and metrics without weights have one row per motion with pair −1.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.measure import Measurer, Sample, is_set_metric
from evaluation.metrics.catalogue import METRICS, PROTOCOLS, Metric
from evaluation.metrics.formulas import frechet_distance
from evaluation.metrics.geometry import camera_degrees
from evaluation.outputs import EMPTY_SCORE, FFD_LEAST, Inputs, Reenactments, read_pairs, read_real
from evaluation.settings import EvaluationSettings
from evaluation.statistics import set_interval
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
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
    measurer: Measurer,
    real: Sequence[tuple[str, int]] = (),
) -> pd.DataFrame:
    """Rows of :data:`COLUMNS` for every pair, motion and metric of ``protocol`` (self, cross or multiview).

    ``real`` are the frames (key, frame) that set-level metrics compare with.
    """
    if outputs.index.empty:
        return _frame([])
    by_pair = {int(row["pair"]): row for row in pairs.to_dict("records")}
    if strangers := sorted(set(outputs.index["pair"].astype(int)) - set(by_pair)):
        raise InputError(f"The reenactments hold pair {strangers[0]}, which the pair list lacks.")
    side = outputs.picture(outputs.index["member"].iloc[0]).shape[0]
    inputs = Inputs(shards, side, real)
    rows: list[Row] = []
    for motion in outputs.motions:
        members = outputs.members(motion)
        work = [(by_pair[pair], members[pair]) for pair in sorted(members)]
        rows += _images(work, outputs, inputs, protocol, motion, measurer)
        rows += _sets(work, outputs, inputs, protocol, motion, measurer)
    return _frame(rows)


def _frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _row(metric: Metric, backend: str, motion: str, **values: Any) -> Row:
    return {**EMPTY_SCORE, "motion": motion, "metric": metric.name, "backend": backend, **values}


def _images(
    work: list[tuple[Row, str]], outputs: Reenactments, inputs: Inputs, protocol: str, motion: str, measurer: Measurer
) -> Iterator[Row]:
    metrics = [METRICS[key] for key in PROTOCOLS[protocol] if not is_set_metric(METRICS[key])]
    backends = {metric.key: measurer.backend(metric) for metric in metrics}
    for metric in metrics:
        if reason := backends[metric.key][1]:
            yield _row(metric, backends[metric.key][0], motion, reason=reason, n_attempted=len(work))
    for pair, member in progress(work, f"score {protocol} {motion}"):
        sample = _sample(pair, outputs.picture(member), inputs, protocol)
        for metric in metrics:
            backend, reason = backends[metric.key]
            if reason:
                continue
            value = measurer.image(metric, sample)
            yield _row(
                metric,
                backend,
                motion,
                pair=int(pair["pair"]),
                value=value.value,
                used=value.used,
                reason=value.reason,
                block=pair["block"],
                source_clip=pair["source_clip"],
                driver_clip=pair["driver_clip"],
                unseen=pair["unseen"],
                n_used=int(value.used),
                n_attempted=1,
            )


def _sample(pair: Row, generated: NDArray[np.uint8], inputs: Inputs, protocol: str) -> Sample:
    degrees = requested_degrees(float(pair["yaw"]), float(pair["pitch"])) if protocol == "multiview" else None
    return Sample(
        generated,
        inputs.picture(pair["driver_key"], int(pair["driver_frame"])),
        inputs.picture(pair["source_key"], int(pair["source_frame"])),
        degrees,
    )


def _sets(
    work: list[tuple[Row, str]], outputs: Reenactments, inputs: Inputs, protocol: str, motion: str, measurer: Measurer
) -> Iterator[Row]:
    for metric in (METRICS[key] for key in PROTOCOLS[protocol] if is_set_metric(METRICS[key])):
        backend, reason = measurer.backend(metric)
        for unseen in (False, True):
            part = [(pair, member) for pair, member in work if bool(pair["unseen"]) == unseen]
            if not part:
                continue
            if reason:
                yield _row(metric, backend, motion, reason=reason, unseen=unseen, n_attempted=len(part))
            else:
                yield _set_row(metric, backend, motion, unseen, part, outputs, inputs, measurer)


def _set_row(
    metric: Metric,
    backend: str,
    motion: str,
    unseen: bool,
    part: list[tuple[Row, str]],
    outputs: Reenactments,
    inputs: Inputs,
    measurer: Measurer,
) -> Row:
    """One set-level row: generated frames against the protocol's real set of the same dataset."""
    real = [measurer.feature(metric, inputs.picture(*at)) for at in inputs.real]
    made = [(measurer.feature(metric, outputs.picture(member)), pair) for pair, member in part]
    known = [feature for feature in real if feature is not None]
    kept = [(feature, pair) for feature, pair in made if feature is not None]
    row = _row(metric, backend, motion, unseen=unseen, n_used=len(kept), n_attempted=len(part))
    least = FFD_LEAST if metric.key == "ffd" else 2
    if min(len(known), len(kept)) < least:
        return {**row, "reason": f"needs {least} images on each side: {len(known)} real, {len(kept)} generated"}
    interval = set_interval(
        frechet_distance,
        np.stack(known),
        np.stack([feature for feature, _ in kept]),
        [pair["driver_clip"] for _, pair in kept],
        [pair["block"] for _, pair in kept],
    )
    low = math.nan if interval.low is None else interval.low
    high = math.nan if interval.high is None else interval.high
    return {**row, "value": interval.value, "used": True, "ci_low": low, "ci_high": high}


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
    frames = read_real(arguments.real or arguments.pairs.with_name("real.csv")) if has_sets else pd.DataFrame()
    real = [(str(row.key), int(row.frame)) for row in frames.itertuples()]
    with Reenactments(arguments.reenactments) as outputs:
        table = score(pairs, outputs, ShardReader(arguments.shards), protocol, Measurer(settings.backend), real)
    with atomic(arguments.output) as temporary:
        table.to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
