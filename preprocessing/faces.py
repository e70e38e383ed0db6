"""Faces: landmarks in every window and the camera that sees them, in EG3D's convention.

The camera is solved in the window's own intrinsics, all six degrees of freedom, and each clip has one world scale: the
one that makes its median camera distance 2.7. A frame without a face is left out.
"""

import argparse
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.cameras import scale_world
from preprocessing.cli import add_common, load_settings, progress, run_command
from preprocessing.detectors import choice
from preprocessing.detectors.backends import CameraFinder, LandmarkDetector, Solved, batches
from preprocessing.detectors.pose import looks_at_face
from preprocessing.reasons import Dropped
from preprocessing.rows import Row, drop, plain, read_rows, start_stage, write_stage
from preprocessing.settings import CropSettings, FacesSettings
from preprocessing.tars import dump_array, dump_json, tar_writer
from preprocessing.tubefile import TubeFile, TubeWindow, tube_shots

log = logging.getLogger(__name__)


@dataclass
class FaceTrack:
    """Landmarks and cameras of the frames of one tube that show a face."""

    tube: TubeWindow
    frames: list[int] = field(default_factory=list)
    landmarks: list[np.ndarray] = field(default_factory=list)
    cameras: list[np.ndarray] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seen: int = 0

    def add(self, index: int, landmarks: np.ndarray, found: Solved | None, max_error: float) -> None:
        """Add a frame unless it has no camera that can be believed."""
        self.seen += 1
        if found is None:
            return
        camera, error = found
        if error <= max_error and looks_at_face(camera):
            self.frames.append(index)
            self.landmarks.append(landmarks)
            self.cameras.append(camera)
            self.errors.append(error)


def find_faces(
    tubes: list[TubeWindow],
    detect: LandmarkDetector,
    find_cameras: CameraFinder,
    settings: FacesSettings,
    crop: CropSettings,
) -> list[FaceTrack]:
    """Faces of all tubes of one clip that have enough of them; raises :class:`Dropped` when none has."""
    tracks = {tube.key: FaceTrack(tube) for tube in tubes}
    windows = ((shot.tube, shot.index, shot.window(crop.size)) for shot in tube_shots(tubes, crop.decode))
    for batch in batches(windows, lambda item: item[2]):
        landmarks = detect([window for _, _, window in batch])
        shown = [(*item, points) for item, points in zip(batch, landmarks, strict=True) if points is not None]
        cameras = find_cameras(
            [window for _, _, window, _ in shown],
            [points for *_, points in shown],
            [tube.intrinsics(index) for tube, index, _, _ in shown],
        )
        for (tube, index, _, points), found in zip(shown, cameras, strict=True):
            tracks[tube.key].add(index, points, found, settings.max_error)
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
    detect, find_cameras = choice.landmarks(settings), choice.cameras(settings)
    tubes = TubeFile.beside(arguments.crop)
    backends = tubes.backends | {"landmarks": detect.name, "camera": find_cameras.name}
    start_stage(arguments.output)
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    with tar_writer(arguments.output.with_suffix(".tar")) as writer:
        for row in progress(read_rows(arguments.crop, Row), "faces"):
            row = plain(row)
            if row.kept:
                try:
                    tracks = find_faces(tubes.of(row.clip), detect, find_cameras, settings, tubes.settings)
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
