"""FOMM's tube rule: consecutive face boxes become tubes, each with the near-square crop that holds it.

The rule, its order and its rounding are those of docs/data.md. Boxes are (l, t, r, b) in pixels; a zero box
means that no face was found.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class TubeRule:
    """The rule's numbers; the defaults are FOMM's."""

    iou: float = 0.25
    increase: float = 0.1
    min_frames: int = 64
    max_frames: int = 1024
    min_size: int = 256
    allow_padding: bool = False


@dataclass(frozen=True)
class Tube:
    """Frames [start, end), the union of their boxes, the enlarged crop (None when rejected) and why it is rejected."""

    start: int
    end: int
    tube: Box
    crop: tuple[int, int, int, int] | None
    reason: str | None
    padded: bool = False

    def as_json(self) -> dict[str, Any]:
        """The keys of the ``tubes`` command."""
        value = asdict(self)
        del value["padded"]
        return value


def overlap(a: Box, b: Box) -> float:
    """Intersection over union with the convention that a side from l to r has r − l + 1 pixels."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    intersection = width * height
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    union = area_a + area_b - intersection
    return intersection / union if union > 0 else 0.0


def enlarge(box: Box, increase: float) -> tuple[int, int, int, int]:
    """Enlarge a box of positive size to a near square, truncating toward zero."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    more_width = max(increase, ((1 + 2 * increase) * height - width) / (2 * width))
    more_height = max(increase, ((1 + 2 * increase) * width - height) / (2 * height))
    return (
        int(left - more_width * width),
        int(top - more_height * height),
        int(right + more_width * width),
        int(bottom + more_height * height),
    )


def find_tubes(boxes: Sequence[Box], height: int, width: int, rule: TubeRule) -> list[Tube]:
    """Cut ``boxes`` (one per frame) into tubes that cover all frames, rejected ones included."""
    tubes: list[Tube] = []
    start = 0
    for index in range(1, len(boxes) + 1):
        if index < len(boxes) and index - start < rule.max_frames and overlap(boxes[start], boxes[index]) >= rule.iou:
            continue
        tubes.append(_judge(boxes[start:index], start, height, width, rule))
        start = index
    return tubes


def _judge(boxes: Sequence[Box], start: int, height: int, width: int, rule: TubeRule) -> Tube:
    """The tube of ``boxes`` with its crop, or the first reason against it."""
    union: Box = (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
    end = start + len(boxes)
    size = (union[2] - union[0], union[3] - union[1])
    if min(size) <= 0:
        return Tube(start, end, union, None, "zero-size")
    if len(boxes) < rule.min_frames:
        return Tube(start, end, union, None, "too-short")
    if max(size) < rule.min_size:
        return Tube(start, end, union, None, "too-small")
    crop = enlarge(union, rule.increase)
    outside = crop[0] < 0 or crop[1] < 0 or crop[2] > width or crop[3] > height
    if outside and not rule.allow_padding:
        return Tube(start, end, union, None, "leaves-the-frame")
    return Tube(start, end, union, crop, None, outside)
