"""Shards: frames, masks, cameras, landmarks and meta of every tube, as one WebDataset tar with an index.

docs/data.md lists the members. The index is written last and carries the tar's sha256.
"""

import argparse
import io
import logging
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.files import sha256, write_json
from preprocessing.layout import layout
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, statistics, write_rows
from preprocessing.settings import ShardsSettings
from preprocessing.tars import TarFile, TarWriter, dump_json, tar_writer
from preprocessing.tubefile import ChosenFrames, TubeFile

log = logging.getLogger(__name__)

SOFTWARE = "planedict 0.1.0"
"""What wrote the shard, recorded in every sample's meta."""

FORMAT = 2
"""Version of the index; from 2 on it says where the members lie."""


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
    # an index must never stand beside a tar it does not describe
    arguments.output.with_suffix(".json").unlink(missing_ok=True)
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
    members = writer.members()
    for sample in samples:
        sample |= layout(sample["key"], sample["frames"], members)
    samples.sort(key=lambda sample: sample["key"])
    write_rows(arguments.output, rows)
    index = {
        "format": FORMAT,
        "tar": target.name,
        "sha256": sha256(target),
        "bytes": target.stat().st_size,
        "count": len(samples),
        "samples": samples,
        "statistics": statistics(rows, frames=sum(sample["frames"] for sample in samples)),
    }
    write_json(arguments.output.with_suffix(".json"), index)


def add_clip(
    clip: str, tubes: TubeFile, faces: TarFile, masks: TarFile, writer: TarWriter, settings: ShardsSettings
) -> list[dict[str, Any]]:
    """Add all tubes of one clip; returns their entries in the index."""
    chosen = ChosenFrames(clip, tubes, faces)
    entries = []
    for key, items in groupby(chosen, lambda item: item[0].key):
        for tube, index, position, frame in items:
            name = f"{key}.{position:05d}"
            writer.add(f"{name}.jpg", encode_frame(tube.cut(frame, index, tubes.settings.size), settings.quality))
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
