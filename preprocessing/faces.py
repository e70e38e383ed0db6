"""Faces: landmarks in every window and the camera that sees them, in EG3D's convention.

The camera is solved in the window's own intrinsics on the reference face, all six degrees of freedom, and each
clip has one world scale: the one that makes its median camera distance 2.7. A frame without a face is left out.
"""

import argparse
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing.backends import FaceMesh, LandmarkDetector, batches, require_embedded
from preprocessing.cameras import angles, from_pose, label, scale_world
from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.reasons import Dropped
from preprocessing.reference_face import RIGID, reference_world
from preprocessing.rows import Row, drop, plain, read_rows, start_stage, write_stage
from preprocessing.settings import CropSettings, FacesSettings
from preprocessing.tars import dump_array, dump_json, tar_writer
from preprocessing.tubefile import TubeFile, TubeWindow, tube_frames

log = logging.getLogger(__name__)


MAX_LEAN = np.radians(60)
"""Largest roll of a head, in radians: on a face that lies on its side the landmarks are wrong."""


def solve_camera(landmarks: np.ndarray, matrix: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Camera label [25] of landmarks [478, ≥2] in pixels of a frame of ``size``, and its median error in pixels.

    ``matrix`` [3, 3] are the frame's normalised intrinsics. Only points that move with the head alone are used.
    Raises :class:`Dropped` (no-pose) when no camera in front of the face explains them.
    """
    pixels = np.diag([size, size, 1.0]) @ matrix
    world, image = reference_world()[RIGID], np.asarray(landmarks, np.float64)[RIGID, :2]
    straight = np.zeros(4)  # no lens distortion
    found, rotation_vector, translation = cv2.solvePnP(world, image, pixels, straight, flags=cv2.SOLVEPNP_SQPNP)
    if found:
        rotation_vector, translation = cv2.solvePnPRefineLM(
            world, image, pixels, straight, rotation_vector, translation
        )
    if not found or not np.isfinite(translation).all() or translation[2] <= 0:
        raise Dropped("no-pose")
    rotation, _ = cv2.Rodrigues(rotation_vector)
    projected, _ = cv2.projectPoints(world, rotation_vector, translation, pixels, straight)
    error = float(np.median(np.linalg.norm(projected[:, 0] - image, axis=1)))
    return label(from_pose(rotation, translation), matrix), error


def looks_at_face(camera: np.ndarray) -> bool:
    """Whether the face is seen from the front half and leans by less than :data:`MAX_LEAN`."""
    backward = -camera[:16].reshape(4, 4)[2, 2]
    return bool(backward > 0 and abs(angles(camera)[2]) < MAX_LEAN)


@dataclass
class FaceTrack:
    """Landmarks and cameras of the frames of one tube that show a face."""

    tube: TubeWindow
    frames: list[int] = field(default_factory=list)
    landmarks: list[np.ndarray] = field(default_factory=list)
    cameras: list[np.ndarray] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seen: int = 0

    def add(self, index: int, landmarks: np.ndarray, size: int, max_error: float) -> None:
        """Add a frame unless its camera cannot be solved."""
        self.seen += 1
        try:
            camera, error = solve_camera(landmarks, self.tube.intrinsics(index), size)
        except Dropped:
            return
        if error <= max_error and looks_at_face(camera):
            self.frames.append(index)
            self.landmarks.append(landmarks)
            self.cameras.append(camera)
            self.errors.append(error)


def find_faces(
    tubes: list[TubeWindow], detect: LandmarkDetector, settings: FacesSettings, crop: CropSettings
) -> list[FaceTrack]:
    """Faces of all tubes of one clip that have enough of them; raises :class:`Dropped` when none has."""
    tracks = {tube.key: FaceTrack(tube) for tube in tubes}
    windows = ((tube, i, tube.cut(frame, i, crop.size)) for tube, i, frame in tube_frames(tubes, crop.decode))
    for batch in batches(windows, lambda item: item[2]):
        found = detect([window for _, _, window in batch])
        for (tube, index, _), landmarks in zip(batch, found, strict=True):
            if landmarks is not None:
                tracks[tube.key].add(index, landmarks, crop.size, settings.max_error)
    kept = [track for track in tracks.values() if len(track.frames) >= crop.min_frames]
    if not kept:
        most, seen = (max(counts) for counts in zip(*((len(t.frames), t.seen) for t in tracks.values()), strict=True))
        reason = "too-short" if most else "no-pose" if seen else "no-face"
        raise Dropped(reason, f"at most {most} frames of a tube have a camera, {seen} a face")
    return kept


def world_scale(cameras: np.ndarray, radius: float) -> float:
    """Factor on the world that makes the median distance of cameras [N, 25] from the origin ``radius``."""
    return float(radius / np.median(np.linalg.norm(cameras[:, [3, 7, 11]], axis=1)))


def members(track: FaceTrack, scale: float, crop: CropSettings, backends: dict[str, str]) -> dict[str, bytes]:
    """The tar members of one tube: cameras, landmarks, meta."""
    tube = track.tube
    meta: dict[str, Any] = {
        "key": tube.key,
        "clip": tube.clip,
        "source": tube.source,
        "person": tube.person,
        "split": tube.split,
        "fps": tube.fps,
        "size": crop.size,
        "frames": track.frames,
        "tube": tube.tube,
        "crop": tube.crop,
        "padded": tube.padded,
        "framing": tube.framing,
        "window": {"side": tube.side, "centers": [tube.centers[index - tube.start] for index in track.frames]},
        "scale": scale,
        "reprojection_error": round(float(np.median(track.errors)), 4),
        "backends": backends,
    }
    return {
        f"{tube.key}.cameras.npy": dump_array(scale_world(np.stack(track.cameras), scale)),
        f"{tube.key}.landmarks.npy": dump_array(np.stack(track.landmarks).astype(np.float32)),
        f"{tube.key}.meta.json": dump_json(meta),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line: faces of one shard."""
    parser = argparse.ArgumentParser(prog="python -m preprocessing.faces", description=__doc__)
    parser.add_argument("--crop", type=Path, required=True, metavar="PARQUET", help="rows of the shard's crop stage")
    parser.add_argument("--output", type=Path, required=True, metavar="PARQUET", help="rows to write; .tar beside")
    add_common(parser)
    run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    settings = load_settings(arguments.settings, FacesSettings, "faces")
    require_embedded("faces.landmarks", settings.landmarks)
    require_embedded("faces.camera", settings.camera)
    tubes = TubeFile.beside(arguments.crop)
    detect = FaceMesh(settings.confidence)
    backends = {"landmarks": detect.name, "camera": "pnp-facemesh-reference", "boxes": tubes.settings.backend}
    start_stage(arguments.output)
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    with tar_writer(arguments.output.with_suffix(".tar")) as writer:
        for row in progress(read_rows(arguments.crop, Row), "faces"):
            row = plain(row)
            if row.kept:
                try:
                    tracks = find_faces(tubes.of(row.clip), detect, settings, tubes.settings)
                    scale = world_scale(np.concatenate([np.stack(track.cameras) for track in tracks]), settings.radius)
                    for track in tracks:
                        for name, data in members(track, scale, tubes.settings, backends).items():
                            writer.add(name, data)
                        counts += Counter(tubes=1, frames=track.tube.end - track.tube.start, faces=len(track.frames))
                except Dropped as dropped:
                    row = drop(row, "faces", dropped)
                    log.info("%s dropped: %s", row.clip, dropped)
            rows.append(row)
    write_stage(arguments.output, rows, tubes=counts["tubes"], frames=counts["frames"], faces=counts["faces"])


if __name__ == "__main__":
    main()
