"""Driving through the interface, with a detector that sees a spot and a generator that shows what it is told."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.baselines.firstorder.network import FirstOrderNetwork, Generated, Keypoints
from model.baselines.firstorder.reenactor import BATCH, FirstOrderReenactor
from model.baselines.firstorder.settings import FirstOrderModel
from model.data import Frames
from model.kinds import Kind, LoopSettings

SIDE = 16
KIND = Kind(
    "spots",
    FirstOrderModel,
    LoopSettings,
    "",
    {"absolute": "first", "relative": "first", "relative_best": "best"},
    False,
    lambda model, training: "",
    outputs=("prediction", "deformed"),
)


class Spot(nn.Module):
    """One keypoint where the picture is bright on average, its Jacobian the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Keypoints:
        assert image.min() >= 0 and image.max() <= 1
        at = torch.arange(SIDE).float()
        weight = image.mean(1) / image.mean(1).sum((1, 2), keepdim=True)
        value = torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)], 1)[:, None]
        return Keypoints(value * self.scale, torch.eye(2).expand(len(image), 1, 2, 2))


class Shift(nn.Module):
    """The source moved by whole pixels so that its keypoint comes to the driver's; "deformed" is its negative."""

    def forward(self, image: Tensor, driving: Keypoints, source: Keypoints) -> Generated:
        ways = (driving.value - source.value)[:, 0].round().long().tolist()
        moved = torch.stack([torch.roll(picture, (y, x), (1, 2)) for picture, (x, y) in zip(image, ways, strict=True)])
        return Generated(moved, 1 - moved, moved[:, :1], None)


def frames(*spots: tuple[int, int]) -> Frames:
    """Black frames with one white pixel each, at (x, y)."""
    images = torch.full((len(spots), 3, SIDE, SIDE), -1.0)
    for image, (x, y) in zip(images, spots, strict=True):
        image[:, y, x] = 1
    return Frames(images, images, torch.zeros(len(spots), 25))


def spots(pictures: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(int(i) for i in np.argwhere(picture[..., 0] == 255)[0][::-1]) for picture in pictures]


@pytest.fixture(scope="module")
def reenactor() -> FirstOrderReenactor:
    return FirstOrderReenactor(KIND, FirstOrderNetwork(FirstOrderModel(resolution=SIDE), Spot(), Shift()), "prediction")


def test_absolute_motion_goes_to_the_driver_and_relative_motion_by_its_change(reenactor):
    driver = [(5, 6), (6, 6), (8, 3), (5, 7), (9, 9)]
    assert len(driver) > BATCH
    source, reference = reenactor.encode(frames((2, 4))), frames((5, 6))
    made = {motion: reenactor.drive(source, frames(*driver), reference, motion) for motion in KIND.motions}
    assert spots(made["absolute"]) == driver
    assert spots(made["relative"]) == spots(made["relative_best"]) == [(2 + x - 5, 4 + y - 6) for x, y in driver]
    assert made["absolute"].shape == (5, SIDE, SIDE, 3) and made["absolute"].dtype == np.uint8
    np.testing.assert_array_equal(np.unique(made["absolute"]), [0, 255])


def test_the_other_output_and_no_frames_at_all(reenactor):
    other = FirstOrderReenactor(KIND, reenactor.network, "deformed")
    source, one = reenactor.encode(frames((2, 4))), frames((5, 6))
    prediction, deformed = (r.drive(source, one, one, "absolute") for r in (reenactor, other))
    np.testing.assert_array_equal(deformed, 255 - prediction)
    assert reenactor.drive(source, frames(), one, "relative").shape == (0, SIDE, SIDE, 3)


def test_it_renders_no_views(reenactor):
    one = frames((1, 1))
    with pytest.raises(NotImplementedError, match="spots renders no other views"):
        reenactor.render(reenactor.encode(one), one, one, one.labels)
