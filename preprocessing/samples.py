"""Contact sheets of the stages for the report: what was cropped, the face and camera found, the mask.

One column per sampled frame: the video's frame with face box, FOMM's crop and the window (where crop's rows are
given); the frame of the shard with outlines, landmarks and the world's axes; the colours of the mask over it.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from preprocessing.cameras import project
from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.detectors.points import MESH, layout_of
from preprocessing.files import atomic
from preprocessing.reader import Sample, ShardReader
from preprocessing.reasons import Dropped
from preprocessing.tubefile import TubeFile, TubeWindow
from preprocessing.video import frames

log = logging.getLogger(__name__)

COLOURS = np.array(
    [(18, 18, 24), (240, 190, 150), (130, 80, 40), (70, 110, 190), (80, 220, 240), (230, 60, 90), (140, 150, 90)],
    np.float64,
)
"""Colour of each mask label, 0 to 6."""

AXES = ((255, 80, 80), (90, 220, 90), (90, 150, 255))
"""Colours of the world's x (to the viewer's right), y (up) and z (out of the face)."""

FACE_BOX, CROP_BOX, WINDOW_BOX = (255, 200, 60), (230, 60, 90), (255, 255, 255)
"""Colours of the tube's box, of FOMM's crop and of the window."""

GAP = 4
"""Pixels between pictures."""


def draw_crop(frame: np.ndarray, tube: TubeWindow, index: int, side: int) -> Image.Image:
    """The video's frame [H, W, 3] fitted into a square of ``side``, with face box, FOMM's crop and window."""
    height, width = frame.shape[:2]
    factor = side / max(height, width)
    picture = Image.new("RGB", (side, side))
    offset = ((side - width * factor) / 2, (side - height * factor) / 2)
    size = (round(width * factor), round(height * factor))
    picture.paste(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS), (round(offset[0]), round(offset[1])))
    pen = ImageDraw.Draw(picture)
    for box, colour in ((tube.crop, CROP_BOX), (tube.tube, FACE_BOX), (tube.box(index), WINDOW_BOX)):
        corners = [value * factor + offset[i % 2] for i, value in enumerate(box)]
        pen.rectangle(corners, outline=colour, width=2)
    return picture


def draw_face(frame: np.ndarray, landmarks: np.ndarray, camera: np.ndarray) -> Image.Image:
    """The frame [S, S, 3] with landmarks [478 or 68, 3], the outlines of face, eyes and lips, and the world's axes."""
    image = Image.fromarray(frame)
    pen = ImageDraw.Draw(image)
    layout = layout_of(landmarks)
    for outline in (layout.oval, layout.left_eye, layout.right_eye, layout.lips):
        pen.line([tuple(landmarks[i, :2]) for i in (*outline, outline[0])], fill=(255, 255, 255), width=1)
    for x, y in landmarks[:: 6 if layout is MESH else 1, :2]:
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(255, 220, 60))
    origin = np.array([0.0, 0.0, 0.3])  # about the tip of the nose
    ends = project(np.vstack([origin, origin + 0.35 * np.eye(3)]), camera) * len(frame)
    for end, colour in zip(ends[1:], AXES, strict=True):
        pen.line([tuple(ends[0]), tuple(end)], fill=colour, width=3)
    return image


def draw_mask(frame: np.ndarray, mask: np.ndarray) -> Image.Image:
    """The frame [S, S, 3] under the colours of its mask [S, S]; background dark."""
    share = np.where(mask == 0, 0.85, 0.5)[..., None]
    return Image.fromarray((frame * (1 - share) + COLOURS[mask] * share).astype(np.uint8))


