import numpy as np
import pytest
import torch

from model.data import FrameStore, open_store
from model.settings import ModelSettings, TrainingSettings
from model.training.pairs import PairSampler, batches, mirrored
from preprocessing.cli import InputError

SIZES = {"resolution": 32, "width": 4, "norm": "group"}
SMALL = ModelSettings(
    resolution=32,
    neural_rendering_resolution=32,
    superresolution=False,
    encoder=SIZES,
    motion_encoder=SIZES,
    relative_codes=True,
    plane_resolution=16,
    identity_generator={"resolution": 8},
    motion_generator={"resolution": 8},
)
TRAINING = TrainingSettings(recipe="robust", iterations=6, sources=3, drivers=2)
CROSS = TRAINING.model_copy(update={"weight_cycle": 1.0})


@pytest.fixture(scope="module")
def store(synthetic_shards) -> FrameStore:
    return open_store([synthetic_shards], "train", SMALL.frames, cached=True)


def test_batches_are_functions_of_seed_step_and_part(store):
    a, b = PairSampler(store, TRAINING, 7), PairSampler(store, TRAINING, 7)
    b.batch(3)
    for step in (0, 1, 5):
        torch.testing.assert_close(a.batch(step).targets, b.batch(step).targets)
    others = [a.batch(1), a.batch(0, part=1), PairSampler(store, TRAINING, 8).batch(0)]
    assert not any(torch.equal(a.batch(0).targets, other.targets) for other in others)


@pytest.mark.parametrize("workers", [0, 1])
def test_two_devices_see_what_one_sees_that_accumulates_twice(store, workers):
    once = PairSampler(store, TRAINING.model_copy(update={"workers": workers}), 0)
    twice = PairSampler(store, TRAINING.model_copy(update={"accumulate": 2}), 0)
    devices = [list(batches(once, 4, rank, 2)) for rank in (0, 1)]
    alone = list(batches(twice, 4))
    assert [len(d) for d in devices] == [2, 2] and len(alone) == 4
    for step in range(2):
        for rank in range(2):
            torch.testing.assert_close(devices[rank][step].targets, alone[2 * step + rank].targets)


def test_self_pairs_stay_with_the_person_and_every_third_step_crosses(store):
    assert not any(PairSampler(store, TRAINING, 0).is_cross(step) for step in range(6))
    sampler = PairSampler(store, CROSS, 0)
    assert [sampler.is_cross(step) for step in range(6)] == [False, False, True] * 2
    late = PairSampler(store, CROSS.model_copy(update={"dis_start": 1 / 3}), 0)
    assert [late.is_cross(step) for step in (2, 5)] == [False, True], "at its start their weight is zero"
    same, other = sampler.batch(0), sampler.batch(2)
    assert len(same.clips) == 6 and same.targets.shape == (6, 3, 32, 32)
    assert same.sources.shape == (3, 3, 32, 32) and same.drivers.shape == (6, 1, 32, 32)
    assert same.driver_sources is None and other.driver_sources.shape == (6, 3, 32, 32)
    # The driver's photo and the driver's frame are one person's, the source another's: their colours tell.
    colour = {"ann": 220, "bob": 120}
    for row, clip in enumerate(other.clips):
        for image, expected in ((other.targets[row], clip), (other.driver_sources[row], clip)):
            assert abs((image[0, 20, 16].item() + 1) * 127.5 - colour[expected]) < 30
        source = (other.sources[row // 2][0, 20, 16].item() + 1) * 127.5
        assert abs(source - colour[clip]) > 50


def test_only_the_named_people_are_trained_on(store):
    sampler = PairSampler(store, CROSS.model_copy(update={"people": ["ann"]}), 0)
    assert set(sampler.people) == {"ann"} and set(sampler.batch(1).clips) == {"ann"}
    assert not sampler.is_cross(2), "cross pairs need two people"
    with pytest.raises(InputError, match="'people' names 'eve'"):
        PairSampler(store, CROSS.model_copy(update={"people": ["ann", "eve"]}), 0)


def test_drivers_can_be_drawn_evenly_over_eye_opening(store):
    settings = TRAINING.model_copy(update={"stratified_drivers": 0.0, "flip": 0.0})
    # One frame in ten has its eyes shut: even draws over the opening take it half of the time.
    shut = np.array([0.02] + [0.3] * 9)
    counts = {}
    for share in (0.0, 1.0):
        sampler = PairSampler(store, settings.model_copy(update={"stratified_eyes": share}), 0)
        sampler._openings = lambda clip: (np.zeros(10), shut)
        rng = np.random.default_rng(0)
        counts[share] = sum(sampler._driver("ann", rng)[1] == 0 for _ in range(400)) / 400
    assert counts[0.0] < 0.2 and 0.4 < counts[1.0] < 0.6


def test_mirrored_pairs_stay_consistent(store):
    batch = PairSampler(store, TRAINING, 0).batch(0)
    flipped = mirrored(batch, np.array([True, False, True]))
    torch.testing.assert_close(flipped.targets[:2], batch.targets[:2].flip(-1))
    torch.testing.assert_close(flipped.targets[2:4], batch.targets[2:4])
    assert (flipped.labels[0, 0] - batch.labels[0, 0]).abs() < 1e-6, "the cosine of yaw stays"
    torch.testing.assert_close(flipped.labels[0, 3], -batch.labels[0, 3])
    point = torch.tensor([0.3, 0.6, 1.0], dtype=torch.float64)
    mirror = torch.tensor([0.7, 0.6, 1.0], dtype=torch.float64)
    there, back = batch.alignments[0] @ point, flipped.alignments[0] @ mirror
    torch.testing.assert_close(back, torch.stack([1 - there[0], there[1]]))
    again = mirrored(flipped, np.array([True, False, True]))
    torch.testing.assert_close(again.labels, batch.labels)
    torch.testing.assert_close(again.alignments, batch.alignments)
