"""Score generated frames against the driver's (target) and the source's: folders of equally named frames, or videos.

Writes JSON: for each metric its value, 95 % interval, images used and attempted, backend, and the reason where there is
no value; and every image's own values. docs/metrics.md defines the metrics.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.folders import matched
from evaluation.measure import Measurement, Sample, is_set_metric, measured, set_distance
from evaluation.metrics.catalogue import CONTRACT, METRICS, Metric
from evaluation.metrics.choice import Choice
from evaluation.readings import add_readings
from evaluation.settings import EvaluationSettings
from evaluation.statistics import BLOCK_FRAMES, Interval, mean_interval
from preprocessing.cli import InputError, add_common, load_settings, positive, progress, run_command
from preprocessing.files import write_json


@dataclass
class Results:
    """What was measured, image by image: names, clips and blocks (25 frames of a clip) of the generated images."""

    names: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    real: list[Measurement] = field(default_factory=list)


def measure(
    generated: Path, target: Path, source: Path | None, metrics: list[Metric], choice: Choice, threads: int
) -> Results:
    """Measure every frame with every metric whose backend is at hand."""
    results = Results()

    def samples() -> Iterator[Sample]:
        for clip, name, number, pictures in matched(generated, target, source):
            results.names.append(name)
            results.clips.append(clip)
            results.blocks.append(f"{clip}#{number // BLOCK_FRAMES}")
            yield Sample(pictures[0], pictures[1], pictures[2] if source is not None else None)

    results.measurements.extend(progress(measured(choice, metrics, samples(), threads), "score"))
    sets = [metric for metric in metrics if is_set_metric(metric) and not choice.backend(metric)[1]]
    if sets:
        real = (Sample(picture) for _, _, _, (picture,) in matched(target))
        results.real.extend(progress(measured(choice, sets, real, threads), "real images"))
    return results


def summary(metric: Metric, results: Results, choice: Choice, samples: int) -> tuple[dict[str, Any], str]:
    """One metric's entry of the JSON, and what its interval was resampled over (empty without one)."""
    backend, unavailable = choice.backend(metric)
    entry: dict[str, Any] = {"value": None, "ci95": [None, None], "n_used": 0, "n_attempted": len(results.names)}
    entry |= {"backend": backend, "reason": unavailable}
    if unavailable:
        return entry, ""
    if is_set_metric(metric):
        interval, used, remark = set_distance(metric, results.real, results.measurements, results.clips, results.blocks)
        entry |= {"n_used": used, "reason": remark}
        return (entry | _numbers(interval), _units(interval)) if interval else (entry | {"n_used": 0}, "")
    values = [measurement.values[metric.key] for measurement in results.measurements]
    counted = [index for index, value in enumerate(values) if value.used]
    lost = Counter(value.reason for value in values if not value.used)
    if not counted:
        return entry | {"reason": "; ".join(sorted(lost))}, ""
    interval = mean_interval(
        [values[i].value for i in counted],
        [results.clips[i] for i in counted],
        [results.blocks[i] for i in counted],
        samples,
    )
    notes = [f"{number} left out: {reason}" for reason, number in sorted(lost.items())]
    return entry | _numbers(interval) | {"n_used": len(counted), "reason": "; ".join(notes)}, _units(interval)


def _units(interval: Interval) -> str:
    return "" if interval.low is None else interval.units


def _numbers(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "ci95": [interval.low, interval.high]}


def report(metrics: list[Metric], results: Results, choice: Choice, samples: int) -> dict[str, Any]:
    """The whole JSON document: ``metrics``, ``per_image``, and ``about`` (unit, direction, what was resampled)."""
    per_image: dict[str, dict[str, float | None]] = {name: {} for name in results.names}
    for metric in metrics:
        for name, measurement in zip(results.names, results.measurements, strict=True):
            value = measurement.values.get(metric.key)
            if not is_set_metric(metric):
                per_image[name][metric.key] = value.value if value is not None and value.used else None
    entries = {metric.key: summary(metric, results, choice, samples) for metric in metrics}
    about = {
        metric.key: {
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
            "compared_with": {"pose": "target", "real": "all targets"}.get(metric.reference, metric.reference),
            "interval_over": entries[metric.key][1],
        }
        for metric in metrics
    }
    return {"metrics": {key: entry for key, (entry, _) in entries.items()}, "per_image": per_image, "about": about}


def lines(document: dict[str, Any]) -> Iterator[str]:
    """What the command prints: a line per metric."""
    for key, entry in document["metrics"].items():
        metric = METRICS[key]
        if entry["value"] is None:
            yield f"{metric.name:8} —  {entry['reason']}"
            continue
        low, high = entry["ci95"]
        interval = "" if low is None else f"  [{low:.{metric.decimals}f}, {high:.{metric.decimals}f}]"
        counts = f"{entry['n_used']}/{entry['n_attempted']} by {entry['backend']}"
        note = f"; {entry['reason']}" if entry["reason"] else ""
        yield f"{metric.name:8} {entry['value']:.{metric.decimals}f} {metric.unit}{interval}  {counts}{note}"


def main(argv: list[str] | None = None) -> None:
    """Command line: the public contract of docs/metrics.md."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.score", description=__doc__)
    parser.add_argument("--generated", type=Path, required=True, metavar="DIR", help="generated frames or video")
    parser.add_argument("--target", type=Path, required=True, metavar="DIR", help="the driver's frames or video")
    parser.add_argument(
        "--source", type=Path, metavar="PATH", help="a photo, a folder with a photo per clip, or frames, or a video"
    )
    parser.add_argument("--metrics", nargs="+", choices=sorted(METRICS), default=list(CONTRACT), metavar="METRIC",
                        help=f"any of {' '.join(METRICS)}")  # fmt: skip
    parser.add_argument(
        "--backend", choices=("embedded", "standard", "auto"), help="detectors (default: the settings', which is auto)"
    )
    add_readings(parser)
    parser.add_argument(
        "--threads",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that measure (default: all cores)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="scores to write")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation")
    metrics = [METRICS[key] for key in dict.fromkeys(arguments.metrics)]
    choice = settings.choice(arguments.backend, arguments.readings)
    if arguments.output.is_dir():
        raise InputError(f"--output {arguments.output} is a folder: name the JSON file to write.")
    results = measure(arguments.generated, arguments.target, arguments.source, metrics, choice, arguments.threads)
    if not results.names:
        raise InputError(f"{arguments.generated} holds no frames.")
    document = report(metrics, results, choice, settings.bootstrap_samples)
    write_json(arguments.output, document)
    print(*lines(document), f"written to {arguments.output}", sep="\n")


if __name__ == "__main__":
    main()