def column(reader: ShardReader, sample: Sample, index: int, side: int, tube: TubeWindow | None) -> Image.Image:
    """One sampled frame as a column of square pictures of ``side``, labelled."""
    frame, mask = reader.frames(sample.key, [index])[0], reader.masks(sample.key, [index])[0]
    number = reader.meta(sample.key)["frames"][index]
    pictures = [
        draw_face(frame, reader.landmarks(sample.key)[index], reader.cameras(sample.key)[index]),
        draw_mask(frame, mask),
    ]
    if tube is not None:
        try:
            for _, whole in frames(tube.path, spans=[(number, number + 1)]):
                pictures.insert(0, draw_crop(whole, tube, number, side))
        except Dropped as dropped:
            raise InputError(f"Frame {number} of {tube.path} cannot be decoded again ({dropped}).") from None
    sheet = Image.new("RGB", (side, len(pictures) * (side + GAP) - GAP), (255, 255, 255))
    for row, picture in enumerate(pictures):
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (0, row * (side + GAP)))
    pen = ImageDraw.Draw(sheet)
    text = label(sample.clip, f"#{number} {sample.split}", side - 8, pen.textlength)
    pen.text((4, 3), text, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return sheet


def label(clip: str, rest: str, width: float, length: Callable[[str], float]) -> str:
    """``clip`` and ``rest`` in at most ``width`` pixels by ``length``: the middle of a long name is left out."""
    text, kept = f"{clip} {rest}", len(clip) - 1
    while length(text) > width and kept > 1:
        kept -= 1
        text = f"{clip[: kept - kept // 2]}...{clip[len(clip) - kept // 2 :]} {rest}"
    return text


def contact_sheet(
    reader: ShardReader, clips: list[str], per_clip: int, side: int = 192, tubes: dict[str, TubeWindow] | None = None
) -> Image.Image:
    """Columns of ``per_clip`` frames spread over each of ``clips``; ``tubes`` by key add the row of whole frames."""
    columns = []
    for clip in progress(clips, "samples", len(clips)):
        places = [(sample, i) for sample in reader.samples if sample.clip == clip for i in range(sample.frames)]
        if not places:
            raise InputError(f"There is no sample of clip '{clip}' in the shards.")
        for position in np.linspace(0, len(places) - 1, per_clip + 2)[1:-1].round().astype(int):
            sample, index = places[position]
            columns.append(column(reader, sample, index, side, (tubes or {}).get(sample.key)))
    height = max(image.height for image in columns)
    sheet = Image.new("RGB", ((side + GAP) * len(columns) - GAP, height), (255, 255, 255))
    for number, image in enumerate(columns):
        sheet.paste(image, (number * (side + GAP), height - image.height))
    return sheet


def main(argv: list[str] | None = None) -> None:
    """Command line: write a contact sheet of shards."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.samples", description=__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="folders of shards")
    parser.add_argument("--crop", type=Path, nargs="*", default=[], metavar="DIR", help="folders of their crop stage")
    parser.add_argument("--clips", nargs="*", metavar="CLIP", help="clips to show (default: all, at most --max-clips)")
    parser.add_argument("--max-clips", type=int, default=8, help="clips to show without --clips (default 8)")
    parser.add_argument("--first", type=int, metavar="N", help="shards of each folder to look into (default: all)")
    parser.add_argument("--per-clip", type=int, default=2, help="frames per clip (default 2)")
    parser.add_argument("--side", type=int, default=192, help="side of one picture in pixels (default 192)")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="picture to write")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    reader = ShardReader(arguments.shards, first=arguments.first)
    clips = arguments.clips or sorted({sample.clip for sample in reader.samples})[: arguments.max_clips]
    if not clips:
        places = ", ".join(map(str, arguments.shards))
        if arguments.first is None:
            raise InputError(f"The shards in {places} are empty: nothing to show.")
        # Later ones may hold some: no reason to end a run.
        words = f"The first {arguments.first} shards hold no sample."
        log.warning("%s (%s)", words, places)
        sheet = Image.new("RGB", (2 * arguments.side, arguments.side), (255, 255, 255))
        ImageDraw.Draw(sheet).text((4, 4), words, fill=(0, 0, 0))
        with atomic(arguments.output) as temporary:
            sheet.save(temporary)
        return
    folders = {folder.resolve().parent.name: folder for folder in arguments.crop}
    shown = {(s.dataset, s.shard) for s in reader.samples if s.clip in clips and s.dataset in folders}
    files = [TubeFile.beside(folders[dataset] / f"{shard}.parquet") for dataset, shard in sorted(shown)]
    tubes = {tube.key: tube for file in files for tube in file.tubes}
    sheet = contact_sheet(reader, clips, arguments.per_clip, arguments.side, tubes)
    with atomic(arguments.output) as temporary:
        sheet.save(temporary)


if __name__ == "__main__":
    main()
