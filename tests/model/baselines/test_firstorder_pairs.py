import colorsys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from model.baselines.firstorder.augmentation import jittered, turned
from model.baselines.firstorder.pairs import FramePairSampler
from model.baselines.firstorder.settings import Augmentation, FirstOrderTraining
from preprocessing.cameras import from_pose, intrinsics, label

STILL = Augmentation(flip=True, brightness=0, contrast=0, saturation=0, hue=0)
CLIPS = {"ann": ["a1", "a2"], "bob": ["b1"], "eve": ["e1"]}
FRAMES = 7
NUMBER = {clip: n for n, clip in enumerate(clip for clips in CLIPS.values() for clip in clips)}


class Store:
    """Frames whose left column is the clip's number and whose next is the frame's; cameras that stand to a side.

    A clip's frames lie in two samples.
    """

    def __init__(self) -> None:
        samples = {}
        for person, clips in CLIPS.items():
            for clip in clips:
                for key, frames in ((f"{clip}_0", 3), (f"{clip}_1", FRAMES - 3)):
                    samples[key] = SimpleNamespace(key=key, clip=clip, person=person, frames=frames)
        self.clips = SimpleNamespace(samples=samples)

    @staticmethod
    def number(key, index):
        return index + 3 * (key[-1] == "1")

    def images(self, wanted):
        frames = np.zeros((len(wanted), 4, 4, 3), np.uint8)
        for frame, (key, index) in zip(frames, wanted, strict=True):
            frame[:, 0], frame[:, 1] = NUMBER[key[:2]], self.number(key, index)
        return frames

    def labels(self, wanted):
        yaw = [0.1 + 0.01 * self.number(*one) for one in wanted]
        poses = [np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) for a in yaw]
        return torch.from_numpy(np.stack([label(from_pose(pose, np.zeros(3)), intrinsics()) for pose in poses]))


def sampler(seed=0, **settings):
    return FramePairSampler(Store(), FirstOrderTraining(batch_size=400, **settings), seed)


def test_batches_are_functions_of_seed_step_and_part():
    batch, other = sampler().batch(3, 1), sampler()
    other.batch(0)
    again = other.batch(3, 1)
    assert all(torch.equal(a, b) for a, b in zip(batch[:4], again[:4], strict=True)) and batch.clips == again.clips
    for different in (other.batch(4, 1), other.batch(3, 0), sampler(1).batch(3, 1)):
        assert not torch.equal(batch.sources, different.sources)


def test_pairs_are_two_frames_of_one_clip_the_earlier_first_half_swapped_a_quarter_mirrored():
    batches = [sampler(augmentation=STILL).batch(step) for step in range(10)]
    images = torch.cat([torch.stack([b.sources, b.driving]) for b in batches], dim=1) * 255
    labels = torch.cat([torch.stack([b.source_labels, b.driving_labels]) for b in batches], dim=1)
    mirrored = labels[0, :, 2] > 0
    images = torch.where(mirrored[None, :, None, None, None], images.flip(-1), images).round()
    clip, frame = images[:, :, 0, 0, 0].int(), images[:, :, 0, 0, 1].int()
    assert torch.equal(clip[0], clip[1])
    assert clip[0].tolist() == [NUMBER[name] for b in batches for name in b.clips]
    # The cameras are those of the frames, mirrored with them.
    yaw = torch.where(mirrored, 1, -1) * (0.1 + 0.01 * frame)
    torch.testing.assert_close(labels[..., 2], torch.sin(yaw), atol=1e-6, rtol=0)
    swapped, same = frame[0] > frame[1], frame[0] == frame[1]
    assert abs(same.float().mean() - 1 / FRAMES) < 0.03
    assert abs(swapped.float().mean() - (1 - 1 / FRAMES) / 2) < 0.03
    assert abs(mirrored.float().mean() - 0.25) < 0.03
    assert not (swapped & mirrored).any(), "the swap ends the flips"
    plain = sampler(augmentation=STILL.model_copy(update={"flip": False})).batch(0)
    assert (plain.sources[:, 0, 0, 1] <= plain.driving[:, 0, 0, 1]).all()


def test_people_come_equally_often_whatever_their_clips():
    whose = [clip[0] for clip in sampler(augmentation=STILL).batch(0).clips]
    assert sorted(whose.count(person) for person in "abe") == [133, 133, 134]
    assert {clip[0] for clip in sampler(people=["bob"], augmentation=STILL).batch(0).clips} == {"b"}


def test_hue_is_turned_as_the_colour_circle_says():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    found = np.asarray(turned(Image.fromarray(pixels), -0.1)).reshape(-1, 3) / 255
    for pixel, result in zip(pixels.reshape(-1, 3) / 255, found, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = colorsys.hsv_to_rgb((hue - 25 / 256) % 1, saturation, value)
        np.testing.assert_allclose(result, expected, atol=8 / 255)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_one_change_is_a_blend_with_black_grey_or_its_own_grey_alike_for_both_frames(name):
    still = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    frames = np.random.default_rng(1).integers(60, 180, (2, 16, 16, 3)).astype(np.uint8)
    found = jittered(frames, Augmentation(**(still | {name: 0.3})), np.random.default_rng(5))
    factor = np.random.default_rng(5).uniform(0.7, 1.3)
    luma = frames @ np.array([0.299, 0.587, 0.114])
    other = {
        "brightness": 0,
        "contrast": luma.mean((1, 2)).round()[:, None, None, None],
        "saturation": luma[..., None],
    }[name]
    np.testing.assert_allclose(found, other + factor * (frames - other), atol=1.5)
    assert np.array_equal(jittered(frames, Augmentation(**still), np.random.default_rng(0)), frames)


def test_changes_come_in_random_order():
    settings = Augmentation(brightness=0.9, contrast=0.9, saturation=0, hue=0)
    frame = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    orders = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        brightness, contrast = rng.uniform(0.1, 1.9, 2)
        found = jittered(frame, settings, np.random.default_rng(seed)).astype(float)
        grey = (frame @ np.array([0.299, 0.587, 0.114])).mean()
        first = np.clip(frame * brightness, 0, 255)
        later = (first @ np.array([0.299, 0.587, 0.114])).mean()
        ways = {
            "brightness": np.clip(later + contrast * (first - later), 0, 255),
            "contrast": np.clip(np.clip(grey + contrast * (frame - grey), 0, 255) * brightness, 0, 255),
        }
        errors = {way: np.abs(found - image).mean() for way, image in ways.items()}
        assert min(errors.values()) < 1.5
        if max(errors.values()) > 5:
            orders.add(min(errors, key=lambda way: errors[way]))
    assert orders == {"brightness", "contrast"}
