"""Crop: follow the face, cut tubes by FOMM's rule, and lay EG3D's window over each tube.

Writes where the windows are, not the frames: later stages decode them from the video, so that a frame is
compressed once. ``python -m preprocessing.crop tubes …`` applies the tube rule alone to given boxes.
"""

import argparse
import json
import logging
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.detectors import choice
from preprocessing.detectors.backends import FaceMesh
from preprocessing.fetch import FetchRow
from preprocessing.files import write_json
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, start_stage, write_stage
from preprocessing.settings import CropSettings
from preprocessing.sheets import SheetRow, read_sheet
from preprocessing.tracking import ZERO, Track, follow
from preprocessing.tubes import Box, Tube, TubeRule, find_tubes
from preprocessing.video import frames

log = logging.getLogger(__name__)

WINDOW_DECIMETRES = 700 / 300
"""Side of EG3D's window in decimetres at the face."""

SIDE_TOLERANCE = 0.25
"""A tube whose own side differs from its clip's by more than this share keeps its own."""


def rule_of(settings: CropSettings) -> TubeRule:
    """The tube rule within the crop settings."""
    return TubeRule(
        iou=settings.iou,
        increase=settings.increase,
        min_frames=settings.min_frames,
        max_frames=settings.max_frames,
        min_size=settings.min_size,
        allow_padding=settings.allow_padding,
    )


def crop_clip(sheet: SheetRow, media: FetchRow, settings: CropSettings, track: Track) -> list[dict[str, Any]]:
    """Tubes of one clip as written to ``.tubes.json``; raises :class:`Dropped` when none survives."""
    kept: list[tuple[str, Tube]] = []
    rejected: list[Tube] = []
    covered = 0
    for start, end, split in sheet.parts(media.fps):
        start, end = max(start, track.start), track.end if end < 0 else min(end, track.end)
        if start >= end:
            continue
        covered += end - start
        boxes: list[Box] = [tuple(box) for box in track.boxes[start - track.start : end - track.start].tolist()]
        for tube in find_tubes(boxes, media.height, media.width, rule_of(settings)):
            moved = Tube(tube.start + start, tube.end + start, tube.tube, tube.crop, tube.reason, tube.padded)
            if tube.reason is None and len(_inside(track.fits, moved)):
                kept.append((split, moved))
            else:
                rejected.append(moved)
    if not kept:
        if not covered:
            raise Dropped("no-segment", _asks_for(sheet, media))
        raise _why_none(track, rejected)
    kept.sort(key=lambda item: item[1].start)
    sides = {tube.start: _side(_inside(track.fits, tube)) for _, tube in kept}
    usual = float(np.median(np.concatenate([_inside(track.fits, tube)[:, 1] for _, tube in kept]))) * WINDOW_DECIMETRES
    tubes = []
    for number, (split, tube) in enumerate(kept):
        own = sides[tube.start]
        side = own if abs(own / usual - 1) > SIDE_TOLERANCE else usual
        tubes.append(
            {
                "key": f"{sheet.key}_{number:02d}",
                "clip": sheet.clip,
                "path": media.path,
                "source": sheet.file,
                "person": sheet.person,
                "split": split,
                "start": tube.start,
                "end": tube.end,
                "fps": media.fps,
                "size": [media.width, media.height],
                "tube": [round(value, 3) for value in tube.tube],
                "crop": tube.crop,
                "padded": tube.padded,
                "framing": settings.framing,
                "window": {"side": round(side, 3), "centers": centres(track.fits, tube, media.fps, settings)},
            }
        )
    return tubes


def own_frames(sheet: SheetRow, media: FetchRow) -> tuple[int, int]:
    """The span of a clip's own frames, from its first segment to its last, within the file; empty where it has none.

    Of a download that holds many clips, the frames of the others are not looked at.
    """
    parts = [(max(start, 0), media.frames if end < 0 else end) for start, end, _ in sheet.parts(media.fps)]
    return min((start for start, _ in parts), default=0), max((min(end, media.frames) for _, end in parts), default=0)


def _inside(fits: np.ndarray, tube: Tube) -> np.ndarray:
    """Fits of a tube's sampled frames."""
    return fits[(fits[:, 0] >= tube.start) & (fits[:, 0] < tube.end)]


def _side(fits: np.ndarray) -> float:
    return float(np.median(fits[:, 1])) * WINDOW_DECIMETRES


def centres(fits: np.ndarray, tube: Tube, fps: float, settings: CropSettings) -> list[list[float]]:
    """Window centre (x, y) per frame of a tube: interpolated between sampled frames, smoothed over time.

    With ``framing: fomm`` the crop stands still, and so does the centre (the median), which then is the
    principal point.
    """
    inside = _inside(fits, tube)
    indices = np.arange(tube.start, tube.end)
    path = np.stack([np.interp(indices, inside[:, 0], inside[:, axis]) for axis in (2, 3)], -1)
    if settings.framing == "fomm":
        path[:] = np.median(path, axis=0)
    elif settings.smoothing > 0:
        path = gaussian_filter1d(path, settings.smoothing * fps, axis=0, mode="nearest")
    return [[float(x), float(y)] for x, y in path.round(3)]


def _asks_for(sheet: SheetRow, media: FetchRow) -> str:
    """Which frames a clip wants that its video does not have."""
    if not (parts := sheet.parts(media.fps)):
        return "the clip's sheet names no frames"
    first = min(start for start, _, _ in parts)
    return f"the clip asks for frames from {first} on, the video has {media.frames}"


