"""The variant ``released``: the authors' code without its 3DMM and its attention across the batch."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from model.animator import Animator
from model.cameras import view_labels
from model.checkpoints import load_weights, save_weights
from model.data import to_images
from model.encoder import build_encoder
from model.planedict import PlaneDict, PlaneGenerator
from model.settings import EncoderSettings, GeneratorSettings, ModelSettings
from model.training.losses import density_smoothness, released_cross_terms, released_self_terms
from model.training.schedules import rays_per_side
from preprocessing.cli import InputError, validated
from tests.model import tiny
from tests.model.tiny import MODEL

SMALL = MODEL | {
    "neural_rendering_resolution": 16,
    "superresolution": True,
    "superresolution_channels": [8, 4],
    "encoder": {"resolution": 32, "width": 4},
    "render": MODEL["render"] | {"fine_samples": 4, "feature_channels": 4},
}
RELEASED = SMALL | tiny.RELEASED | {"render": SMALL["render"] | {"aggregate": "mean", "plane_axes": "eg3d"}}


@pytest.fixture
def released() -> PlaneDict:
    torch.manual_seed(0)
    return PlaneDict(ModelSettings(**RELEASED))


def images(count: int, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side) * 2 - 1


def frontal(count: int) -> torch.Tensor:
    return view_labels(torch.zeros(count), torch.zeros(count))


def halved(x, weight):
    """[1, 3, 3, 1] / 8 along both axes, then every second pixel's convolution: StyleGAN2's downsampling, plainly."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = torch.outer(taps, taps)[None, None].expand(x.shape[1], 1, 4, 4)
    margin = (weight.shape[-1] + 1) // 2
    blurred = F.conv2d(F.pad(x, (margin,) * 4), kernel, groups=x.shape[1])
    return F.conv2d(blurred, weight, stride=2)


def test_lia_encoder_is_stylegan2_s_residual_network():
    torch.manual_seed(0)
    settings = EncoderSettings(kind="lia", resolution=32, width=4)
    encoder = build_encoder(settings, 3, 6).double()
    state = encoder.state_dict()
    for name, value in state.items():
        if name.endswith("bias"):
            value.normal_()
    assert [tuple(state[f"blocks.{i}.skip.weight"].shape[:2]) for i in range(3)] == [(8, 4), (16, 8), (32, 16)]

    def weight(name):
        return state[name + "weight"] / state[name + "weight"][0].numel() ** 0.5

    def active(x, name):
        return F.leaky_relu(x + state[name + "bias"][:, None, None], 0.2) * 2**0.5

    image = images(2).double()
    x = active(F.conv2d(image, weight("blocks.0.fromrgb.")), "blocks.0.fromrgb.")
    for block in ("blocks.0.", "blocks.1.", "blocks.2."):
        inner = active(F.conv2d(x, weight(block + "conv0."), padding=1), block + "conv0.")
        inner = active(halved(inner, weight(block + "conv1.")), block + "conv1.")
        x = (inner + halved(x, weight(block + "skip."))) / 2**0.5
    code = F.conv2d(x, weight(""))[:, :, 0, 0]
    torch.testing.assert_close(encoder(image), code, rtol=1e-10, atol=1e-10)


def test_default_model_has_the_names_it_had():
    names = {name.split(".")[0] for name in PlaneDict(ModelSettings(**SMALL)).state_dict()}
    parts = {"canonical", "decoder", "dictionary", "encoder", "identity_generator", "motion_generator"}
    assert names == parts | {"superresolution"}
    kept = PlaneDict(ModelSettings(**SMALL)).encoder.state_dict()
    assert {"stem.0.weight", "stages.3.conv2.weight", "output.bias"} <= set(kept)


def test_without_fusion_the_driver_s_code_moves_the_planes():
    model = PlaneDict(ModelSettings(**SMALL))
    code = torch.randn(2, 4)
    assert model.driving_code(code, None) is code


@torch.no_grad()
def test_codes_are_one_pass_of_the_encoder(released):
    released.eval()
    identity, motion = released.codes(faces := images(2))
    assert torch.equal(identity, released.identity_code(faces)) and torch.equal(motion, released.motion_code(faces))
    own = {"resolution": 32, "width": 4}
    assert PlaneDict(ModelSettings(**SMALL, motion_encoder=own)).codes(faces)[1] is None


