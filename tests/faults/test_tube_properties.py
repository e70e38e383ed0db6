"""The tube rule against the same rule written down once more, slowly and plainly, on any boxes."""

import itertools
import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from preprocessing.tubes import Box, TubeRule, find_tubes

SIDES = st.integers(0, 600)
WHOLE = st.tuples(SIDES, SIDES, SIDES, SIDES).map(
    lambda s: (min(s[0], s[2]), min(s[1], s[3]), max(s[0], s[2]), max(s[1], s[3]))
)
STEADY = st.tuples(WHOLE, st.integers(1, 40)).map(lambda pair: [pair[0]] * pair[1])
MISSED = st.integers(1, 4).map(lambda count: [(0, 0, 0, 0)] * count)
BOXES = st.lists(STEADY | MISSED | WHOLE.map(lambda box: [box]), max_size=12).map(
    lambda runs: list(itertools.chain(*runs))
)
RULES = st.builds(
    TubeRule,
    iou=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    increase=st.sampled_from([0.0, 0.125, 0.5]),  # exact in binary, so that both sides truncate the same number
    min_frames=st.integers(1, 20),
    max_frames=st.integers(1, 50),
    min_size=st.integers(1, 300),
    allow_padding=st.booleans(),
)


def pixels(box: Box) -> set[int]:
    """How many pixels: both borders belong to the box."""
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)


def iou(a: Box, b: Box) -> Fraction:
    """Shared pixels over all pixels, exactly."""
    columns = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    rows = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    return Fraction(columns * rows, pixels(a) + pixels(b) - columns * rows)


def slowly(boxes: list[Box], height: int, width: int, rule: TubeRule) -> list[tuple]:
    """(start, end, box, crop, reason): the rule as docs/data.md says it, in exact fractions."""
    groups: list[list[int]] = []
    for index, box in enumerate(boxes):
        first = groups[-1][0] if groups else None
        if first is None or len(groups[-1]) == rule.max_frames or iou(boxes[first], box) < Fraction(rule.iou):
            groups.append([])
        groups[-1].append(index)
    result = []
    for group in groups:
        union = tuple(choose(boxes[index][side] for index in group) for side, choose in enumerate((min, min, max, max)))
        w, h = union[2] - union[0], union[3] - union[1]
        crop, reason = None, None
        if w == 0 or h == 0:
            reason = "zero-size"
        elif len(group) < rule.min_frames:
            reason = "too-short"
        elif max(w, h) < rule.min_size:
            reason = "too-small"
        else:
            q = Fraction(rule.increase)
            wi = max(q, ((1 + 2 * q) * h - w) / (2 * w))
            hi = max(q, ((1 + 2 * q) * w - h) / (2 * h))
            exact = (union[0] - wi * w, union[1] - hi * h, union[2] + wi * w, union[3] + hi * h)
            crop = tuple(math.trunc(side) for side in exact)
            if not rule.allow_padding and (min(crop[:2]) < 0 or crop[2] > width or crop[3] > height):
                crop, reason = None, "leaves-the-frame"
        result.append((group[0], group[-1] + 1, union, crop, reason))
    return result


@given(BOXES, st.integers(1, 800), st.integers(1, 800), RULES)
def test_tubes_are_those_of_the_rule_written_plainly(boxes: list[Box], height: int, width: int, rule: TubeRule):
    tubes = find_tubes(boxes, height, width, rule)
    expected = slowly(boxes, height, width, rule)
    for tube, (start, end, union, crop, reason) in zip(tubes, expected, strict=True):
        assert (tube.start, tube.end, tube.tube, tube.reason) == (start, end, union, reason)
        if crop is None or tube.crop is None:
            assert tube.crop == crop
        else:  # a float may fall below a whole number where the fraction meets it
            assert all(abs(a - b) <= 1 for a, b in zip(tube.crop, crop, strict=True))


@given(BOXES, RULES)
def test_tubes_cover_every_frame_once_and_hold_their_boxes(boxes: list[Box], rule: TubeRule):
    tubes = find_tubes(boxes, 600, 600, rule)
    assert [index for tube in tubes for index in range(tube.start, tube.end)] == list(range(len(boxes)))
    for tube in tubes:
        assert 1 <= tube.end - tube.start <= rule.max_frames
        for left, top, right, bottom in boxes[tube.start : tube.end]:
            assert tube.tube[0] <= left and tube.tube[1] <= top and right <= tube.tube[2] and bottom <= tube.tube[3]
        if tube.reason is None:
            assert tube.end - tube.start >= rule.min_frames
            assert tube.crop is not None and all(isinstance(side, int) for side in tube.crop)
            assert tube.crop[0] <= tube.tube[0] and tube.crop[2] >= math.trunc(tube.tube[2])
            assert tube.padded == (min(tube.crop[:2]) < 0 or max(tube.crop[2:]) > 600)
            width, height = tube.crop[2] - tube.crop[0], tube.crop[3] - tube.crop[1]
            assert abs(width - height) <= 3 or max(width, height) >= (1 + 2 * rule.increase) * min(width, height) - 3
