"""Cutting windows: place, padding, antialiasing."""

import numpy as np
import pytest

from preprocessing.window import context, cut, cut_box

FRAME = np.random.default_rng(0).integers(1, 256, (60, 80, 3), dtype=np.uint8)


def test_a_window_of_its_own_size_is_a_copy():
    assert np.array_equal(cut(FRAME, (30, 25), 32, 32), FRAME[9:41, 14:46])


def test_what_leaves_the_frame_is_black():
    window = cut(FRAME, (0, 0), 40, 40)
    assert not window[:20].any()
    assert not window[:, :20].any()
    assert np.array_equal(window[20:, 20:], FRAME[:20, :20])
    assert not cut(FRAME, (-500, 900), 40, 16).any()


def test_shrinking_averages():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = cut_box(stripes, (0, 0, 64, 64), 16)
    assert np.abs(small[:, 2:-2].astype(int) - 127).max() <= 12


def test_a_box_need_not_be_square():
    assert cut_box(FRAME, (10.0, 5.0, 50.0, 55.0), 32).shape == (32, 32, 3)


def test_context_is_a_square_about_the_box():
    assert context((10, 20, 30, 60)) == ((20, 40), pytest.approx(64))
