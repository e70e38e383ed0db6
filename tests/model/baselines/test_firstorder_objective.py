"""Losses, adversary and training of the first-order family, with a network of a few channels."""

import contextlib

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from model.baselines.firstorder import objective as objective_module
from model.baselines.firstorder.adversary import FirstOrderAdversary
from model.baselines.firstorder.checks import check_together, survives
from model.baselines.firstorder.discriminator import MultiScaleDiscriminator
from model.baselines.firstorder.losses import PyramidLoss, pyramid
from model.baselines.firstorder.objective import FirstOrderObjective, Judged
from model.baselines.firstorder.pairs import FramePairs, FramePairSampler
from model.baselines.firstorder.settings import (
    CommonParams,
    DiscriminatorParams,
    FirstOrderModel,
    FirstOrderTraining,
)
from model.baselines.fomm.method import METHOD
from model.checkpoints import latest_state, save_state
from model.data import open_store
from model.training.perceptual import VGG19
from model.training.trainer import Trainer, launch
from preprocessing.cli import InputError
from tests.model.baselines.tiny import TINY
from tests.model.training.test_perceptual import WIDTHS, gaussian, vgg, weights

MODEL = FirstOrderModel(
    resolution=64,
    common_params={"num_kp": 3},
    kp_detector_params={"block_expansion": 4, "max_features": 16, "num_blocks": 2},
    generator_params={
        "block_expansion": 4,
        "max_features": 16,
        "num_bottleneck_blocks": 1,
        "dense_motion_params": {"block_expansion": 4, "max_features": 16, "num_blocks": 2},
    },
    discriminator_params={"scales": [1, 0.5], "block_expansion": 4, "num_blocks": 3, "use_kp": True, "sn": True},
)
ADVERSARIAL = {"generator_gan": 1, "feature_matching": [10, 5, 1], "discriminator_gan": 2}
PIXELS = {"features": "pixels", "batch_size": 2, "iterations": 10, "checkpoint_every": 2, "ema": 0.5}
GAN = PIXELS | {"loss_weights": ADVERSARIAL}


def trainer(shards, training: dict) -> Trainer:
    settings = FirstOrderTraining(**training)
    sampler = FramePairSampler(open_store([shards], "train", MODEL.frames), settings, 0)
    return Trainer(launch(settings), METHOD, MODEL, settings, sampler, 0)


def steps(run: Trainer, count: int) -> list[dict[str, torch.Tensor]]:
    stream = run.batches()
    return [run.train_step(stream) for _ in range(count)]


def pairs(count: int = 2) -> FramePairs:
    torch.manual_seed(1)
    images = F.interpolate(torch.rand(2 * count, 3, 8, 8), (64, 64), mode="bilinear")
    return FramePairs(*images.chunk(2), *torch.zeros(2, count, 25), 0, ["clip"] * count)


def test_pyramid_loss_is_the_weighted_sum_over_sizes_and_maps():
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 3, 64, 64, dtype=torch.float64)
    a.requires_grad_(), b.requires_grad_()
    scales, map_weights = [1, 0.25], [1.0, 2.0, 3.0, 4.0, 5.0]
    loss = PyramidLoss(map_weights, VGG19(weights(), WIDTHS)).double()(pyramid(a, scales), pyramid(b, scales))
    mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]
    total, network = 0.0, vgg().double()
    for n in (1, 4):
        x, y = ((gaussian(images, n) - mean) / deviation for images in (a, b))
        for position, layer in enumerate(network[:30]):
            x, y = layer(x), layer(y)
            if position in (1, 6, 11, 20, 29):
                total += map_weights[(1, 6, 11, 20, 29).index(position)] * (x - y).abs().mean().item()
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert a.grad.abs().max() > 0 and b.grad is None
    pixels = PyramidLoss([2.0], None)(pyramid(a, scales), pyramid(b, scales)).item()
    expected = sum(2 * (gaussian(a, n) - gaussian(b, n)).abs().mean().item() for n in (1, 4))
    assert pixels == pytest.approx(expected)


