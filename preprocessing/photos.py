"""Photos with their background removed: what the adversarial fine-tune compares renderings with.

``matte`` brings one shard of an ``ffhq`` sheet to PNGs whose alpha channel is the mask that training's frames have;
``gather`` writes the ``dataset.json`` of all shards. A photo that is there already, of the same pixels and settings, is
not made again, so that a killed job goes on.
"""

import argparse
import functools
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from preprocessing import weights
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.detectors import choice
from preprocessing.detectors.backends import FaceMesh, View
from preprocessing.detectors.regions import BACKGROUND
from preprocessing.files import atomic, sha256, write_json
from preprocessing.photo import read_photo
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, read_rows, statistics, write_stage
from preprocessing.settings import DatasetSettings, FFHQSettings, MasksSettings
from preprocessing.sheets import SheetRow, read_sheet
from preprocessing.sources.ffhq import LABELS, judged, read_labels

log = logging.getLogger(__name__)

MADE_OF = "made of"
"""Key of the PNG's text that says of what photo and settings it was made."""

Matting = Callable[[np.ndarray], np.ndarray | None]
"""The person [S, S] bool in a photo [S, S, 3] uint8 RGB, None where no face is found."""


@dataclass(frozen=True, slots=True)
class PhotoRow(Row):
    """A photo after matting: the PNG's path within the folder of all shards, and the photo's name in the source."""

    file: str = ""
    path: str = ""


def matting(settings: MasksSettings) -> Matting:
    """What finds the person in a photo: the foreground of the masks that training's frames have."""
    find, parse = FaceMesh(), choice.regions(settings)

    def person(photo: np.ndarray) -> np.ndarray | None:
        (landmarks,) = find([photo])
        if landmarks is None:
            return None
        side = len(photo)
        (labels,) = parse([View(photo, (0, 0, side, side), landmarks)], side)
        return np.asarray(labels != BACKGROUND)

    return person


class Matter:
    """Mattes photos of ``folder`` into ``output``; the networks are loaded when the first photo needs them."""

    def __init__(self, folder: Path, output: Path, settings: MasksSettings) -> None:
        self.folder, self.output, self.settings = folder, output, settings
        files = [weights.named(weights.require(name)) for name in choice.files(settings)]
        self._made_with = " ".join([settings.backend, str(settings.threshold), *files])

    def row(self, sheet: SheetRow) -> PhotoRow:
        """One photo's row; failures become its reason."""
        row = PhotoRow(sheet.clip, sheet.key, sheet.status, sheet.stage, sheet.reason, sheet.detail, file=sheet.file)
        if not row.kept:
            return row
        target = self.output / f"{sheet.key}.png"
        try:
            self._write(self.folder / sheet.file, target)
        except Dropped as dropped:
            return drop(row, "photos", dropped)
        return replace(row, path=f"{self.output.name}/{target.name}")

    @functools.cached_property
    def _matte(self) -> Matting:
        return matting(self.settings)

    def _write(self, photo: Path, target: Path) -> None:
        if not photo.is_file():
            raise Dropped("missing", f"{photo.name} is not in the folder")
        made_of = f"{sha256(photo)} {self._made_with}"
        if _made_of(target) == made_of:
            return
        try:
            pixels = read_photo(photo)
        except InputError as error:
            raise Dropped("corrupt", str(error)) from None
        height, width = pixels.shape[:2]
        if height != width:
            raise Dropped("corrupt", f"{width} × {height} pixels, not square")
        person = self._matte(pixels)
        if person is None:
            raise Dropped("no-face", "none in the photo")
        text = PngImagePlugin.PngInfo()
        text.add_text(MADE_OF, made_of)
        stream = io.BytesIO()
        alpha = person[..., None].astype(np.uint8) * 255
        Image.fromarray(np.concatenate([pixels * (alpha > 0), alpha], axis=2)).save(stream, "PNG", pnginfo=text)
        with atomic(target) as temporary:
            temporary.write_bytes(stream.getvalue())


def _made_of(target: Path) -> str | None:
    """Of what the PNG at ``target`` was made, None where there is none."""
    try:
        with Image.open(target) as image:
            return image.info.get(MADE_OF)
    except OSError:
        return None


def gathered(rows: Sequence[PhotoRow], folder: Path) -> list[list[object]]:
    """The lines of the new ``dataset.json``: the kept rows' PNGs with the cameras of ``folder``'s."""
    cameras: dict[str, object] = {}
    for line in read_labels(folder):
        name, problem = judged(line)
        if not problem:
            cameras.setdefault(name, line[1])
    names = Counter(row.clip for row in rows)
    if (twice := next((name for name, count in names.items() if count > 1), None)) is not None:
        raise InputError(f"Photo '{twice}' is in the rows of two shards: delete what a run with more shards left.")
    gone = next((row.file for row in rows if row.kept and row.file not in cameras), None)
    if gone is not None:
        raise InputError(f"{folder / LABELS} no longer lists {gone}; write the sheet again.")
    return [[row.path, cameras[row.file]] for row in rows if row.kept]


def main(argv: list[str] | None = None) -> None:
    """Command line: matte one shard, or gather all."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.photos", description=__doc__)
    commands = parser.add_subparsers(required=True)
    matte = commands.add_parser("matte", help="matte the photos of one shard")
    matte.add_argument("--sheet", type=Path, required=True, metavar="PARQUET", help="sheet of the dataset")
    matte.add_argument("--shard", type=int, required=True, metavar="N", help="shard to matte")
    matte.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="rows; PNGs in the folder beside")
    matte.set_defaults(run=_matte)
    gather = commands.add_parser("gather", help="write dataset.json of all shards and their account")
    gather.add_argument("--rows", type=Path, required=True, metavar="DIR", help="folder of the shards' rows")
    gather.add_argument("--output", type=Path, required=True, metavar="JSON", help="dataset.json; account.json beside")
    gather.set_defaults(run=_gather)
    for command in (matte, gather):
        command.add_argument("--dataset", required=True, metavar="JSON|FILE", help="the dataset's settings")
    add_common(matte)
    add_common(gather, settings=False)
    run_command(lambda arguments: arguments.run(arguments), parser, argv)


def _folder(given: str) -> Path:
    source = load_settings(given, DatasetSettings, "dataset").source
    if not isinstance(source, FFHQSettings):
        raise InputError(f"A dataset of kind '{source.kind}' has no photos: source.kind must be 'ffhq'.")
    return source.path


def _matte(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, MasksSettings, "masks")
    output: Path = arguments.output
    matter = Matter(_folder(arguments.dataset), output.with_suffix(""), settings)
    rows = [matter.row(sheet) for sheet in progress(read_sheet(arguments.sheet, arguments.shard), "photos")]
    output.with_suffix("").mkdir(parents=True, exist_ok=True)
    write_stage(output, rows, PhotoRow)


def _gather(arguments: argparse.Namespace) -> None:
    paths = sorted(arguments.rows.glob("[!.]*.parquet"))
    rows = [row for path in paths for row in read_rows(path, PhotoRow)]
    labels = gathered(rows, _folder(arguments.dataset))
    if not labels:
        raise InputError(f"{arguments.rows}: none of {len(rows)} photos is left; the rows there say why.")
    with atomic(arguments.output) as temporary:
        temporary.write_text(json.dumps({"labels": labels}), encoding="utf-8")
    write_json(arguments.output.with_name("account.json"), statistics(rows))
    log.info("%d of %d photos kept", len(labels), len(rows))


if __name__ == "__main__":
    main()
