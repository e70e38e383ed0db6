"""How far the embedded and the paper's detectors agree, on the same frames of a dataset's crops.

Both see the same frames and windows. Each family's cameras and masks rest on its own landmarks, as in the chain. The
boxes nearest to the window are compared by their overlap, landmarks in 68 points by their mean distance over that of
the outer corners of the eyes, cameras by the angle between them, masks by the overlap of each region.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from preprocessing.cameras import split_label
from preprocessing.cli import InputError, add_common, progress, run_command
from preprocessing.detectors import choice
from preprocessing.detectors.backends import (
    BoxDetector,
    CameraFinder,
    LandmarkDetector,
    RegionParser,
    Solved,
    View,
    batches,
)
from preprocessing.detectors.points import as_ibug
from preprocessing.files import atomic, write_json
from preprocessing.reasons import Dropped
from preprocessing.samples import GAP, draw_face, draw_mask
from preprocessing.tubefile import TubeFile, TubeWindow, tube_shots
from preprocessing.tubes import overlap

REGIONS = ("background", "face", "hair", "torso", "eyes", "mouth", "unknown")
"""Names of a mask's labels."""

OUTER_CORNERS = (36, 45)
"""Outer corners of the eyes among the 68 points."""


class Look(NamedTuple):
    """One frame that both families see: its name, the whole frame, the window's box and picture, its intrinsics."""

    name: str
    frame: np.ndarray
    box: tuple[float, float, float, float]
    window: np.ndarray
    matrix: np.ndarray


class Found(NamedTuple):
    """What one family finds in one frame; None for what it does not find."""

    box: np.ndarray | None
    landmarks: np.ndarray | None
    camera: np.ndarray | None
    mask: np.ndarray | None


@dataclass(frozen=True)
class Family:
    """The detectors of one family."""

    boxes: BoxDetector
    landmarks: LandmarkDetector
    cameras: CameraFinder
    regions: RegionParser

    @classmethod
    def of(cls, name: str) -> "Family":
        """The family of this name; its missing weights raise :class:`InputError`."""
        crop, faces, masks = choice.FAMILIES[name]
        return cls(choice.boxes(crop), choice.landmarks(faces), choice.cameras(faces), choice.regions(masks))

    @property
    def names(self) -> dict[str, str]:
        """What each detector is called."""
        return {part: getattr(self, part).name for part in ("boxes", "landmarks", "cameras", "regions")}

    def find(self, looks: Sequence[Look]) -> list[Found]:
        """What the family finds in each frame."""
        boxes = self.boxes([look.frame for look in looks])
        points = self.landmarks([look.window for look in looks])
        shown = [(look, face) for look, face in zip(looks, points, strict=True) if face is not None]
        cameras: Iterator[Solved | None] = iter(
            self.cameras(
                [look.window for look, _ in shown], [face for _, face in shown], [look.matrix for look, _ in shown]
            )
        )
        size = len(looks[0].window)
        masks = iter(self.regions([View(look.frame, look.box, face) for look, face in shown], size) if shown else [])
        found = []
        for look, candidates, face in zip(looks, boxes, points, strict=True):
            solved = None if face is None else next(cameras)
            mask = None if face is None else next(masks)
            found.append(Found(in_the_middle(candidates, look.box), face, None if solved is None else solved[0], mask))
        return found


def differences(one: Found, other: Found) -> dict[str, float]:
    """By measure, how two families differ in one frame; what one of them does not find is not measured."""
    measured: dict[str, float] = {}
    if one.box is not None and other.box is not None:
        measured["box_iou"] = overlap(tuple(one.box), tuple(other.box))
    if one.landmarks is not None and other.landmarks is not None:
        a, b = as_ibug(one.landmarks)[:, :2], as_ibug(other.landmarks)[:, :2]
        unit = np.linalg.norm(np.subtract(*a[list(OUTER_CORNERS)]))
        measured["landmark_nme"] = float(np.linalg.norm(a - b, axis=1).mean() / unit)
    if one.camera is not None and other.camera is not None:
        measured["camera_degrees"] = angle_between(one.camera, other.camera)
    if one.mask is not None and other.mask is not None:
        for label, region in enumerate(REGIONS):
            either = (one.mask == label) | (other.mask == label)
            if either.any():
                both = (one.mask == label) & (other.mask == label)
                measured[f"mask_iou_{region}"] = float(both.sum() / either.sum())
    return measured