@torch.no_grad()
def test_fusion_reads_its_own_pair_only(released):
    released.eval()
    driver, source = torch.randn(5, 4), torch.randn(5, 4)
    fused = released.driving_code(driver, source)
    for i in range(5):
        torch.testing.assert_close(released.driving_code(driver[i : i + 1], source[i : i + 1])[0], fused[i])
    for changed in ((driver + F.one_hot(torch.tensor(2), 5)[:, None], source), (driver, source * torch.ones(5, 1))):
        others = [0, 1, 3, 4]
        torch.testing.assert_close(released.driving_code(*changed)[others], fused[others])
    assert not torch.allclose(released.driving_code(driver.flip(0), source), fused, atol=1e-3)
    assert not torch.allclose(released.driving_code(driver, source.flip(0)), fused, atol=1e-3)
    torch.testing.assert_close(
        released.driving_code(driver, source[:1]), released.driving_code(driver, source[:1].expand(5, -1))
    )


def test_fusion_is_attention_over_one_pair(released):
    """Softmax over one key is one: each attention is its value and output maps, so the layer can be written out."""
    released.eval().double()
    driver, source = torch.randn(3, 4).double(), torch.randn(3, 4).double()
    layer = released.motion_fusion

    def attention(block, value):
        value = value @ block.in_proj_weight[8:].T + block.in_proj_bias[8:]
        return block.out_proj(value)

    x = layer.norm1(source + attention(layer.self_attn, source))
    x = layer.norm2(x + attention(layer.multihead_attn, driver))
    x = layer.norm3(x + layer.linear2(torch.relu(layer.linear1(x))))
    torch.testing.assert_close(released.driving_code(driver, source), x)


def test_fusion_without_a_source_is_refused(released):
    with pytest.raises(ValueError, match="needs both"):
        released.driving_code(torch.randn(1, 4), None)


def test_animator_and_model_agree(released):
    source, drivers = images(1), images(5)
    animator = Animator(released)
    frames = animator.drive(animator.source(source), animator.motion(drivers), frontal(5))
    with torch.no_grad():
        expected = to_images(released(source.expand(5, -1, -1, -1), drivers, frontal(5)).image)
    assert np.abs(frames.astype(int) - expected).max() <= 1
    assert np.abs(frames[0].astype(int) - frames[1]).max() > 0


def test_canonical_planes_begin_as_noise(released):
    assert released.canonical.mean().abs() < 0.05
    assert abs(released.canonical.std() - 1) < 0.05
    torch.manual_seed(1)
    decoder = PlaneDict(ModelSettings(**RELEASED)).decoder
    assert decoder.fc2.bias[0] == 0 and decoder.fc1.weight[0, 1:].abs().min() > 0


def test_one_code_drives_every_layer_of_a_generator():
    generator = PlaneGenerator(GeneratorSettings(resolution=256, channel_base=256, channel_max=4), 4, 1, 256)
    assert generator.network.num_ws == 14
    code = torch.randn(1, 4)
    repeated = generator.network(code[:, None].repeat(1, 14, 1), noise="none")
    torch.testing.assert_close(generator(code), repeated)


