"""Masks: which pixel of a frame is background, face, torso, eyes or mouth.

Foreground comes from selfie segmentation of the whole frame (on crops it leaks) and is then cut by the window;
face, eyes and mouth are polygons of FaceMesh. What the embedded backend cannot tell apart (hair, ears, hands,
hats) is 6, foreground of unknown part; foreground below the chin is torso.
"""

import argparse
import io
import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from preprocessing.backends import Segmenter, SelfieSegmentation, require_embedded
from preprocessing.cli import InputError, add_common, load_settings, progress, run_command
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, write_stage
from preprocessing.settings import MasksSettings
from preprocessing.tars import TarFile, tar_writer
from preprocessing.tubefile import TubeFile, windows
from preprocessing.window import cut_box

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


def region_mask(foreground: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Labels [S, S] uint8 of a frame with foreground [S, S] bool and landmarks [478, ≥2] in its pixels."""
    mask = np.where(foreground, UNKNOWN, BACKGROUND).astype(np.uint8)
    points = np.asarray(landmarks, np.float64)[:, :2]
    mask[foreground & below_chin(points, mask.shape)] = TORSO
    for polygon, value in ((OVAL, FACE), (LEFT_EYE, EYES), (RIGHT_EYE, EYES), (LIPS, MOUTH)):
        # pixel centres lie at .5 in landmark coordinates and at 0 in OpenCV's; 4 bits of subpixel shift
        corners = np.round((points[list(polygon)] - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], value, lineType=cv2.LINE_8, shift=4)
    return mask


def below_chin(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where [S, S] bool a pixel lies below the chin, seen along the face's own upright direction."""
    down = points[CHIN] - points[FOREHEAD]
    down /= np.linalg.norm(down) + 1e-9
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    level = np.max(points[list(JAW)] @ down)
    return np.asarray(x * down[0] + y * down[1] > level)


def encode_mask(mask: np.ndarray) -> bytes:
    """A label image [S, S] uint8 as an 8-bit PNG of one channel."""
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


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
    out: dict[str, bytes] = {}
    with TarFile(arguments.faces.with_suffix(".tar")) as faces:
        for row in progress(read_rows(arguments.faces, Row), "masks"):
            row = plain(row)
            if row.kept:
                try:
                    out |= clip_masks(row.clip, tubes, faces, segment, settings)
                except Dropped as dropped:
                    row = drop(row, "masks", dropped)
                    log.info("%s dropped: %s", row.clip, dropped)
            rows.append(row)
    with tar_writer(arguments.output.with_suffix(".tar")) as writer:
        writer.add_sample(out)
    write_stage(arguments.output, rows, masks=len(out))


def clip_masks(clip: str, tubes: TubeFile, faces: TarFile, segment: Segmenter, settings: MasksSettings) -> dict[str, bytes]:
    """Mask members of all tubes of one clip that faces kept."""
    size = tubes.settings.size
    kept = [tube for tube in tubes.of(clip) if f"{tube.key}.meta.json" in faces.members]
    if not kept:
        raise InputError(f"{faces.path} has no tube of clip '{clip}', which its rows keep.")
    positions = {t.key: {f: i for i, f in enumerate(faces.mapping(f"{t.key}.meta.json")["frames"])} for t in kept}
    landmarks = {tube.key: faces.array(f"{tube.key}.landmarks.npy") for tube in kept}
    out: dict[str, bytes] = {}
    for tube, index, _, frame in windows(kept, size, tubes.settings.decode):
        position = positions[tube.key].get(index)
        if position is None:
            continue
        probability = cut_box(segment(frame).astype(np.float32), tube.box(index), size)
        mask = region_mask(probability > settings.threshold, landmarks[tube.key][position])
        out[f"{tube.key}.{position:05d}.mask.png"] = encode_mask(mask)
    expected = sum(len(p) for p in positions.values())
    if len(out) != expected:
        raise Dropped("damaged", f"{len(out)} of {expected} frames decoded again")
    return out


if __name__ == "__main__":
    main()
