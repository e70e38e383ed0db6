"""Small videos made on the spot, and the embedded clips from the cache that the set-up fills."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from skimage import data

from preprocessing.prepare import prepare_video
from preprocessing.sources.embedded import EMBEDDED, cache_directory


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """A test pattern as H.264: ``make_video(path, frames=20, size="64x48", rate=25)``; ``options`` go to ffmpeg."""

    def make(path: Path, frames: int = 20, size: str = "64x48", rate: int = 25, options: tuple[str, ...] = ()) -> Path:
        source = f"testsrc=size={size}:rate={rate}:duration={frames / rate}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source]
        subprocess.run([*command, "-pix_fmt", "yuv420p", *options, f"file:{path}"], check=True)
        return path

    return make


@pytest.fixture(scope="session")
def embedded() -> Callable[[str], Path]:
    """Path of an embedded clip by stem; skips when the cache was never filled."""

    def find(clip: str) -> Path:
        path = cache_directory() / f"{clip}.mp4"
        if not path.is_file():
            pytest.skip("the cache lacks the embedded clips; run python -m preprocessing.fetch --prefetch")
        return path

    return find


@pytest.fixture(scope="session")
def carphone(tmp_path_factory: pytest.TempPathFactory, embedded: Callable[[str], Path]) -> Path:
    """A folder with one talking head of 40 frames."""
    folder = tmp_path_factory.mktemp("carphone")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(embedded("carphone_pristine"))]
    subprocess.run([*command, "-frames:v", "40", "-crf", "12", str(folder / "man in car.mp4")], check=True)
    assert "carphone_pristine.mp4" in EMBEDDED
    return folder


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage's files of four frames of a portrait, made by the embedded detectors."""
    folder = tmp_path_factory.mktemp("film")
    portrait = np.ascontiguousarray(data.astronaut()[0:320, 60:380])
    writer = imageio_ffmpeg.write_frames(folder / "film.mp4", (320, 320), fps=25)
    writer.send(None)
    for shift in range(4):
        writer.send(np.ascontiguousarray(np.roll(portrait, shift, axis=1)))
    writer.close()
    prepare_video(folder / "film.mp4", folder / "data")
    return folder / "data"