def test_what_cannot_be_together_is_said_before_training():
    check_together(MODEL, FirstOrderTraining(scales=[1, 0.5, 0.25]))
    with pytest.raises(InputError, match=r"'scales' has 0.125, and of 64 pixels that leaves 8: VGG-19 needs 16"):
        check_together(MODEL, FirstOrderTraining())
    with pytest.raises(ValueError, match="longer"):
        PyramidLoss([10.0] * 5, VGG19(weights(), WIDTHS))(*[pyramid(torch.rand(1, 3, 64, 64), [0.125])] * 2)
    still = MODEL.model_copy(
        update={"common_params": MODEL.common_params.model_copy(update={"estimate_jacobian": False})}
    )
    with pytest.raises(InputError, match="equivariance_jacobian"):
        check_together(still, FirstOrderTraining(features="pixels"))
    with pytest.raises(InputError, match="4 numbers for the discriminator's 3 blocks"):
        check_together(MODEL, FirstOrderTraining(features="pixels", loss_weights={"generator_gan": 1}))
    with pytest.raises(InputError, match="nothing teaches the generator"):
        check_together(MODEL, FirstOrderTraining(features="pixels", loss_weights={"perceptual": [0, 10]}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 100}, "must be a multiple of 8: 'kp_detector_params' starts from 0.5 of it and halves that 2"),
        ({"resolution": 72}, "must be a multiple of 16: 'generator_params: dense_motion_params'"),
        ({"resolution": 16, "kp_detector_params": TINY["kp_detector_params"] | {"scale_factor": 0.25}}, "needs 8"),
    ],
)
def test_a_resolution_that_cannot_be_halved_is_said_where_networks_would_fail(change, words):
    model = FirstOrderModel.model_validate(TINY | change)
    with pytest.raises(InputError, match=words):
        check_together(model, None)
    network, side = METHOD.build(model), model.resolution
    with pytest.raises(RuntimeError):
        network.generate(view := network.view(torch.rand(2, 3, side, side)), view.keypoints)


def test_one_pair_is_too_few_where_an_hourglass_ends_in_one_pixel():
    small = FirstOrderModel.model_validate(TINY | {"resolution": 16})
    alone = FirstOrderTraining(**PIXELS | {"batch_size": 1})
    with pytest.raises(InputError, match="leaves batch normalisation one value"):
        check_together(small, alone)
    model = FirstOrderModel.model_validate(TINY | {"resolution": 32})
    check_together(model, alone)
    network = METHOD.build(model).train()
    network.generate(view := network.view(torch.rand(1, 3, 32, 32)), view.keypoints)


@pytest.mark.parametrize(("side", "blocks", "whole"), [(60, 4, False), (61, 4, True), (3, 1, False), (4, 1, True)])
def test_whether_a_discriminator_survives_is_what_its_network_says(side, blocks, whole):
    params = DiscriminatorParams(block_expansion=1, num_blocks=blocks)
    assert survives(params, side) == whole
    network, picture = MultiScaleDiscriminator(params, CommonParams()), {1: torch.rand(1, 3, side, side)}
    with contextlib.nullcontext() if whole else pytest.raises((RuntimeError, ValueError)):
        network(picture)


def test_terms_of_the_loss_and_where_their_gradients_go(monkeypatch):
    monkeypatch.setattr(objective_module, "require", lambda name: name)
    monkeypatch.setattr(objective_module, "load_vgg19", lambda path: VGG19(weights(), WIDTHS))
    network = METHOD.build(MODEL)
    objective = FirstOrderObjective(network, FirstOrderTraining(scales=[1, 0.5], iterations=10))
    result = objective(pairs(), network)
    terms = {"perceptual", "equivariance_value", "equivariance_jacobian"}
    assert set(result.figures) == terms | {"loss", "l1", "deformed_l1"}
    assert result.loss.item() == pytest.approx(sum(result.figures[name].item() for name in terms), rel=1e-5)
    assert result.figures["l1"] == F.l1_loss(result.judged.generated, pairs().driving)
    result.loss.backward()
    assert {name for name, p in network.named_parameters() if p.grad is None} == set()
    assert all(p.grad is None for p in objective.perceptual.parameters())


