"""What a run was made of: configuration, code, packages, hashes of weights and data, hardware, wall time per stage."""

import argparse
import csv
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.metrics.faces import DLIB_MODEL, dlib_weights
from preprocessing import weights
from preprocessing.cli import InputError, add_common, read_mapping, run_command
from preprocessing.files import sha256, write_json
from preprocessing.registered import digest

ROOT = Path(__file__).resolve().parents[2]


def code() -> dict[str, Any]:
    """The git commit the working tree stands on and whether files differ from it; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed_files": None if changes is None else bool(changes)}


def packages() -> dict[str, str]:
    """Every installed distribution and its version."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def hardware() -> dict[str, Any]:
    """Processor, cores usable by this process, memory, accelerators."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "accelerators": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def data_hashes(shards: Iterable[Path]) -> dict[str, dict[str, str]]:
    """For each dataset, every shard's tar and its sha256, as its index (``data/{dataset}/shards/*.json``) states it."""
    found: dict[str, dict[str, str]] = {}
    for directory in shards:
        for path in sorted(directory.glob("[!.]*.json")):
            index = read_mapping(path)
            if "tar" not in index or "sha256" not in index:
                raise InputError(f"{path} is not the index of a shard.")
            found.setdefault(directory.parent.name, {})[index["tar"]] = index["sha256"]
    return found


def weight_hashes(checkpoints: Iterable[Path]) -> dict[str, str]:
    """sha256 of the trained weights (by run/method), of the detectors' and of the registered weights at hand."""
    found = {f"{path.parents[2].name}/{path.parent.name}/{path.name}": sha256(path) for path in checkpoints}
    found[DLIB_MODEL] = sha256(dlib_weights())
    for name, entry in weights.registry().items():
        if entry.path.is_file():
            found[name] = digest(entry.path)
    return found


def wall_times(folders: Iterable[Path]) -> dict[str, dict[str, float | int]]:
    """Per stage: jobs, seconds summed over them, the longest one, and the largest memory, from Snakemake's benchmarks.

    A stage is the first folder (or the file's stem) below a benchmark folder.
    """
    stages: dict[str, list[tuple[float, float]]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.tsv")):
            parts = path.relative_to(folder).parts
            stage = parts[0] if len(parts) > 1 else path.stem
            with open(path, newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream, delimiter="\t"):
                    stages.setdefault(stage, []).append((_float(row.get("s")), _float(row.get("max_rss"))))
    return {
        stage: {
            "jobs": len(rows),
            "seconds": round(sum(seconds for seconds, _ in rows), 1),
            "longest_seconds": round(max(seconds for seconds, _ in rows), 1),
            "max_rss_mib": round(max(memory for _, memory in rows), 1),
        }
        for stage, rows in stages.items()
    }


def _float(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def collect(
    run: str, config: dict[str, Any], shards: Iterable[Path], checkpoints: Iterable[Path], benchmarks: Iterable[Path]
) -> dict[str, Any]:
    """The whole of ``provenance.json``."""
    return {
        "run": run,
        "config": config,
        "code": code(),
        "packages": packages(),
        "weights": weight_hashes(checkpoints),
        "data": data_hashes(shards),
        "hardware": hardware(),
        "wall_time": wall_times(benchmarks),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line: write one run's provenance."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.report.provenance", description=__doc__)
    parser.add_argument("--run", required=True, help="the run's name")
    parser.add_argument("--config", required=True, metavar="JSON|FILE", help="the validated configuration")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="data/{dataset}/shards")
    parser.add_argument("--checkpoints", type=Path, nargs="*", default=[], metavar="FILE",
                        help="results/{run}/checkpoints/{method}/final.safetensors")  # fmt: skip
    parser.add_argument("--benchmarks", type=Path, nargs="*", default=[], metavar="DIR",
                        help="folders of Snakemake's benchmark files, {stage}/….tsv below them")  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="results/{run}/provenance.json")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    given = arguments.config
    try:
        config = json.loads(given) if given.lstrip().startswith("{") else read_mapping(given)
    except json.JSONDecodeError as error:
        raise InputError(f"--config is not valid JSON: {error}.") from None
    document = collect(arguments.run, config, arguments.shards, arguments.checkpoints, arguments.benchmarks)
    write_json(arguments.output, document)


if __name__ == "__main__":
    main()
