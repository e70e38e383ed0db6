"""Re-enactment of a protocol's pairs by one method (``python -m evaluation.reenact``): the frames that are scored."""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from evaluation.outputs import read_pairs
from evaluation.settings import COPY
from model.cameras import view_labels
from model.checkpoints import Trained, load_method
from model.data import Frames, FrameStore
from model.kinds import FrameFormat
from model.method import Reenactor, method_of
from model.references import References
from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.files import atomic
from preprocessing.reader import ShardReader
from preprocessing.tars import tar_writer

ABSOLUTE, NONE = "absolute", "none"
Frame = tuple[str, int]


def copies(pairs: pd.DataFrame, store: FrameStore) -> Iterator[tuple[int, str, np.ndarray]]:
    """The trivial method: the source frame itself, whatever the driver does."""
    for row in progress(pairs.itertuples(), COPY, len(pairs)):
        yield row.pair, NONE, store.images([(row.source_key, row.source_frame)])[0]


def drive(pairs: pd.DataFrame, store: FrameStore, reenactor: Reenactor[Any]) -> Iterator[tuple[int, str, np.ndarray]]:
    """Every pair with each kind of motion that the method offers; where a view is asked for, from that camera.

    Each kind of motion has its own reference frame of the driver's clip (:class:`model.references.References`).
    """
    references, sources = References(store), dict[Frame, Any]()
    for row in progress(pairs.itertuples(), "pairs", len(pairs)):
        at, driver = (row.source_key, int(row.source_frame)), store.frames([(row.driver_key, int(row.driver_frame))])
        if at not in sources:
            sources[at] = reenactor.encode(store.frames([at]))
        landmarks, given = store.clips[at[0]].landmarks[at[1]], dict[str, Frames]()
        motions = reenactor.kind.motions_of(own=row.driver_clip == row.source_clip)
        for name in set(motions.values()):
            given[name] = store.frames([references.frame(name, landmarks, row.driver_clip)])
        if np.isnan(row.yaw):
            relative_to = {motion: given[name] for motion, name in motions.items()}
            for motion, images in reenactor.drive_all(sources[at], driver, relative_to).items():
                yield row.pair, motion, images[0]
        else:
            camera = view_labels(torch.tensor([row.yaw]), torch.tensor([row.pitch]))
            reference = given[motions[ABSOLUTE]]
            yield row.pair, ABSOLUTE, reenactor.render(sources[at], driver, reference, camera)[0]


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
    reenactor = None
    if arguments.checkpoint is None:
        form = validated_copy_format(arguments.resolution)
    elif arguments.method == COPY:
        raise InputError("The copy of the source has no checkpoint; give --resolution instead.")
    else:
        reenactor = chosen_reenactor(load_method(arguments.checkpoint), arguments.picture)
        form = reenactor.frames
        if not reenactor.kind.views and pairs["yaw"].notna().any():
            raise InputError(f"{arguments.method} renders no other views, which {arguments.pairs} asks for.")
    # Of these clips all held-out frames: the driver's reference is one of them.
    clips = set(pairs["source_clip"]) | set(pairs["driver_clip"])
    keys = set(pairs["source_key"]) | set(pairs["driver_key"])
    held_out = [s for s in reader.samples if s.key in keys or (s.split != "train" and s.clip in clips)]
    store = FrameStore(reader, held_out, form)
    write_frames(copies(pairs, store) if reenactor is None else drive(pairs, store, reenactor), arguments.output)


def chosen_reenactor(trained: Trained, picture: str | None) -> Reenactor[Any]:
    """What drives the trained network, making ``picture`` (None: the first the kind makes); InputError if it cannot."""
    outputs = trained.kind.outputs
    if picture is not None and picture not in outputs:
        raise InputError(f"--picture {picture}: a method of the kind {trained.kind.name} makes {', '.join(outputs)}.")
    return method_of(trained.kind.name).reenactor(trained.network, picture or outputs[0])


def validated_copy_format(resolution: int | None) -> FrameFormat:
    """The size at which the copied frames are wanted."""
    if resolution is None:
        raise InputError("The copy of the source needs --resolution, the side of the images the other methods make.")
    return FrameFormat(resolution, resolution)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m evaluation.reenact", description=__doc__)
    p.add_argument("--shards", type=Path, required=True, metavar="DIR", help="a dataset's shards")
    p.add_argument("--pairs", type=Path, required=True, metavar="CSV", help="one protocol's pairs")
    p.add_argument("--method", required=True, help=f"slug of the method; '{COPY}' is the copy of the source")
    p.add_argument("--checkpoint", type=Path, metavar="FILE", help="final.safetensors of a trained method")
    p.add_argument("--picture", metavar="NAME", help="which of the method's pictures, such as deformed (its first one)")
    p.add_argument("--resolution", type=int, metavar="N", help=f"side of the images of '{COPY}'")
    p.add_argument("--output", type=Path, required=True, metavar="DIR", help="where frames.tar and index.parquet go")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