@torch.no_grad()
def test_fewer_rays_are_repeated_up_to_the_rendering_size(released):
    released.eval()
    planes = torch.randn(1, 3, 4, 16, 16)
    output = released.render(planes, frontal(1), torch.randn(1, 8), torch.randn(1, 4), resolution=8)
    assert output.image.shape[-1] == 32 and output.raw.shape[-1] == output.depth.shape[-1] == 16
    pixels = torch.arange(64)[None]
    rays = released.render_pixels(planes, frontal(1), pixels, 8).features[..., :3].mT.unflatten(2, (8, 8))
    torch.testing.assert_close(output.raw, rays.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_render_size_grows_by_whole_rays():
    sides = [rays_per_side(step / 9600, 64, 128) for step in range(12_000)]
    assert sides == [min(128, 64 + step // 150) for step in range(12_000)]
    assert rays_per_side(-1.0, 64, 128) == 64


@torch.no_grad()
def test_density_is_the_decoder_s_at_a_point(released):
    released.double()
    planes, points = torch.randn(2, 3, 4, 16, 16).double(), (torch.rand(2, 50, 3).double() * 1.4 - 0.7)
    features = 0
    for plane, axes in enumerate(((0, 1), (0, 2), (2, 0))):
        where = (2 * points[..., axes])[:, None]
        features = features + F.grid_sample(planes[:, plane], where, align_corners=False)[:, :, 0].mT / 3
    torch.testing.assert_close(released.density(planes, points), released.decoder(features)[0])


def test_density_smoothness_of_a_linear_density():
    slope, points = torch.tensor([2.0, -3.0, 6.0], dtype=torch.float64), torch.rand(4, 500, 3).double()
    torch.manual_seed(0)
    loss = density_smoothness(lambda p: (p * slope).sum(2, keepdim=True), points, distance=0.01)
    torch.manual_seed(0)
    steps = torch.randn_like(points)
    torch.testing.assert_close(loss, (0.01 * steps @ slope).square().mean())
    # 0.01² · |slope|², up to the spread of 2,000 draws.
    assert abs(loss / 0.0049 - 1) < 0.2


def test_terms_of_a_self_pair():
    target, image = images(2, 8).double(), images(2, 8).double()
    raw = images(2, 4).double()
    mask = torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[0, 2:4, 2:6] = True
    a, b = torch.randn(2, 5).double(), torch.randn(2, 5).double()
    terms = released_self_terms(image, raw, target, mask, a, b)
    difference = (image - target).abs()
    assert terms["mask"] == pytest.approx(float(difference[0, :, 2:4, 2:6].sum() / difference.numel()))
    assert terms["image"] == pytest.approx(float(difference.mean()))
    assert terms["identity"] == pytest.approx(float((a - b).abs().mean()))
    flat = torch.full_like(target, 0.25)
    perfect = released_self_terms(flat, flat[..., :4, :4], flat, mask, a, a)
    assert all(float(value) == pytest.approx(0, abs=1e-12) for value in perfect.values())
    assert terms["raw"] > 0


@pytest.mark.parametrize("apart", [0.0, 0.25, 1.5])
def test_terms_of_a_cross_pair(apart):
    source = torch.randn(3, 4).double()
    driver = source + apart * F.normalize(torch.randn(3, 4).double(), dim=1)
    terms = released_cross_terms(source + 0.5, source, driver)
    assert terms["identity"] == pytest.approx(0.5)
    assert terms["triplet"] == pytest.approx(max(0.0, 1 - apart), abs=1e-5)


def test_two_steps_of_the_variant(released):
    optimizer = torch.optim.Adam(released.parameters(), lr=7.5e-5, betas=(0.0, 0.99**0.75))
    before = {name: value.clone() for name, value in released.named_parameters()}
    mask, weights = torch.rand(2, 32, 32) > 0.8, {"image": 10, "raw": 10, "mask": 2000, "identity": 50, "triplet": 1}
    for cross in (False, True):
        source, driver = images(2), images(2)
        output = released(source, driver, frontal(2))
        ours, theirs = (released.identity_code(x) for x in (source, driver))
        if cross:
            terms = released_cross_terms(released.identity_code(output.image), ours, theirs)
            weights |= {"identity": 10}
        else:
            terms = released_self_terms(output.image, output.raw, driver, mask, ours, theirs)
        planes = released.planes(released.identity_planes(ours), torch.zeros(1, 12, 16, 16))
        density = partial(released.density, planes)
        loss = 0.25 * density_smoothness(density, torch.rand(2, 20, 3) - 0.5)
        loss = loss + sum(weights[name] * term for name, term in terms.items())
        optimizer.zero_grad()
        loss.backward()
        unreached = {n for n, p in released.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
        assert all(name.endswith("noise_strength") for name in unreached)
        optimizer.step()
    still = {name for name, value in released.named_parameters() if torch.equal(value, before[name])}
    assert all(name.endswith("noise_strength") for name in still)


def test_a_checkpoint_brings_its_settings(released, tmp_path):
    assert ModelSettings.model_validate_json(released.settings.model_dump_json()) == released.settings
    save_weights(tmp_path / "a.safetensors", released, {"method": "released"})
    read, _ = load_weights(tmp_path / "a.safetensors")
    assert read.settings == released.settings
    expected = released.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in read.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": {"kind": "lia", "resolution": 48}}, "power of two"),
        ({"motion_encoder": {"resolution": 32, "width": 4}}, "motion_encoder must be null"),
        ({"motion_dim": 6}, "4 heads"),
        ({"encoder": {"kind": "vgg"}}, "encoder.kind"),
    ],
)
def test_settings_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        validated(ModelSettings, RELEASED | change, "model")
