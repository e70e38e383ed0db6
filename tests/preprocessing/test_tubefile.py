"""What of a video's frames the stages after the crop get to see."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from preprocessing.settings import DecodeSettings
from preprocessing.tubefile import TubeWindow, tube_shots
from preprocessing.video import frames
from preprocessing.window import cut_box

WIDTH, HEIGHT = 178, 130


def tube(path: Path, start: int, centre: tuple[float, float]) -> TubeWindow:
    return TubeWindow(
        key=f"a_{start:02d}", clip="a", path=str(path), source="a.mp4", person="a", split="train", start=start,
        end=start + 3, fps=25.0, size=(WIDTH, HEIGHT), tube=(0, 0, 1, 1), crop=(10, 20, 60, 70), padded=False,
        framing="eg3d", side=41.5, centers=tuple((centre[0] + i, centre[1]) for i in range(3)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def video(make_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=12, size=f"{WIDTH}x{HEIGHT}")


@pytest.mark.parametrize("centre", [(60.2, 50.7), (5.0, 128.0), (176.0, 3.0), (-400.0, 50.0), (90.0, 700.0)])
def test_windows_are_those_of_whole_frames(video: Path, centre: tuple[float, float]):
    tubes = [tube(video, 2, centre), tube(video, 7, (centre[0] + 9, centre[1]))]
    whole = dict(frames(video))
    shots = list(tube_shots(tubes, DecodeSettings()))
    assert [(shot.tube.key, shot.index) for shot in shots] == [("a_02", i) for i in (2, 3, 4)] + [
        ("a_07", i) for i in (7, 8, 9)
    ]
    for shot in shots:
        assert shot.frame.size < whole[0].size
        assert np.array_equal(shot.window(32), cut_box(whole[shot.index], shot.tube.box(shot.index), 32))


def test_whole_frames_are_squeezed_to_a_side(video: Path):
    (first, *_) = tube_shots([tube(video, 2, (60.0, 50.0))], DecodeSettings(), 89)
    assert first.frame.shape == (89, 89, 3)
    assert np.allclose(first.box, np.multiply(first.tube.box(2), (0.5, 89 / HEIGHT) * 2))
    (first, *_) = tube_shots([tube(video, 2, (60.0, 50.0))], DecodeSettings(), WIDTH)
    assert np.array_equal(first.frame, dict(frames(video))[2])
    assert first.box == first.tube.box(2)
