"""FNeVR: its parts against references in float64, the authors' names, sizes and settings, and its own losses."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.baselines.firstorder.network import FirstOrderNetwork, Generated, Keypoints, View
from model.baselines.firstorder.pairs import FramePairs
from model.baselines.firstorder.spade import Spade
from model.baselines.fnevr.decoder import SpadeDecoder
from model.baselines.fnevr.method import METHOD
from model.baselines.fnevr.objective import FnevrObjective
from model.baselines.fnevr.render import RenderModel, compositing_weights
from model.baselines.fnevr.settings import FnevrModel, FnevrTraining, RenderParams, SpadeParams, claim

KEYS = Path(__file__).parents[4] / "shared/spec/keys/fnevr_vox256.json"
"""The authors' names and shapes, which some have beside their checkout."""
HOURGLASS = {"block_expansion": 4, "max_features": 8, "num_blocks": 2}
RENDER = RenderParams(
    simpled_channel_rgb=12, simpled_channel_sigma=8, floor_num=4, hidden_size=8, render_channels=6, mini_channels=5
)
MINI: dict[str, Any] = {
    "resolution": 64,
    "common_params": {"num_kp": 3},
    "kp_detector_params": HOURGLASS,
    "generator_params": {
        "block_expansion": 4,
        "max_features": 10,
        "dense_motion_params": HOURGLASS,
        "render_params": RENDER.model_dump(),
        "spade_params": {"label_channels": 7, "hidden_channels": 9},
    },
}
OFFICIAL: dict[str, Any] = {
    "common_params": {"num_kp": 10, "num_channels": 3, "estimate_jacobian": True},
    "kp_detector_params": {
        "temperature": 0.1,
        "block_expansion": 32,
        "max_features": 1024,
        "scale_factor": 0.25,
        "num_blocks": 5,
    },
    "generator_params": {
        "block_expansion": 64,
        "max_features": 512,
        "num_down_blocks": 2,
        "num_bottleneck_blocks": 6,
        "estimate_occlusion_map": True,
        "dense_motion_params": {"block_expansion": 64, "max_features": 1024, "num_blocks": 5, "scale_factor": 0.25},
        "render_params": {
            "simpled_channel_rgb": 128,
            "simpled_channel_sigma": 128,
            "floor_num": 8,
            "hidden_size": 128,
        },
    },
    "discriminator_params": {"scales": [1], "block_expansion": 32, "max_features": 512, "num_blocks": 4, "sn": True},
}