def _why_none(track: Track, rejected: list[Tube]) -> Dropped:
    """Why a clip has no tube: the reason against the longest of its tubes that shows a face."""
    if not track.boxes.any():
        if track.faces:
            most = "1 face" if track.faces == 1 else f"{track.faces} faces"
            return Dropped("no-face", f"{most}, none in the list's box ({len(track.boxes)} frames)")
        return Dropped("no-face", f"none in {len(track.boxes)} frames")
    shown = [tube for tube in rejected if tube.reason != "zero-size"]
    if not shown:
        return Dropped("no-face", "none in the frames that the sheet names")
    tube = max(shown, key=lambda tube: tube.end - tube.start)
    if tube.reason is None:
        return Dropped("no-face", "the landmark detector finds none in the boxes")
    size = max(tube.tube[2] - tube.tube[0], tube.tube[3] - tube.tube[1])
    return Dropped(tube.reason, f"longest stretch: {tube.end - tube.start} frames, face box {size:.0f} pixels")


def main(argv: list[str] | None = None) -> None:
    """Command line: ``tubes`` applies the rule to given boxes, anything else crops one shard."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["tubes"]:
        _main_tubes(argv[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m preprocessing.crop", description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True, metavar="PARQUET", help="sheet of the dataset")
    parser.add_argument("--shard", type=int, required=True, metavar="N", help="the shard's number")
    parser.add_argument("--fetch", type=Path, required=True, metavar="PARQUET", help="rows of the shard's fetch stage")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="rows; .tubes.json beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, CropSettings, "crop")
    detect, mesh = choice.boxes(settings), FaceMesh()
    fetched = read_rows(arguments.fetch, FetchRow)
    sheets = {row.clip: row for row in read_sheet(arguments.sheet, arguments.shard) if row.kept}
    start_stage(arguments.output)
    rows: list[Row] = []
    tubes: list[dict[str, Any]] = []
    for media in progress(fetched, "crop"):
        row = plain(media)
        if row.kept:
            if media.clip not in sheets:
                raise InputError(f"{arguments.sheet} does not list clip '{media.clip}' of {arguments.fetch}.")
            sheet = sheets[media.clip]
            try:
                read = partial(frames, media.path, settings.decode)
                place = sheet.place(media.height, media.width)
                track = follow(read, own_frames(sheet, media), detect, mesh, settings.every, place)
                tubes += crop_clip(sheet, media, settings, track)
            except Dropped as dropped:
                row = drop(row, "crop", dropped)
                log.info("%s dropped: %s", media.clip, dropped)
        rows.append(row)
    tubes.sort(key=lambda tube: tube["key"])
    backends = {"boxes": detect.name, "window": mesh.name}
    value = {"settings": settings.model_dump(), "backends": backends, "tubes": tubes}
    write_json(arguments.output.with_suffix(".tubes.json"), value)
    write_stage(arguments.output, rows, tubes=len(tubes), frames=sum(tube["end"] - tube["start"] for tube in tubes))


def _main_tubes(argv: list[str]) -> None:
    description = "Cut face boxes into tubes by FOMM's rule; JSON on standard output."
    parser = argparse.ArgumentParser(prog="python -m preprocessing.crop tubes", description=description)
    parser.add_argument("--boxes", required=True, metavar="BOXES.json", help="[[l, t, r, b], …], one per frame")
    parser.add_argument("--height", type=int, required=True, help="height of the frame")
    parser.add_argument("--width", type=int, required=True, help="width of the frame")
    parser.add_argument(
        "--iou", type=float, default=TubeRule.iou, help="overlap with a tube's first box below which it is cut"
    )
    parser.add_argument("--increase", type=float, default=TubeRule.increase, help="share of the box added on each side")
    parser.add_argument("--min-frames", type=int, default=TubeRule.min_frames, help="shortest tube")
    parser.add_argument("--max-frames", type=int, default=TubeRule.max_frames, help="longest tube")
    parser.add_argument("--min-size", type=int, default=TubeRule.min_size, help="smallest longer side of the box")
    run_command(_run_tubes, parser, argv)


def _run_tubes(arguments: argparse.Namespace) -> None:
    boxes = read_boxes(arguments.boxes)
    for name, least in (("height", 1), ("width", 1), ("min_frames", 0), ("max_frames", 1)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name.replace('_', '-')} must be at least {least}, not {getattr(arguments, name)}.")
    for name in ("iou", "increase"):
        if not 0 <= getattr(arguments, name) < math.inf:
            raise InputError(f"--{name} must be at least 0, not {getattr(arguments, name)}.")
    rule = TubeRule(arguments.iou, arguments.increase, arguments.min_frames, arguments.max_frames, arguments.min_size)
    tubes = find_tubes(boxes, arguments.height, arguments.width, rule)
    print(json.dumps([tube.as_json() for tube in tubes]))


def read_boxes(path: str) -> list[Box]:
    """Boxes from a JSON file, one per frame (null: no face); anything else raises :class:`InputError`."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read boxes from {path}: {error}.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(value, list):
        raise InputError(f"{path} must hold a list of boxes, one per frame.")
    boxes: list[Box] = []
    for index, box in enumerate(value):
        if box is None:
            boxes.append(ZERO)
            continue
        numbers = isinstance(box, list) and len(box) == 4
        if not numbers or not all(type(side) in (int, float) and math.isfinite(side) for side in box):
            raise InputError(f"{path}: box {index} must be four numbers [l, t, r, b], not {json.dumps(box)}.")
        boxes.append((box[0], box[1], box[2], box[3]))
    return boxes


if __name__ == "__main__":
    main()
