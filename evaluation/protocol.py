"""Write what the three protocols compare: ``python -m evaluation.protocol`` samples pairs, or takes frozen lists.

Beside the pairs lie the real set of FID and ``protocol.json``, the rules in numbers (docs/metrics.md).
"""

import argparse
from pathlib import Path
from typing import Any

from evaluation.frozen import frozen_lists
from evaluation.metrics.catalogue import METRICS
from evaluation.sampling import VIEW_OFFSETS, Lists, sampled_lists, unseen_pairs
from evaluation.settings import EvaluationSettings, ProtocolSettings
from evaluation.statistics import BLOCK_FRAMES, FEW_CLIPS
from preprocessing.cli import add_common, load_settings, run_command
from preprocessing.files import atomic, sha256, write_json
from preprocessing.reader import ShardReader

MOTIONS = {
    "absolute": "rendered from the driver's camera (multi-view: the requested one); motion code of the driver's frame; "
    "first-order methods, which have no camera: the driver's keypoints as they are",
    "relative": "rendered from the source's camera moved by the driver's change since its reference frame, the one "
    "with the most closed mouth; first-order methods: the source's keypoints moved by the change of the driver's since "
    "the first held-out frame of its clip",
    "relative_best": "first-order methods: the same since the held-out frame of the driver's clip whose 68 landmarks, "
    "freed of place and size, are nearest to the source's",
    "none": "the copy of the source, which does not move",
}


def rules(lists: Lists, settings: ProtocolSettings, files: dict[str, Path]) -> dict[str, Any]:
    """``protocol.json``: what was asked for, what there is, the constants behind it, and each written file's sha256."""
    asked = {
        "self": {"frames_per_clip": settings.self_frames_per_clip},
        "cross": {
            "pairs": settings.cross_pairs,
            "pairs_of_unseen_clips": unseen_pairs(settings),
            "seed": settings.seed,
            "seed_of_unseen_clips": settings.seed + 1,
        },
        "multiview": {"pairs": settings.multiview_pairs, "views": len(VIEW_OFFSETS) ** 2},
        "real": {"frames": max(settings.cross_pairs, METRICS["ffd"].least_images)},
    }
    got: dict[str, dict[str, int]] = {
        name: {
            "pairs": len(table),
            "of_unseen_clips": int(table["unseen"].sum()),
            "source_clips": table["source_clip"].nunique(),
            "driver_clips": table["driver_clip"].nunique(),
            "people": len(set(table["source_person"]) | set(table["driver_person"])),
        }
        for name, table in lists.pairs.items()
    }
    got["real"] = {"frames": len(lists.real), "clips": lists.real["clip"].nunique()}
    return {
        "frozen": None if settings.frozen is None else str(settings.frozen),
        "lists": {
            name: {
                # A frozen list was asked for by nobody here: its size is its own.
                "asked": None if settings.frozen is not None else asked[name],
                "got": got[name],
                "sha256": sha256(path),
            }
            for name, path in files.items()
        },
        "left_out": lists.left_out,
        "view_offsets_radians": {"yaw": VIEW_OFFSETS, "pitch": VIEW_OFFSETS},
        "motions": MOTIONS,
        "block_frames": BLOCK_FRAMES,
        "blocks_below_clips": FEW_CLIPS,
    }


def main(arguments: argparse.Namespace) -> None:
    """Write ``self.csv``, ``cross.csv``, ``multiview.csv`` and ``real.csv``, then ``protocol.json``."""
    settings = load_settings(arguments.settings, EvaluationSettings, "evaluation").protocol
    folder = settings.frozen_folder(arguments.shards.resolve().parent.name)
    samples = ShardReader(arguments.shards, verify=False).samples  # no frame is read here
    lists = sampled_lists(samples, settings) if folder is None else frozen_lists(folder, samples)
    files = {}
    for name, table in (lists.pairs | {"real": lists.real}).items():
        files[name] = arguments.output / f"{name}.csv"
        with atomic(files[name]) as temporary:
            table.to_csv(temporary, index=False)
    write_json(arguments.output / "protocol.json", rules(lists, settings, files))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.protocol", description=__doc__)
    p.add_argument("--shards", type=Path, required=True, metavar="DIR", help="a dataset's shards")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the pair lists go")
    add_common(p)
    return p


if __name__ == "__main__":
    run_command(main, parser())
