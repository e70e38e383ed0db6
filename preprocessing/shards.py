"""Shards: frames, masks, cameras, landmarks and meta of every tube, as one WebDataset tar with an index.

docs/data.md lists the members. The index carries the tar's sha256 and is written after it. Where the decoder's time ran
out in this stage or one before, the rows stay beside those of crop for the next run, once.
"""

import argparse
import io
import logging
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.reasons import Dropped, is_transient
from preprocessing.retries import leave, waiting
from preprocessing.rows import Row, drop, plain, read_rows, start_stage, statistics, write_rows
from preprocessing.settings import ShardsSettings
from preprocessing.shardindex import write_index
from preprocessing.tars import TarFile, TarWriter, dump_json, tar_writer
from preprocessing.tubefile import ChosenFrames, TubeFile

log = logging.getLogger(__name__)

SOFTWARE = "planedict 0.1.0"
"""What wrote the shard, recorded in every sample's meta."""


def encode_frame(frame: Any, quality: int) -> bytes:
    """A frame [S, S, 3] uint8 RGB as JPEG without chroma subsampling."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def main(argv: list[str] | None = None) -> None:
    """Command line: write one shard."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.shards", description=__doc__)
    parser.add_argument("--crop", type=Path, required=True, metavar="PARQUET", help="rows of the shard's crop stage")
    parser.add_argument("--faces", type=Path, required=True, metavar="PARQUET", help="rows of the shard's faces stage")
    parser.add_argument("--masks", type=Path, required=True, metavar="PARQUET", help="rows of the shard's masks stage")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="rows; .tar and .json beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, ShardsSettings, "shard")
    tubes = TubeFile.beside(arguments.crop)
    samples: list[dict[str, Any]] = []
    target: Path = arguments.output.with_suffix(".tar")
    start_stage(arguments.output)
    with (
        TarFile(arguments.faces.with_suffix(".tar")) as faces,
        TarFile(arguments.masks.with_suffix(".tar")) as masks,
        tar_writer(target) as writer,
    ):
        rows = [plain(row) for row in read_rows(arguments.masks, Row)]
        # in the order of the members' names, which then are written once
        for place in progress(sorted(range(len(rows)), key=lambda place: f"{rows[place].key}_"), "shards"):
            row = rows[place]
            if row.kept:
                try:
                    with writer.together():
                        samples += add_clip(row.clip, tubes, faces, masks, writer, settings)
                except Dropped as dropped:
                    rows[place] = drop(row, "shards", dropped)
                    log.info("%s dropped: %s", row.clip, dropped)
    write_rows(arguments.output, rows)
    counts = statistics(rows, frames=sum(sample["frames"] for sample in samples))
    write_index(target, writer, samples, statistics=counts)
    late = any(is_transient(row.reason) and row.stage not in ("sheets", "fetch") for row in rows)
    # Once: what follows from the shard is made again as well.
    if late and arguments.crop.stem not in waiting(arguments.crop.parent):
        leave(arguments.crop, lambda path: write_rows(path, rows))
        log.info("a decoder's time ran out: the next run tries this shard again from crop on")


def add_clip(
    clip: str, tubes: TubeFile, faces: TarFile, masks: TarFile, writer: TarWriter, settings: ShardsSettings
) -> list[dict[str, Any]]:
    """Add all tubes of one clip; returns their entries in the index."""
    chosen = ChosenFrames(clip, tubes, faces)
    entries = []
    for key, items in groupby(chosen, lambda item: item[1].tube.key):
        for position, shot in items:
            name = f"{key}.{position:05d}"
            writer.add(f"{name}.jpg", encode_frame(shot.window(tubes.settings.size), settings.quality))
            writer.add(f"{name}.mask.png", masks.read(f"{name}.mask.png"))
        for name in ("cameras.npy", "landmarks.npy"):
            writer.add(f"{key}.{name}", faces.read(f"{key}.{name}"))
        meta = chosen.metas[key]
        backends = meta["backends"] | masks.mapping(f"{key}.meta.json")
        writer.add(f"{key}.meta.json", dump_json(meta | {"backends": backends, "software": SOFTWARE}))
        entry = {name: meta[name] for name in ("key", "clip", "person", "split", "fps")}
        entries.append(entry | {"frames": len(meta["frames"])})
    return entries


if __name__ == "__main__":
    main()
