"""One photo or one video through the same preparation as a dataset, for those who only want to animate."""

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocessing import crop, faces, fetch, masks, shards, sheets
from preprocessing.cameras import intrinsics, scale_world
from preprocessing.cli import InputError
from preprocessing.detectors.backends import FaceMesh, MediapipeBoxes, View
from preprocessing.detectors.pose import solve_camera
from preprocessing.detectors.regions import SelfieRegions
from preprocessing.photo import read_photo
from preprocessing.reasons import REASONS, Dropped
from preprocessing.rows import Row, read_rows
from preprocessing.settings import CropSettings, FacesSettings, MasksSettings
from preprocessing.tracking import ZERO, fit_faces, pick
from preprocessing.window import cut


@dataclass(frozen=True)
class Photo:
    """A face as the shards hold one: frame [S, S, 3] uint8, region labels [S, S], camera [25], landmarks [478, 3]."""

    frame: np.ndarray
    mask: np.ndarray
    camera: np.ndarray
    landmarks: np.ndarray

    @property
    def on_black(self) -> np.ndarray:
        """The frame with a black background."""
        return self.frame * (self.mask > 0)[..., None].astype(np.uint8)


def prepare_photo(path: Path) -> Photo:
    """The largest face of a photo in EG3D's window, with mask, landmarks and camera.

    Raises :class:`InputError` with one sentence when the file is no image or shows no face.
    """
    picture = read_photo(path)
    size, settings = CropSettings().size, FacesSettings()
    mesh = FaceMesh(settings.confidence)
    box = pick(MediapipeBoxes(CropSettings().confidence)([picture])[0], ZERO)
    fit = None if box == ZERO else fit_faces([picture], [box], mesh)[0]
    if fit is None:
        raise InputError(f"No face was found in the photo {path}.")
    scale, x, y = fit
    side = crop.WINDOW_DECIMETRES * scale
    frame = cut(picture, (x, y), side, size)
    (landmarks,) = mesh([frame])
    if landmarks is None:
        raise InputError(f"No face was found in the photo {path}.")
    try:
        camera, _ = solve_camera(landmarks, intrinsics(), size)
    except Dropped:
        raise InputError(f"The head's pose in the photo {path} cannot be solved.") from None
    camera = scale_world(camera, faces.world_scale(camera[None], settings.radius))
    view = View(picture, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), landmarks)
    (mask,) = SelfieRegions(MasksSettings().threshold)([view], size)
    return Photo(frame, mask, camera, landmarks)


def prepare_video(path: Path, directory: Path) -> Path:
    """Shards of one video, made by the stages in turn inside ``directory``; returns their folder.

    Short and small tubes are kept and padded as in the demo. Raises :class:`InputError` with the reason when nothing
    of the video can be used.
    """
    if not path.is_file():
        raise InputError(f"The video {path} does not exist.")
    folder = directory / "videos"
    folder.mkdir(parents=True)
    (folder / "driving.mp4").symlink_to(path.resolve())
    (folder / "clips.csv").write_text("clip,person,split\ndriving,driver,test\n")
    dataset = json.dumps({"source": {"kind": "folder", "path": str(folder)}, "shards": 1})
    framing = CropSettings(min_frames=1, min_size=48, allow_padding=True).model_dump_json()
    sheet = ["--sheet", str(directory / "sheets/clips.parquet")]
    rows = {name: str(directory / name / "00000.parquet") for name in ("fetch", "crop", "faces", "masks", "shards")}
    inputs = [part for name in ("crop", "faces", "masks") for part in (f"--{name}", rows[name])]
    with _logging_apart():
        sheets.main(["--dataset", "driving", "--output", sheet[1], "--settings", dataset])
        fetch.main([*sheet, "--shard", "0", "--output", rows["fetch"], "--settings", dataset])
        crop.main([*sheet, "--shard", "0", "--fetch", rows["fetch"], "--output", rows["crop"], "--settings", framing])
        faces.main(["--crop", rows["crop"], "--output", rows["faces"]])
        masks.main(["--crop", rows["crop"], "--faces", rows["faces"], "--output", rows["masks"]])
        shards.main([*inputs, "--output", rows["shards"]])
    for row in read_rows(Path(rows["shards"]), Row):
        if not row.kept:
            raise InputError(f"The video {path} cannot be used: {REASONS[row.reason]}.")
    return directory / "shards"


@contextlib.contextmanager
def _logging_apart() -> Iterator[None]:
    """Keep the caller's log: each stage sets logging up for itself, and talks of a dataset that nobody has."""
    root = logging.getLogger()
    kept, root.handlers = root.handlers, []
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        root.handlers = kept
