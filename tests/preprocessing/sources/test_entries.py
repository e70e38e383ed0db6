"""Which frames are held out where a clip is split in time."""

import itertools

import pytest

from preprocessing.sources.entries import blocks, last_quarter


def test_every_fourth_block_is_held_out_without_the_frames_near_its_borders():
    assert blocks(400, 25) == (
        (0, 140, "train"),
        (160, 190, "test"),
        (210, 340, "train"),
        (360, 400, "test"),
    )
    assert blocks(120, 25) == ((0, 120, "train"),)
    assert blocks(155, 25) == ((0, 140, "train"),)  # the test block is all border


@pytest.mark.parametrize(("frames", "fps"), [(4800, 24.0), (1337, 25.0), (999, 29.97)])
def test_no_frame_is_in_two_parts_and_train_and_test_keep_their_distance(frames: int, fps: float):
    parts = blocks(frames, fps)
    for (_, end, split), (start, _, other) in itertools.pairwise(parts):
        assert split != other
        assert start - end >= 0.79 * fps
    assert parts[0][0] == 0
    assert parts[-1][1] == frames


def test_the_last_quarter():
    assert last_quarter(120, 30000 / 1001) == ((0, 78, "train"), (102, 120, "test"))
    assert last_quarter(4, 25) == ()
