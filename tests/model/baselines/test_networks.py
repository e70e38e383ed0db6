"""FOMM's networks equal a second implementation, have the published names, and stay exact in mixed precision."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model.baselines.firstorder.blocks import coordinate_grid
from model.baselines.firstorder.dense_motion import sparse_motions
from model.baselines.firstorder.discriminator import MultiScaleDiscriminator
from model.baselines.firstorder.keypoints import KpDetector
from model.baselines.firstorder.network import Keypoints
from model.baselines.firstorder.settings import CommonParams, DiscriminatorParams, FirstOrderModel
from model.baselines.fomm.method import METHOD
from tests.model.baselines import reference
from tests.model.baselines.tiny import DENSE, TINY, randomised

KEYS = Path(__file__).parents[4] / "shared/spec/keys/fomm_vox256.json"


def arrays(network: nn.Module) -> reference.Weights:
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("align_corners", [False, True])
def test_equals_the_reference(align_corners):
    settings = FirstOrderModel.model_validate(TINY | {"align_corners": align_corners})
    network = randomised(METHOD.build(settings)).double()
    source, driving = torch.rand(2, 2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        views = network.view(source), network.view(driving)
        made = network.generate(views[0], views[1].keypoints)
    weights = arrays(network)
    detector = settings.kp_detector_params
    wanted = [
        reference.detected(
            image.numpy(), reference.part(weights, "kp_detector"), detector.scale_factor, detector.temperature
        )
        for image in (source, driving)
    ]
    for view, (value, jacobian) in zip(views, wanted, strict=True):
        np.testing.assert_allclose(view.keypoints.value, value, atol=1e-7)
        np.testing.assert_allclose(view.keypoints.jacobian, jacobian, atol=1e-7)
    scale = settings.generator_params.dense_motion_params.scale_factor
    generator = reference.part(weights, "generator")
    outputs = reference.generated(source.numpy(), wanted[1], wanted[0], generator, scale, align_corners)
    assert outputs["deformed"].std() > 0.05 and np.ptp(outputs["mask"]) > 0.05, "a motion worth comparing"
    for name, value in outputs.items():
        np.testing.assert_allclose(getattr(made, name), value, atol=1e-6, err_msg=name)


def test_the_discriminator_equals_the_reference():
    params = DiscriminatorParams(block_expansion=4, max_features=16, num_blocks=3, use_kp=True, scales=[1, 0.5])
    network = MultiScaleDiscriminator(params, CommonParams(num_kp=3)).double()
    image, kp = torch.rand(2, 3, 59, 59, dtype=torch.float64), torch.rand(2, 3, 2, dtype=torch.float64) * 2 - 1
    pyramid = {1: image, 0.5: image[:, :, ::2, ::2]}
    with torch.no_grad():
        judged = network(pyramid, kp)
    for scale, name in ((1, "1"), (0.5, "0-5")):
        weights = reference.part(arrays(network), f"discs.{name}")
        wanted = reference.judged(pyramid[scale].numpy(), kp.numpy(), weights)
        for got, want in zip([*judged[scale].maps, judged[scale].prediction], wanted, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-9)


def test_spectral_norm_is_one():
    network = MultiScaleDiscriminator(DiscriminatorParams(block_expansion=4, sn=True), CommonParams()).train()
    pyramid = {1: torch.rand(1, 3, 64, 64)}
    for _ in range(30):
        network(pyramid)
    for block in network.discs["1"].down_blocks:
        largest = torch.linalg.matrix_norm(block.conv.weight.detach().flatten(1), 2)
        assert largest == pytest.approx(1, abs=0.05)


def official() -> dict[str, nn.Module]:
    """The networks of vox-256, and the discriminator of vox-adv-256."""
    network, settings = METHOD.build(FirstOrderModel()), FirstOrderModel()
    adversarial = settings.discriminator_params.model_copy(update={"sn": False, "use_kp": True})
    return {
        "generator": network.generator,
        "kp_detector": network.kp_detector,
        "discriminator": MultiScaleDiscriminator(settings.discriminator_params, settings.common_params),
        "discriminator_adv": MultiScaleDiscriminator(adversarial, settings.common_params),
    }


def test_sizes_are_the_published_ones():
    with torch.device("meta"):
        networks = official()
    sizes = {
        name: (sum(p.numel() for p in network.parameters()), len(network.state_dict()))
        for name, network in networks.items()
    }
    assert sizes == {
        "generator": (45_575_391, 196),
        "kp_detector": (14_215_368, 75),
        "discriminator": (2_758_849, 26),
        "discriminator_adv": (2_769_089, 16),
    }


@pytest.mark.skipif(not KEYS.exists(), reason="the list of the published keys is not here")
def test_keys_and_shapes_are_the_published_ones():
    published = json.loads(KEYS.read_text())
    with torch.device("meta"):
        networks = official()
    for name, network in networks.items():
        ours = {key: list(value.shape) for key, value in network.state_dict().items()}
        assert ours == published[name]["keys"]


def test_untrained_jacobians_are_the_identity():
    settings = FirstOrderModel.model_validate(TINY)
    detector = KpDetector(settings.common_params, settings.kp_detector_params, 3)
    jacobian = detector(torch.rand(2, 3, 32, 32)).jacobian
    torch.testing.assert_close(jacobian, torch.eye(2).expand_as(jacobian))


def test_mixed_precision_keeps_keypoints_and_motion_in_float32():
    network = METHOD.build(FirstOrderModel.model_validate(TINY))
    source, driving = torch.rand(2, 2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        views = network.view(source), network.view(driving)
        made = network.generate(views[0], views[1].keypoints)
    assert views[0].keypoints.value.dtype == views[0].keypoints.jacobian.dtype == torch.float32
    assert made.mask.dtype == made.deformed.dtype == torch.float32
    (made.prediction.float().mean() + made.deformed.mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_without_jacobians_keypoints_translate():
    source, driving = (Keypoints(torch.rand(2, 3, 2), None) for _ in range(2))
    motions = sparse_motions(driving, source, 5, 7)
    grid = coordinate_grid(5, 7, source.value)
    torch.testing.assert_close(motions[:, 0], grid.expand(2, -1, -1, -1))
    moved = (source.value - driving.value)[:, :, None, None]
    torch.testing.assert_close(motions[:, 1:] - grid, moved.expand(-1, -1, 5, 7, -1))


def test_a_source_that_drives_itself_is_not_moved():
    dense = DENSE | {"scale_factor": 1}
    generator = TINY["generator_params"] | {"estimate_occlusion_map": False, "dense_motion_params": dense}
    settings = FirstOrderModel.model_validate(TINY | {"generator_params": generator, "align_corners": True})
    network = randomised(METHOD.build(settings))
    view = network.view(torch.rand(1, 3, 32, 32))
    made = network.generate(view, view.keypoints)
    assert made.occlusion_map is None
    torch.testing.assert_close(made.deformed, view.image, atol=1e-4, rtol=0)
