"""Following one face through synthetic frames."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pytest

from preprocessing.tracking import ZERO, follow, pick
from preprocessing.video import Span


class Detector:
    """Answers from a table by the frame's number, which its first pixel holds; counts its calls."""

    def __init__(self, boxes: dict[int, list[tuple[float, float, float, float]]]) -> None:
        self.boxes, self.calls = boxes, []

    def __call__(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        numbers = [int(frame[0, 0, 0]) for frame in frames]
        self.calls += numbers
        return [np.array(self.boxes.get(number, []), float).reshape(-1, 4) for number in numbers]


class Video:
    """A reader of ``count`` frames that notes what it was asked for."""

    def __init__(self, count: int, start: int = 0) -> None:
        self.count, self.start, self.asked = count, start, []

    def __call__(self, spans: Sequence[Span]) -> Iterator[tuple[int, np.ndarray]]:
        self.asked.append(list(spans))
        for index in chain.from_iterable(range(*span) for span in spans):
            if index < self.start + self.count:
                yield index, np.full((120, 160, 3), index - self.start, np.uint8)


def nothing(images: Sequence[np.ndarray]) -> list[None]:
    return [None] * len(images)


def moving(index: int) -> tuple[float, float, float, float]:
    return (10.0 + index, 20.0, 50.0 + index, 60.0)


def test_boxes_between_samples_are_interpolated():
    detector = Detector({i: [moving(i)] for i in range(41)})
    track = follow(Video(41), (0, 41), detector, nothing, every=5)
    assert detector.calls == list(range(0, 41, 5))
    assert track.boxes == pytest.approx(np.array([moving(i) for i in range(41)]))


def test_frames_after_the_last_sample_are_looked_at():
    track = follow(Video(13), (0, 13), Detector({i: [moving(i)] for i in range(13)}), nothing, every=5)
    assert track.boxes == pytest.approx(np.array([moving(i) for i in range(13)]))


def test_appearing_and_vanishing_are_found_to_the_frame():
    track = follow(Video(40), (0, 40), Detector({i: [moving(i)] for i in range(12, 28)}), nothing, every=5)
    seen = np.flatnonzero(track.boxes.any(axis=1))
    assert list(seen) == list(range(12, 28))


def test_a_jump_is_found_to_the_frame():
    there = (100.0, 20.0, 140.0, 60.0)
    boxes = {i: [moving(0)] for i in range(13)} | {i: [there] for i in range(13, 30)}
    track = follow(Video(30), (0, 30), Detector(boxes), nothing, every=5)
    assert tuple(track.boxes[12]) == moving(0)
    assert tuple(track.boxes[13]) == there


def test_the_same_face_is_followed_even_when_a_larger_one_comes():
    mine, larger = (10.0, 10.0, 50.0, 50.0), (80.0, 10.0, 150.0, 90.0)
    boxes = {i: [mine] if i < 10 else [larger, mine] for i in range(30)}
    track = follow(Video(30), (0, 30), Detector(boxes), nothing, every=5)
    assert np.all(track.boxes == mine)
    assert pick(np.array([mine, larger]), ZERO) == larger
    assert pick(np.array([larger]), mine) == larger  # mine is gone: the largest
    assert pick(np.empty((0, 4)), mine) == ZERO


def test_no_frames_give_an_empty_track():
    track = follow(Video(0), (0, 0), Detector({}), nothing, every=5)
    assert track.boxes.shape == (0, 4)
    assert track.fits.shape == (0, 4)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch):
    """The track of many batches is that of few, gaps over their borders included."""
    boxes = {i: [moving(i)] for i in (*range(3, 61), *range(67, 130))}
    whole = follow(Video(140), (0, 140), Detector(boxes), nothing, every=5)
    for size in (1, 3, 7):
        monkeypatch.setattr("preprocessing.detectors.backends.BATCH", size)
        track = follow(Video(140), (0, 140), Detector(boxes), nothing, every=5)
        assert np.array_equal(track.boxes, whole.boxes)


def test_the_face_that_a_list_means_is_followed_not_the_largest():
    mine, larger, place = (10.0, 10.0, 50.0, 50.0), (80.0, 10.0, 150.0, 90.0), (0.0, 0.0, 60.0, 70.0)
    boxes = {i: [larger, mine] if 5 <= i < 20 else [larger] for i in range(30)}
    track = follow(Video(30), (0, 30), Detector(boxes), nothing, every=1, place=place)
    assert np.all(track.boxes[5:20] == mine) and track.faces == 2
    assert not track.boxes[:5].any() and not track.boxes[20:].any()


def test_a_followed_face_may_leave_the_place_of_the_list():
    place = (0.0, 10.0, 50.0, 70.0)
    track = follow(Video(100), (0, 100), Detector({i: [moving(i)] for i in range(100)}), nothing, every=5, place=place)
    assert track.boxes == pytest.approx(np.array([moving(i) for i in range(100)]))


def test_frames_need_not_start_at_nought():
    track = follow(Video(40, start=7), (7, 47), Detector({i: [moving(i)] for i in range(12, 40)}), nothing, every=5)
    assert (track.start, track.end) == (7, 47)
    assert list(np.flatnonzero(track.boxes.any(axis=1))) == list(range(12, 40))


def test_only_samples_and_unsteady_places_are_read():
    steady, jumping = Video(22), Video(22)
    follow(steady, (0, 22), Detector({i: [moving(i)] for i in range(22)}), nothing, every=5)
    assert steady.asked == [[(0, 22, 5), (21, 22)]]
    follow(jumping, (0, 22), Detector({i: [moving(i)] for i in range(7, 22)}), nothing, every=5)
    assert jumping.asked == [[(0, 22, 5), (21, 22)], [(6, 10)]]


def test_a_video_may_end_before_it_was_said_to():
    track = follow(Video(12), (0, 30), Detector({i: [moving(i)] for i in range(12)}), nothing, every=5)
    assert track.boxes == pytest.approx(np.array([moving(i) for i in range(11)]))
