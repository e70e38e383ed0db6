"""Masks: which pixel of a frame is background, face, torso, eyes or mouth.

Foreground comes from selfie segmentation of the whole frame (on crops it leaks) and is then cut by the window;
face, eyes and mouth are polygons of FaceMesh. What the embedded backend cannot tell apart (hair, ears, hands,
hats) is 6, foreground of unknown part; foreground below the chin is torso.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from preprocessing.backends import Segmenter, SelfieSegmentation, batches, require_embedded
from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, write_stage
from preprocessing.settings import MasksSettings
from preprocessing.tars import TarFile, TarWriter, tar_writer
from preprocessing.tubefile import ChosenFrames, TubeFile

log = logging.getLogger(__name__)

BACKGROUND, FACE, HAIR, TORSO, EYES, MOUTH, UNKNOWN = range(7)
"""Labels of a mask."""

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face, around."""

LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""Lids of the eye at the image's left, around."""

RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""Lids of the eye at the image's right, around."""

LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Outer border of the lips, around."""

JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
"""Outline of the jaw from ear to ear."""

FOREHEAD, CHIN = 10, 152


SEGMENTED = 512
"""Longer side of the frame that the segmenter sees; its network works on 256²."""

SPECK = 0.04
"""Share of the frame below which foreground that does not touch the face is taken for a leak."""

HOLE = 0.001
"""Share of the frame below which a hole in the foreground is filled."""


def foreground(frames: Sequence[np.ndarray], segment: Segmenter) -> list[np.ndarray]:
    """Foreground probability [H, W] float32 of each whole frame [H, W, 3]."""
    found = segment([_reduced(frame) for frame in frames])
    return [_enlarged(person, frame.shape) for person, frame in zip(found, frames, strict=True)]


def _reduced(frame: np.ndarray) -> np.ndarray:
    """``frame`` [H, W, 3] with at most :data:`SEGMENTED` pixels on its longer side."""
    height, width = frame.shape[:2]
    factor = SEGMENTED / max(height, width)
    if factor >= 1:
        return frame
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # to more than half, averaging four pixels is enough, and three times as fast
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if factor < 0.5 else cv2.INTER_LINEAR)


def _enlarged(person: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``person`` in float32 and in the height and width of ``shape``."""
    person = np.asarray(person, np.float32)
    if person.shape == shape[:2]:
        return person
    return cv2.resize(person, shape[1::-1], interpolation=cv2.INTER_LINEAR)


def tidy(mask: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Foreground [S, S] bool without specks away from the face [S, S] bool and without pinholes."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats((mask | face).astype(np.uint8), connectivity=4)
    keep = statistics[:, cv2.CC_STAT_AREA] >= SPECK * mask.size
    keep[np.unique(parts[face])] = True
    keep[0] = False
    clean = keep[parts]
    _, parts, statistics, _ = cv2.connectedComponentsWithStats((~clean).astype(np.uint8), connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < HOLE * mask.size
    small[0] = False
    return np.asarray(clean | small[parts])


def region_mask(person: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Labels [S, S] uint8 of a frame with foreground ``person`` [S, S] bool and landmarks [478, ≥2] in its pixels."""
    points = np.asarray(landmarks, np.float64)[:, :2]
    face = paint(np.zeros(person.shape, np.uint8), points, OVAL, 1).astype(bool)
    person = tidy(person, face)
    mask = np.where(person, UNKNOWN, BACKGROUND).astype(np.uint8)
    mask[person & below_chin(points, mask.shape)] = TORSO
    mask[face] = FACE
    for polygon, value in ((LEFT_EYE, EYES), (RIGHT_EYE, EYES), (LIPS, MOUTH)):
        paint(mask, points, polygon, value)
    return mask


def paint(mask: np.ndarray, points: np.ndarray, polygon: tuple[int, ...], value: int) -> np.ndarray:
    """Fill a polygon of landmark indices in ``mask`` [S, S] uint8 with ``value``, in place."""
    # pixel centres lie at .5 in landmark coordinates and at 0 in OpenCV's; 4 bits of subpixel shift
    corners = np.round((points[list(polygon)] - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], (value,), lineType=cv2.LINE_8, shift=4)
    return mask


def below_chin(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where [S, S] bool a pixel lies below the chin, seen along the face's own upright direction."""
    down = points[CHIN] - points[FOREHEAD]
    down /= np.linalg.norm(down) + 1e-9
    level = np.max(points[list(JAW)] @ down)
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0])[:, None] + 0.5
    return np.asarray(x * down[0] + y * down[1] > level)


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
    require_embedded("masks.backend", settings.backend)
    tubes = TubeFile.beside(arguments.crop)
    segment = SelfieSegmentation()
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
                        masks += add_masks(row.clip, tubes, faces, segment, settings, writer)
                except Dropped as dropped:
                    row = drop(row, "masks", dropped)
                    log.info("%s dropped: %s", row.clip, dropped)
            rows.append(row)
    write_stage(arguments.output, rows, masks=masks)


def add_masks(
    clip: str, tubes: TubeFile, faces: TarFile, segment: Segmenter, settings: MasksSettings, writer: TarWriter
) -> int:
    """Add the masks of all tubes of one clip that faces kept; returns how many."""
    chosen = ChosenFrames(clip, tubes, faces)
    landmarks = {tube.key: faces.array(f"{tube.key}.landmarks.npy") for tube in chosen.tubes}
    for batch in batches(chosen, lambda item: item[3]):
        people = foreground([frame for *_, frame in batch], segment)
        for (tube, index, position, _), person in zip(batch, people, strict=True):
            probability = tube.cut(person, index, tubes.settings.size)
            mask = region_mask(probability > settings.threshold, landmarks[tube.key][position])
            writer.add(f"{tube.key}.{position:05d}.mask.png", encode_mask(mask))
    return chosen.count


if __name__ == "__main__":
    main()
