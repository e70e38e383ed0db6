"""Which frame is shown when, the cameras of a view, and depth as grey."""

import numpy as np
import torch

from model.animate.animation import ORBIT, View, grey_depth, slots, tiled
from model.cameras import split_label, view_labels
from model.planedict import Output
from preprocessing.cameras import angles


def test_evenly_spaced_frames_are_each_shown_once():
    for fps in (25.0, 30000 / 1001, 60.0):
        moments = np.round(7.3 + np.arange(500) / fps, 3)  # as FFmpeg prints them
        np.testing.assert_array_equal(slots(moments, fps), np.arange(500))


def test_a_missing_frame_is_held_and_a_late_one_waits():
    moments = np.array([0, 1, 2, 6, 7]) / 25
    np.testing.assert_array_equal(slots(moments, 25), [0, 1, 2, 2, 2, 2, 3, 4])
    np.testing.assert_array_equal(slots(np.array([0.0, 0.1, 0.12, 0.2]), 10), [0, 2, 3])


def test_a_grid_turns_from_left_to_right_and_from_above_to_below():
    view = View.grid(3, 5)
    labels = view.labels(torch.zeros(1, 25), torch.zeros(1, 25), torch.zeros(1, 25), 0.0)
    origins = split_label(labels)[0][:, :3, 3].reshape(3, 5, 3)
    assert (origins[:, 1:, 0] > origins[:, :-1, 0]).all() and (origins[1:, :, 1] < origins[:-1, :, 1]).all()
    torch.testing.assert_close(labels[7], view_labels(torch.zeros(1), torch.zeros(1))[0])
    np.testing.assert_allclose(
        [angles(label.numpy())[0] for label in labels[5:10]], np.linspace(-1, 1, 5) * ORBIT, atol=0.04
    )
    assert View.grid(1, 1).angles == ((0.0, 0.0),)


def test_orbit_begins_in_front_and_closes():
    unused = torch.zeros(1, 25)
    at = [View("orbit").labels(unused, unused, unused, seconds) for seconds in (0.0, 1.0, 4.0)]
    torch.testing.assert_close(at[0], view_labels(torch.zeros(1), torch.zeros(1)))
    torch.testing.assert_close(at[1], view_labels(torch.tensor([ORBIT]), torch.zeros(1)), atol=1e-6, rtol=0)
    torch.testing.assert_close(at[2], at[0], atol=1e-6, rtol=0)


def test_tiles_are_row_major():
    pictures = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
    np.testing.assert_array_equal(tiled(pictures, 3), [[0, 1, 2], [3, 4, 5]])


def test_near_is_bright_and_nothing_is_black():
    depth = torch.tensor([2.7 - 0.5, 2.7, 2.7 + 0.5, 2.7]).reshape(1, 1, 2, 2)
    opacity = torch.tensor([1.0, 1.0, 1.0, 0.4]).reshape(1, 1, 2, 2)
    output = Output(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 2, 2), depth, opacity)
    grey = grey_depth(output, view_labels(torch.zeros(1), torch.zeros(1)), 1.0)
    assert grey.shape == (1, 4, 4)
    np.testing.assert_array_equal(grey[0, ::2, ::2], [[255, 128], [1, 0]])