def shaken(module: RenderModel) -> RenderModel:
    """In float64 and for evaluation, with statistics and affine maps of normalisations that are not the first ones."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (part.running_var, part.weight, part.bias, part.running_mean):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module.double().eval()


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_a_sample_dims_itself_too() -> None:
    sigma = torch.randn(2, 3, 2, 5, dtype=torch.float64)
    expected = torch.zeros_like(sigma)
    for index in range(2 * 3 * 2):
        ray, light = sigma.view(-1, 5)[index], 1.0
        for i, value in enumerate(ray):
            light *= math.exp(-max(float(value), 0.0))
            expected.view(-1, 5)[index, i] = light * (1 - math.exp(-max(float(value), 0.0)))
    torch.testing.assert_close(compositing_weights(sigma), expected)


def reference_render(model: RenderModel, features: Tensor, params: RenderParams) -> Tensor:
    """The rendered features floor by floor, every layer on every sample, volumes split channel by channel."""
    floors, layers = params.floor_num, model.nerf_module
    rgb, volume = (
        torch.stack([torch.stack(part.down_conv(features)[:, i::floors].unbind(1), -1) for i in range(floors)], 1)
        for part in (model.rgb_predict, model.sigma_predict)
    )  # [b, f, h, w, channels]
    sigma = model.sigma_predict.res_conv3d(volume.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
    colour, depth = torch.zeros(()), torch.zeros(())
    for i in range(floors):
        x = layers.layer2(layers.layer1(sigma[:, i]).relu()).relu()
        density = layers.layer3_1(x).relu()
        depth = depth + density
        x = torch.cat([layers.layer3_2(x).relu(), layers.layer3_3(rgb[:, i]).relu()], dim=-1)
        value = layers.layer6(layers.layer5(layers.layer4(x).relu()).relu())
        colour = colour + (-depth).exp() * (1 - (-density).exp()) * value
    return colour.permute(0, 3, 1, 2).sigmoid()


def test_rendering_is_that_of_every_sample_on_its_own() -> None:
    torch.manual_seed(0)
    model = shaken(RenderModel(10, RENDER))
    nn.init.normal_(model.nerf_module.layer3_1.weight)
    features = torch.randn(2, 10, 5, 6, dtype=torch.float64)
    rendered = model(features)
    torch.testing.assert_close(rendered.features, reference_render(model, features, RENDER))
    assert rendered.features.std() > 1e-3
    assert rendered.picture.shape == (2, 3, 20, 24)
    assert rendered.picture.min() >= 0.5
    assert rendered.picture.max() < 1


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_spade_scales_and_shifts_by_maps_of_the_repeated_label(factor: int) -> None:
    torch.manual_seed(0)
    spade = Spade(4, 3, hidden=5).double()
    x, label = torch.randn(2, 4, 8, 12).double() * 3 + 2, torch.randn(2, 3, 8 // factor, 12 // factor).double()
    whitened = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    repeated = label.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    shared = F.conv2d(repeated, spade.mlp_shared[0].weight, spade.mlp_shared[0].bias, padding=1).relu()
    expected = whitened * (1 + spade.mlp_gamma(shared)) + spade.mlp_beta(shared)
    torch.testing.assert_close(spade(x, label), expected)


def test_the_decoder_doubles_twice_with_corners_kept() -> None:
    torch.manual_seed(0)
    decoder = SpadeDecoder(32, SpadeParams(label_channels=3, hidden_channels=4)).double()
    features = torch.randn(1, 32, 4, 6).double()
    x, label = features, decoder.seg_conv(features)
    up = nn.UpsamplingBilinear2d(scale_factor=2)
    for block, then in ((decoder.SPADE_0, up), (decoder.SPADE_1, up), (decoder.SPADE_2, None), (decoder.SPADE_3, None)):
        for spade, conv in ((block.SPADE_0, block.conv_0), (block.SPADE_1, block.conv_1)):
            x = conv(spade(x, label).relu())
        x = then(x) if then else x
    expected = F.conv2d(x, decoder.final[0].weight, decoder.final[0].bias, padding=3).sigmoid()
    torch.testing.assert_close(decoder(features), expected)
    assert (x.shape[1], expected.shape) == (2, (1, 3, 16, 24))


def test_the_authors_file_gives_their_sizes() -> None:
    with torch.device("meta"):
        network = METHOD.build(FnevrModel())
    assert METHOD.official_settings("fnevr", OFFICIAL, shapes(network)) == FnevrModel()
    parts = {"generator": (47_179_657, 255), "kp_detector": (14_215_368, 75)}
    for name, wanted in parts.items():
        part = network.get_submodule(name)
        assert (sum(p.numel() for p in part.parameters()), len(part.state_dict())) == wanted


@pytest.mark.skipif(not KEYS.exists(), reason="the authors' list of keys is not here")
def test_names_and_shapes_are_the_authors() -> None:
    with torch.device("meta"):
        network = METHOD.build(FnevrModel())
    for name, part in json.loads(KEYS.read_text()).items():
        assert shapes(network.get_submodule(name)) == {key: tuple(shape) for key, shape in part["keys"].items()}


def test_widths_that_the_authors_fix_are_read_off_weights() -> None:
    wanted = FnevrModel.model_validate(MINI)
    given = json.loads(json.dumps(MINI))
    del given["generator_params"]["spade_params"]
    for name in ("render_channels", "mini_channels"):
        del given["generator_params"]["render_params"][name]
    assert METHOD.official_settings("fnevr", given, shapes(METHOD.build(wanted))) == wanted


def training(**changes: Any) -> FnevrTraining:
    return FnevrTraining.model_validate({"features": "pixels", "loss_weights": {"generator_gan": 0}} | changes)


def test_the_rendered_picture_is_compared_from_one_half_on() -> None:
    model = FnevrModel.model_validate(MINI)
    objective = FnevrObjective(METHOD.build(model), training())
    driving = torch.rand(1, 3, 64, 64)
    view = View(driving, Keypoints(torch.zeros(1, 3, 2), None))
    batch = FramePairs(driving, driving, torch.zeros(1, 25), torch.zeros(1, 25), 0, ["one"])
    for offset, expected in ((0.0, 0.0), (0.05, 0.1)):
        generated = Generated(driving, driving, driving, None, render=0.5 + driving / 2 + offset)
        weight, value = objective.extra_terms(batch, view, view, generated)["render"]
        assert weight == 5
        assert float(value) == pytest.approx(expected, abs=1e-6)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network: FirstOrderNetwork = METHOD.build(FnevrModel.model_validate(MINI))
    sources, driving = torch.rand(2, 2, 3, 64, 64)
    batch = FramePairs(sources, driving, torch.zeros(2, 25), torch.zeros(2, 25), 0, ["one", "two"])
    result = METHOD.objective(network, training())(batch, network)
    result.loss.backward()
    # In front of a normalisation a bias has no effect but what rounding leaves.
    idle = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []
    assert torch.isfinite(result.loss)


def test_what_a_row_may_claim() -> None:
    full = "trained here, without the DECA vertex term and the pose editor"
    assert claim(FnevrModel(align_corners=True), FnevrTraining()) == full
    assert claim(FnevrModel.model_validate(MINI), FnevrTraining()) == f"mini, {full}"
    unseen = FnevrTraining.model_validate({"loss_weights": {"perceptual_l1": 0}})
    assert claim(FnevrModel(), unseen) == f"{full}, without a loss of the rendered picture"
