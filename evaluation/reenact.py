"""Re-enactment of a protocol's pairs by one method (``python -m evaluation.reenact``): the frames that are scored."""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from evaluation.outputs import read_pairs
from evaluation.settings import COPY
from model.animator import Animator, Source
from model.cameras import relative_camera, view_labels
from model.checkpoints import load_weights
from model.data import FrameStore
from model.settings import ModelSettings
from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import atomic
from preprocessing.reader import ShardReader
from preprocessing.tars import tar_writer

ABSOLUTE, RELATIVE, NONE = "absolute", "relative", "none"
Frame = tuple[str, int]


def copies(pairs: pd.DataFrame, store: FrameStore) -> Iterator[tuple[int, str, np.ndarray]]:
    """The trivial method: the source frame itself, whatever the driver does."""
    for row in progress(pairs.itertuples(), COPY, len(pairs)):
        yield row.pair, NONE, store.images([(row.source_key, row.source_frame)])[0]


def drive(pairs: pd.DataFrame, store: FrameStore, animator: Animator) -> Iterator[tuple[int, str, np.ndarray]]:
    """Every pair with absolute motion and, where the camera is the driver's, with relative motion.

    The driver's reference, for codes and for relative cameras, is its clip's frame with the smallest mouth opening.
    """
    sources: dict[Frame, Source] = {}
    for row in progress(pairs.itertuples(), "pairs", len(pairs)):
        at, driver = (row.source_key, int(row.source_frame)), (row.driver_key, int(row.driver_frame))
        if at not in sources:
            sources[at] = animator.source(store.sources([at]))
        reference = store.neutral_frames(row.driver_clip, 1)[0]
        motion = animator.motion(store.drivers([driver]), store.drivers([reference]))
        if np.isnan(row.yaw):
            label = store.labels([driver])
            moved = relative_camera(store.labels([at]), label, store.labels([reference]))
            images = animator.drive(sources[at], motion.expand(2, -1), torch.cat([label, moved]))
            yield row.pair, ABSOLUTE, images[0]
            yield row.pair, RELATIVE, images[1]
        else:
            label = view_labels(torch.tensor([row.yaw]), torch.tensor([row.pitch]))
            yield row.pair, ABSOLUTE, animator.drive(sources[at], motion, label)[0]


def write_frames(frames: Iterator[tuple[int, str, np.ndarray]], directory: Path) -> None:
    """Write (pair, motion, image) as ``frames.tar`` of PNGs, then ``index.parquet``; equal input gives equal bytes."""
    rows = []
    with tar_writer(directory / "frames.tar") as tar:
        for pair, motion, image in frames:
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, "PNG", compress_level=3)
            member = f"{motion}/{pair:05d}.png"
            tar.add(member, stream.getvalue())
            rows.append({"pair": pair, "motion": motion, "member": member})
    index = pd.DataFrame(rows, columns=["pair", "motion", "member"]).astype(
        {"pair": "int64", "motion": "str", "member": "str"}
    )
    with atomic(directory / "index.parquet") as temporary:
        index.to_parquet(temporary, index=False)


def main(arguments: argparse.Namespace) -> None:
    """Re-enact one pair list."""
    torch.set_num_threads(1)
    pairs = read_pairs(arguments.pairs)
    reader = ShardReader(arguments.shards)
    if arguments.checkpoint is None:
        settings = validated_copy_settings(arguments.resolution)
    elif arguments.method == COPY:
        raise InputError("The copy of the source has no checkpoint; give --resolution instead.")
    else:
        model, _ = load_weights(arguments.checkpoint)
        settings = model.settings
    # Of these clips all held-out frames: the driver's reference is one of them.
    clips = set(pairs["source_clip"]) | set(pairs["driver_clip"])
    keys = set(pairs["source_key"]) | set(pairs["driver_key"])
    held_out = [s for s in reader.samples if s.key in keys or (s.split != "train" and s.clip in clips)]
    store = FrameStore(reader, held_out, settings.frames)
    frames = copies(pairs, store) if arguments.checkpoint is None else drive(pairs, store, Animator(model))
    write_frames(frames, arguments.output)


def validated_copy_settings(resolution: int | None) -> ModelSettings:
    """Settings that only say at which size the copied frames are wanted."""
    if resolution is None:
        raise InputError("The copy of the source needs --resolution, the side of the images the other methods make.")
    return ModelSettings(resolution=resolution, neural_rendering_resolution=resolution, superresolution=False)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.reenact", description=__doc__)
    p.add_argument("--shards", type=Path, required=True, metavar="DIR", help="a dataset's shards")
    p.add_argument("--pairs", type=Path, required=True, metavar="CSV", help="one protocol's pairs")
    p.add_argument("--method", required=True, help=f"slug of the method; '{COPY}' is the copy of the source")
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="final.safetensors of a trained method")
    p.add_argument("--resolution", type=int, metavar="N", help=f"side of the images of '{COPY}'")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="where frames.tar and index.parquet go")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