def test_adversary_is_least_squares_and_gets_no_gradient_from_the_generators_step():
    settings = FirstOrderTraining(**GAN | {"milestones": [0.5]})
    adversary = FirstOrderAdversary(launch(settings), MODEL, settings)
    discriminator = adversary.discriminator.eval()  # spectral norms stand still, so that passes can be repeated
    images = torch.rand(2, 2, 3, 64, 64)
    generated = images[1].requires_grad_()
    shown = Judged(images[0], generated, torch.zeros(2, 3, 2), ["clip"] * 2)
    gan, matching = adversary.critic(shown)
    with torch.no_grad():
        verdicts = [discriminator({1: x, 0.5: gaussian(x, 2)}, shown.keypoints) for x in (shown.real, shown.generated)]
    wanted = sum((1 - verdicts[1][scale].prediction).square().mean() for scale in (1, 0.5))
    torch.testing.assert_close(gan.detach(), wanted)
    wanted = sum(
        weight * (a - b).abs().mean()
        for scale in (1, 0.5)
        for weight, a, b in zip((10, 5, 1), verdicts[0][scale].maps, verdicts[1][scale].maps, strict=True)
    )
    torch.testing.assert_close(matching.detach(), wanted)
    (gan + matching).backward()
    assert generated.grad.abs().max() > 0
    assert all(p.grad is None for p in discriminator.parameters())

    generated.grad = None
    loss = adversary.judge(shown._replace(generated=generated.detach()))
    wanted = sum(
        (1 - verdicts[0][scale].prediction).square().mean() + verdicts[1][scale].prediction.square().mean()
        for scale in (1, 0.5)
    )
    torch.testing.assert_close(loss.detach(), 2 * wanted)
    before = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    for step, rate in ((4, 2e-4), (5, 2e-5)):
        adversary.train_step(step, [shown._replace(generated=generated.detach())], iter(()))
        assert [group["lr"] for group in adversary.optimizer.param_groups] == [pytest.approx(rate)]
    assert all(not torch.equal(p, before[name]) for name, p in discriminator.named_parameters())


def test_without_the_adversarial_loss_there_is_no_adversary(synthetic_shards):
    assert trainer(synthetic_shards, PIXELS).adversary is None


def test_a_resumed_run_with_an_adversary_equals_an_unbroken_one_bit_for_bit(synthetic_shards, tmp_path):
    whole = trainer(synthetic_shards, GAN | {"accumulate": 2})
    figures = steps(whole, 4)
    assert {"adversarial", "feature_matching", "discriminator"} < set(figures[0])
    half = trainer(synthetic_shards, GAN | {"accumulate": 2})
    steps(half, 2)
    save_state(tmp_path, 2, half.state())
    resumed = trainer(synthetic_shards, GAN | {"accumulate": 2})
    resumed.restore(latest_state(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(figures[3].values(), steps(resumed, 2)[1].values(), strict=True))
    for a, b in ((whole.model, resumed.model), (whole.ema, resumed.ema)):
        state = b.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in a.state_dict().items())


def test_mixed_precision_keeps_batches_and_keypoints_in_float32(synthetic_shards):
    run = trainer(synthetic_shards, GAN | {"precision": "bf16-mixed"})
    seen = []
    run.model.kp_detector.register_forward_hook(lambda module, inputs, output: seen.append((*inputs, *output)))
    figures = steps(run, 2)
    assert all(torch.isfinite(value) for step in figures for value in step.values())
    assert {tensor.dtype for tensors in seen for tensor in tensors} == {torch.float32}
    exact = steps(trainer(synthetic_shards, GAN), 1)
    for name in ("equivariance_value", "equivariance_jacobian", "l1"):
        assert figures[0][name].item() == pytest.approx(exact[0][name].item(), rel=0.05)


def test_batch_normalisation_is_synchronised_on_several_gpus_and_keeps_its_names(monkeypatch):
    network = METHOD.build(MODEL)
    state, held = list(network.state_dict()), set(network.parameters())
    FirstOrderObjective(network, FirstOrderTraining(**PIXELS, devices=2))
    kinds = {type(m) for m in network.modules()}
    assert nn.BatchNorm2d in kinds and nn.SyncBatchNorm not in kinds, "on CPUs there is none"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    FirstOrderObjective(network, FirstOrderTraining(**PIXELS, devices=2))
    kinds = {type(m) for m in network.modules()}
    assert nn.SyncBatchNorm in kinds and nn.BatchNorm2d not in kinds
    assert list(network.state_dict()) == state and set(network.parameters()) == held
