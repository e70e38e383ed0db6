"""Masks: the region labels of every window that faces kept, as PNG; detectors.regions tells the regions."""

import argparse
import logging
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.detectors import choice
from preprocessing.detectors.backends import RegionParser, View, batches
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, start_stage, write_stage
from preprocessing.settings import MasksSettings
from preprocessing.tars import TarFile, TarWriter, dump_json, tar_writer
from preprocessing.tubefile import ChosenFrames, TubeFile

log = logging.getLogger(__name__)


def encode_mask(mask: np.ndarray) -> bytes:
    """A label image [S, S] uint8 as an 8-bit PNG of one channel."""
    _, data = cv2.imencode(".png", mask)
    return bytes(data)


def main(argv: list[str] | None = None) -> None:
    """Command line: masks of one shard."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.masks", description=__doc__)
    parser.add_argument("--crop", type=Path, required=True, metavar="PARQUET", help="rows of the shard's crop stage")
    parser.add_argument("--faces", type=Path, required=True, metavar="PARQUET", help="rows of the shard's faces stage")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="rows to write; .tar beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, MasksSettings, "masks")
    parse = choice.regions(settings)
    tubes = TubeFile.beside(arguments.crop)
    start_stage(arguments.output)
    rows: list[Row] = []
    masks = 0
    with (
        TarFile(arguments.faces.with_suffix(".tar")) as faces,
        tar_writer(arguments.output.with_suffix(".tar")) as writer,
    ):
        for row in progress(read_rows(arguments.faces, Row), "masks"):
            row = plain(row)
            if row.kept:
                try:
                    with writer.together():
                        masks += add_masks(row.clip, tubes, faces, parse, writer)
                except Dropped as dropped:
                    row = drop(row, "masks", dropped)
                    log.info("%s dropped: %s", row.clip, dropped)
            rows.append(row)
    write_stage(arguments.output, rows, masks=masks)


def add_masks(clip: str, tubes: TubeFile, faces: TarFile, parse: RegionParser, writer: TarWriter) -> int:
    """Add the masks of all tubes of one clip that faces kept; returns how many."""
    chosen = ChosenFrames(clip, tubes, faces, parse.side)
    landmarks = {tube.key: faces.array(f"{tube.key}.landmarks.npy") for tube in chosen.tubes}
    for key, items in groupby(chosen, lambda item: item[1].tube.key):
        for batch in batches(items, lambda item: item[1].frame):
            views = [View(shot.frame, shot.box, landmarks[key][position]) for position, shot in batch]
            for (position, _), mask in zip(batch, parse(views, tubes.settings.size), strict=True):
                writer.add(f"{key}.{position:05d}.mask.png", encode_mask(mask))
        writer.add(f"{key}.meta.json", dump_json({"masks": parse.name}))
    return chosen.count


if __name__ == "__main__":
    main()