def in_the_middle(boxes: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray | None:
    """Of boxes [N, 4] the one whose middle is nearest to that of the window, which is about the face."""
    if not len(boxes):
        return None
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.add(window[:2], window[2:]) / 2
    return np.asarray(boxes[np.linalg.norm(offset, axis=1).argmin()])


def angle_between(one: np.ndarray, other: np.ndarray) -> float:
    """The angle of the rotation from one camera [25] to another, in degrees."""
    a, b = (split_label(camera)[0][:3, :3] for camera in (one, other))
    return float(np.degrees(Rotation.from_matrix(a.T @ b).magnitude()))


def looks(tubes: Sequence[TubeWindow], file: TubeFile, per_clip: int) -> Iterator[Look]:
    """``per_clip`` frames spread over the tubes of one clip."""
    places = [(tube, index) for tube in tubes for index in range(tube.start, tube.end)]
    chosen = {places[i][1] for i in np.linspace(0, len(places) - 1, per_clip + 2)[1:-1].round().astype(int)}
    for shot in tube_shots(list(tubes), file.settings.decode, max(tubes[0].size)):
        tube, index = shot.tube, shot.index
        if index in chosen:
            window = shot.window(file.settings.size)
            yield Look(f"{tube.key} #{index}", shot.frame, shot.box, window, tube.intrinsics(index))


def compare(families: Sequence[Family], frames: Sequence[Look]) -> list[tuple[Look, Found, Found, dict[str, float]]]:
    """Each frame with what two families find in it and how that differs."""
    compared = []
    for batch in batches(frames, lambda look: look.frame):
        one, other = (family.find(batch) for family in families)
        for look, a, b in zip(batch, one, other, strict=True):
            compared.append((look, a, b, differences(a, b)))
    return compared


def summary(measured: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Per measure: over how many frames, mean, median and the tenth that agrees least (of overlaps the lowest)."""
    values: dict[str, list[float]] = defaultdict(list)
    for frame in measured:
        for name, value in frame.items():
            values[name].append(value)
    worst = {name: 10 if "iou" in name else 90 for name in values}
    return {
        name: {
            "frames": len(of_frames),
            "mean": round(float(np.mean(of_frames)), 5),
            "median": round(float(np.median(of_frames)), 5),
            "worst_tenth": round(float(np.percentile(of_frames, worst[name])), 5),
        }
        for name, of_frames in sorted(values.items())
    }


def picture(compared: Sequence[tuple[Look, Found, Found, dict[str, float]]], side: int = 192) -> Image.Image:
    """One column a frame: landmarks and axes of either family, then masks of either."""
    sheet = Image.new("RGB", ((side + GAP) * len(compared) - GAP, 4 * (side + GAP) - GAP), (255, 255, 255))
    for column, (look, one, other, _) in enumerate(compared):
        for row, found in enumerate((one, other)):
            face, mask = Image.fromarray(look.window), Image.fromarray(look.window)
            if found.landmarks is not None and found.camera is not None:
                face = draw_face(look.window, found.landmarks, found.camera)
            if found.mask is not None:
                mask = draw_mask(look.window, found.mask)
            for place, image in ((row, face), (row + 2, mask)):
                resized = image.resize((side, side), Image.Resampling.LANCZOS)
                sheet.paste(resized, (column * (side + GAP), place * (side + GAP)))
    return sheet


def main(argv: list[str] | None = None) -> None:
    """Command line: compare two families of detectors on shards' crops."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.agreement", description=__doc__)
    parser.add_argument("--crop", type=Path, nargs="+", required=True, metavar="PARQUET", help="rows of crop stages")
    parser.add_argument("--families", nargs=2, choices=choice.FAMILIES, default=("embedded", "standard"),
                        metavar="FAMILY", help=f"which two of {', '.join(choice.FAMILIES)}")  # fmt: skip
    parser.add_argument("--max-clips", type=int, default=20, help="clips to look at (default 20)")
    parser.add_argument("--per-clip", type=int, default=4, help="frames per clip (default 4)")
    parser.add_argument("--output", type=Path, required=True, metavar="JSON", help="measures; a .png beside for eyes")
    add_common(parser, settings=False)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    families = [Family.of(name) for name in arguments.families]
    files = [TubeFile.beside(rows) for rows in arguments.crop]
    clips = sorted({(tube.clip, number) for number, file in enumerate(files) for tube in file.tubes})
    if not clips:
        raise InputError(f"There is no tube in {', '.join(map(str, arguments.crop))}: nothing to compare.")
    spread = np.linspace(0, len(clips) - 1, min(arguments.max_clips, len(clips))).round().astype(int)
    compared = []
    for clip, number in progress([clips[i] for i in spread], "agreement", len(spread)):
        file = files[number]
        try:
            compared += compare(families, list(looks(file.of(clip), file, arguments.per_clip)))
        except Dropped as dropped:
            raise InputError(f"The video of clip '{clip}' cannot be decoded again ({dropped}).") from None
    value: dict[str, Any] = {
        "families": {name: family.names for name, family in zip(arguments.families, families, strict=True)},
        "summary": summary([measured for *_, measured in compared]),
        "missed": {
            part: [sum(getattr(found[i], part) is None for _, *found, _ in compared) for i in (0, 1)]
            for part in ("box", "landmarks", "camera")
        },
        "frames": {look.name: {name: round(v, 5) for name, v in measured.items()} for look, _, _, measured in compared},
    }
    with atomic(arguments.output.with_suffix(".png")) as temporary:
        picture(compared[: 2 * arguments.max_clips]).save(temporary)
    write_json(arguments.output, value)


if __name__ == "__main__":
    main()
