"""FOMM's rule, number by number."""

import itertools
import math

import pytest

from preprocessing.tubes import Box, TubeRule, enlarge, find_tubes, overlap

ZERO: Box = (0, 0, 0, 0)
FACE: Box = (400, 200, 700, 500)
HD = (1080, 1920)


def one(boxes: list[Box], rule: TubeRule | None = None, frame: tuple[int, int] = HD):
    tubes = find_tubes(boxes, *frame, rule or TubeRule())
    assert len(tubes) == 1
    return tubes[0]


def test_overlap_counts_one_more_pixel_on_each_side():
    assert overlap((0, 0, 9, 9), (0, 0, 9, 9)) == 1
    assert overlap((0, 0, 9, 9), (5, 0, 14, 9)) == pytest.approx(50 / 150)
    assert overlap((0, 0, 9, 9), (9, 9, 18, 18)) == pytest.approx(1 / 199)  # they share a pixel
    assert overlap((0, 0, 9, 9), (10, 0, 19, 9)) == 0
    assert overlap(ZERO, ZERO) == 1


def test_a_steady_face_is_one_tube_with_an_exclusive_end():
    tube = one([FACE] * 64)
    assert (tube.start, tube.end, tube.tube, tube.reason) == (0, 64, FACE, None)
    assert tube.crop == (370, 170, 730, 530)
    assert tube.as_json() == {"start": 0, "end": 64, "tube": FACE, "crop": tube.crop, "reason": None}


def test_the_tube_is_cut_against_its_first_box_not_its_last():
    drifting: list[Box] = [(400 + 2 * i, 200, 700 + 2 * i, 500) for i in range(150)]
    tubes = find_tubes(drifting, *HD, TubeRule())
    first_cut = next(i for i in range(150) if overlap(drifting[0], drifting[i]) < 0.25)
    assert [tube.end for tube in tubes] == [first_cut, 150]
    assert tubes[0].tube == (400, 200, 700 + 2 * (first_cut - 1), 500)


def test_an_overlap_of_exactly_the_limit_does_not_cut():
    a: Box = (0, 0, 99, 99)
    b: Box = (60, 0, 159, 99)
    assert overlap(a, b) == 0.25
    assert len(find_tubes([a, b], *HD, TubeRule())) == 1
    assert len(find_tubes([a, (61, 0, 160, 99)], *HD, TubeRule())) == 2


def test_length_is_capped():
    tubes = find_tubes([FACE] * 2500, *HD, TubeRule())
    assert [(tube.start, tube.end) for tube in tubes] == [(0, 1024), (1024, 2048), (2048, 2500)]


def test_missed_frames_are_a_tube_of_their_own_and_nothing_is_merged():
    tubes = find_tubes([FACE] * 70 + [ZERO] * 3 + [FACE] * 70, *HD, TubeRule())
    assert [(tube.start, tube.end, tube.reason) for tube in tubes] == [
        (0, 70, None),
        (70, 73, "zero-size"),
        (73, 143, None),
    ]


def test_tubes_cover_all_frames_and_no_boxes_give_no_tubes():
    assert find_tubes([], *HD, TubeRule()) == []
    boxes: list[Box] = [(10 * (i % 7), 0, 50 + 31 * (i % 11), 90) for i in range(300)]
    tubes = find_tubes(boxes, *HD, TubeRule())
    assert tubes[0].start == 0
    assert tubes[-1].end == 300
    assert all(a.end == b.start for a, b in itertools.pairwise(tubes))


@pytest.mark.parametrize(
    ("box", "count", "reason"),
    [
        (ZERO, 100, "zero-size"),
        (ZERO, 3, "zero-size"),  # before too short
        ((5, 5, 5, 400), 100, "zero-size"),  # one side is enough
        ((0, 0, 10, 10), 63, "too-short"),  # before too small
        (FACE, 63, "too-short"),
        ((0, 0, 10, 10), 64, "too-small"),  # before leaving the frame
        ((400, 200, 655, 455), 64, "too-small"),  # 255
        ((400, 200, 656, 456), 64, None),  # 256
        ((400, 200, 500, 456), 64, None),  # the longer side counts
        ((10, 200, 310, 500), 64, "leaves-the-frame"),
    ],
)
def test_rejections_come_in_order(box: Box, count: int, reason: str | None):
    tube = one([box] * count)
    assert tube.reason == reason
    assert (tube.crop is None) == (reason is not None)


def test_the_crop_may_touch_the_frame_but_not_leave_it():
    box: Box = (30, 30, 330, 330)
    assert enlarge(box, 0.1) == (0, 0, 360, 360)
    assert one([box] * 64, frame=(360, 360)).reason is None
    assert one([box] * 64, frame=(359, 360)).reason == "leaves-the-frame"
    assert one([(29, 30, 329, 330)] * 64, frame=(360, 360)).reason == "leaves-the-frame"
    assert one([(29.01, 30, 329, 330)] * 64, frame=(360, 360)).reason is None  # −0.989 truncates to 0


def test_enlarging_truncates_toward_zero_and_makes_a_near_square():
    left, top, right, bottom = enlarge((100, 100, 200, 300), 0.1)
    assert (left, top, right, bottom) == (30, 80, 270, 320)
    assert enlarge((-50.5, 0, 50.5, 101), 0.1)[0] == -60  # −60.6
    for width, height in ((100, 100), (300, 101), (57, 211), (64, 640)):
        crop = enlarge((1000, 1000, 1000 + width, 1000 + height), 0.1)
        assert math.isclose(crop[2] - crop[0], crop[3] - crop[1], abs_tol=2)


def test_the_increase_is_a_setting():
    assert enlarge((100, 100, 200, 200), 0.5) == (50, 50, 250, 250)


def test_padding_keeps_what_leaves_the_frame_and_says_so():
    rule = TubeRule(allow_padding=True)
    tube = one([(10, 200, 310, 500)] * 64, rule)
    assert tube.reason is None
    assert tube.crop == (-20, 170, 340, 530)
    assert tube.padded
    assert not one([FACE] * 64, rule).padded
