"""One photo and one video through the preparation, on scikit-image's astronaut (public domain)."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from skimage import data

from preprocessing.cameras import angles
from preprocessing.cli import InputError
from preprocessing.prepare import prepare_photo, prepare_video
from preprocessing.reader import ShardReader


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[0:320, 60:380])


def test_photo_becomes_a_frame_as_in_the_shards(portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "a photo.png")
    photo = prepare_photo(tmp_path / "a photo.png")
    assert photo.frame.shape == (256, 256, 3) and photo.mask.shape == (256, 256)
    assert np.linalg.norm(photo.camera[[3, 7, 11]]) == pytest.approx(2.7, abs=1e-4)
    assert abs(angles(photo.camera)).max() < 0.5
    assert {4, 5} <= set(np.unique(photo.mask)), "eyes and mouth"
    assert photo.on_black[photo.mask == 0].max() == 0
    assert 0.4 < np.abs(photo.landmarks[[33, 263], 0] - 128).mean() / 50 < 1.4, "the face is centred"


def test_photos_that_cannot_be_used_are_named(tmp_path):
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(InputError, match=r"No face was found in the photo .*black\.png"):
        prepare_photo(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"Cannot read the photo .*text\.png"):
        prepare_photo(tmp_path / "text.png")
    with pytest.raises(InputError, match=r"none\.png"):
        prepare_photo(tmp_path / "none.png")


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    writer = imageio_ffmpeg.write_frames(path, frames[0].shape[1::-1], fps=25)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path


def test_video_becomes_shards(portrait, tmp_path):
    video = write_video(tmp_path / "-a film.mp4", [np.roll(portrait, i, axis=1) for i in range(6)])
    reader = ShardReader(prepare_video(video, tmp_path / "scratch"))
    assert [(s.clip, s.frames) for s in reader.samples] == [("driving", 6)]


def test_videos_that_cannot_be_used_say_why(tmp_path):
    empty = write_video(tmp_path / "grey.mp4", [np.full((64, 64, 3), 128, np.uint8)] * 6)
    with pytest.raises(InputError, match=r"grey\.mp4 cannot be used: no face"):
        prepare_video(empty, tmp_path / "one")
    with pytest.raises(InputError, match=r"none\.mp4 does not exist"):
        prepare_video(tmp_path / "none.mp4", tmp_path / "two")
