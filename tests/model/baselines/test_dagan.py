"""DaGAN's networks against references in float64, its keys and sizes, and the two stages of its training."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model.baselines.dagan.depth import DepthNetwork, load_depth
from model.baselines.dagan.generator import DepthAwareAttention, SpadeBlock, SpadeDecoder
from model.baselines.dagan.method import METHOD
from model.baselines.dagan.network import NO_DEPTH
from model.baselines.dagan.objective import DaganObjective, kp_distance
from model.baselines.dagan.settings import KIND, DaganModel, DaganTraining, DepthParams, SpadeParams
from model.baselines.firstorder.pairs import FramePairs
from model.cameras import view_labels
from preprocessing.cli import InputError
from tests.model.baselines.reference import conv, part, sigmoid, softmax
from tests.model.baselines.test_firstorder_pairs import Store
from tests.model.baselines.tiny import TINY, randomised

KEYS = Path(__file__).parents[4] / "shared/spec/keys/dagan_vox256.json"
WIDER = TINY["generator_params"] | {"block_expansion": 8, "max_features": 32}
MODEL = TINY | {
    "resolution": 64,
    "generator_params": WIDER,
    "depth": {"width": 4},
    "spade": {"fc": 12, "up": 8, "out": 4, "hidden": 6},
}
PIXELS = {"features": "pixels", "loss_weights": {"perceptual": [10]}}


def meta(network, *arguments):
    """A network of the authors' size without memory."""
    with torch.device("meta"):
        return network(*arguments)


def sizes(name):
    """The authors' networks, under the names of the key lists."""
    if name.startswith("depth"):
        _, part_of, layers = name.split("_")
        return getattr(meta(DepthNetwork, DepthParams(layers=int(layers))), part_of)
    network = meta(METHOD.build, DaganModel(generator="spade" if name.endswith("spade") else "depth"))
    return network.kp_detector if name == "kp_detector" else network.generator


@pytest.mark.parametrize(
    ("name", "parameters", "keys"),
    [
        ("generator", 46_096_917, 224),
        ("generator_spade", 67_545_305, 248),
        ("kp_detector", 14_262_519, 75),
        ("depth_encoder_18", 11_689_512, 122),
        ("depth_decoder_18", 3_152_724, 28),
        ("depth_encoder_50", 25_557_032, 320),
        ("depth_decoder_50", 9_014_100, 28),
    ],
)
def test_sizes_and_keys_are_the_authors(name, parameters, keys):
    network = sizes(name)
    state = network.state_dict()
    assert sum(p.numel() for p in network.parameters()) == parameters and len(state) == keys
    if KEYS.is_file():
        listed = json.loads(KEYS.read_text())[name]["keys"]
        assert {key: list(value.shape) for key, value in state.items()} == listed


def arrays(network):
    return {key: value.detach().numpy().astype(float) for key, value in network.state_dict().items()}


def test_attention_weighs_values_by_unscaled_products():
    torch.manual_seed(0)
    attention = DepthAwareAttention(16)
    depth, features = torch.randn(2, 16, 3, 5), torch.randn(2, 16, 3, 5)
    assert torch.equal(attention(depth, features), features)  # gamma begins at 0
    nn.init.constant_(attention.gamma, 0.7)
    weights = arrays(attention)
    query, key, value = (
        np.maximum(conv(x.numpy().astype(float), part(weights, f"{name}_conv")), 0).reshape(2, -1, 15)
        for name, x in (("query", depth), ("key", features), ("value", features))
    )
    shares = softmax(np.einsum("bci,bcj->bij", query, key), 2)
    wanted = features.numpy() + 0.7 * np.einsum("bij,bcj->bci", shares, value).reshape(2, 16, 3, 5)
    np.testing.assert_allclose(attention(depth, features).detach().numpy(), wanted, atol=1e-5)


def spectral(weights):
    """A convolution's weights divided by the spectral norm that the state dict's vectors estimate."""
    kernel = weights["weight_orig"]
    norm = weights["weight_u"] @ kernel.reshape(len(kernel), -1) @ weights["weight_v"]
    return {"weight": kernel / norm, "bias": weights.get("bias", np.zeros(len(kernel)))}


def modulated(x, label, weights):
    normal = (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)
    step = label.shape[2] // x.shape[2]
    hidden = np.maximum(conv(label[:, :, ::step, ::step], part(weights, "mlp_shared.0"), 1), 0)
    return normal * (1 + conv(hidden, part(weights, "mlp_gamma"), 1)) + conv(hidden, part(weights, "mlp_beta"), 1)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def spade_block(x, label, weights):
    y = conv(leaky(modulated(x, label, part(weights, "norm_0"))), spectral(part(weights, "conv_0")), 1)
    y = conv(leaky(modulated(y, label, part(weights, "norm_1"))), spectral(part(weights, "conv_1")), 1)
    if "conv_s.weight_orig" in weights:
        x = conv(modulated(x, label, part(weights, "norm_s")), spectral(part(weights, "conv_s")))
    return x + y


def test_spade_decoder_equals_the_reference():
    torch.manual_seed(0)
    decoder = SpadeDecoder(6, SpadeParams(compress=2, fc=8, up=5, out=4, hidden=3)).eval()
    features, image = torch.randn(2, 6, 4, 4), torch.rand(2, 3, 16, 16)
    weights, given = arrays(decoder), features.numpy().astype(float)
    compressed = conv(given, part(weights, "compress"), 1).repeat(4, axis=2).repeat(4, axis=3)
    label = np.concatenate([compressed, image.numpy()], axis=1)
    x = conv(given, part(weights, "fc"), 1)
    for name in ("G_middle_0", "G_middle_1", "G_middle_2", "up_0", "up_1"):
        if name.startswith("up"):
            x = x.repeat(2, axis=2).repeat(2, axis=3)
        x = spade_block(x, label, part(weights, name))
    wanted = sigmoid(conv(leaky(x), part(weights, "conv_img"), 1))
    np.testing.assert_allclose(decoder(features, image).detach().numpy(), wanted, atol=1e-4)


def test_spade_block_keeps_its_input_where_channels_stay():
    assert not hasattr(SpadeBlock(4, 4, 2, 3), "conv_s") and hasattr(SpadeBlock(4, 3, 2, 3), "conv_s")


def normed(x, weights):
    scale = weights["weight"] / np.sqrt(weights["running_var"] + 1e-5)
    return (x - weights["running_mean"][:, None, None]) * scale[:, None, None] + weights["bias"][:, None, None]


def unbiased(x, weights, stride=1):
    """A convolution without bias, which keeps the size or divides it by ``stride``."""
    bias = np.zeros(len(weights["weight"]))
    return conv(x, weights | {"bias": bias}, weights["weight"].shape[2] // 2)[:, :, ::stride, ::stride]


def resnet(x, weights, layers):
    features = [np.maximum(normed(unbiased(x, part(weights, "conv1"), 2), part(weights, "bn1")), 0)]
    padded = np.pad(features[0], ((0, 0), (0, 0), (1, 1), (1, 1)))  # behind ReLU zeros never win
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    x = windows.max((4, 5))[:, :, ::2, ::2]
    for level in range(1, 5):
        for number in range({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[layers][level - 1]):
            block, stride = part(weights, f"layer{level}.{number}"), 2 if level > 1 and not number else 1
            shortcut = x
            if "downsample.0.weight" in block:
                shortcut = normed(unbiased(x, part(block, "downsample.0"), stride), part(block, "downsample.1"))
            convolutions = 2 if layers == 18 else 3
            for n in range(1, convolutions + 1):
                strides = stride if n == convolutions - 1 else 1  # the first of two, the second of three
                x = normed(unbiased(x, part(block, f"conv{n}"), strides), part(block, f"bn{n}"))
                x = np.maximum(x if n < convolutions else x + shortcut, 0)
        features.append(x)
    return features


def mirrored(x, weights):
    return conv(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect"), part(weights, "conv"))


@pytest.mark.parametrize("layers", [18, 50])
def test_depth_network_equals_the_reference(layers):
    network = randomised(DepthNetwork(DepthParams(layers=layers, width=4)))
    image = torch.rand(1, 3, 64, 96)
    weights = arrays(network)
    features = resnet((image.numpy() - 0.45) / 0.225, part(weights, "encoder.encoder"), layers)
    decoder, x, wanted = part(weights, "decoder.decoder"), features[-1], []
    for number, level in enumerate((4, 3, 2, 1, 0)):
        y = mirrored(x, part(decoder, f"{2 * number}.conv"))
        y = np.where(y > 0, y, np.exp(y) - 1).repeat(2, axis=2).repeat(2, axis=3)
        y = np.concatenate([y, features[level - 1]], axis=1) if level else y
        x = mirrored(y, part(decoder, f"{2 * number + 1}.conv"))
        x = np.where(x > 0, x, np.exp(x) - 1)
        if level < 4:
            wanted.insert(0, sigmoid(mirrored(x, part(decoder, f"{10 + level}"))))
    for made, want in zip(network(image), wanted, strict=True):
        np.testing.assert_allclose(made.detach().numpy(), want, atol=1e-5)


def test_the_authors_depth_files_are_taken_or_told_what_is_wrong(tmp_path):
    files = {name: tmp_path / f"{name}.pth" for name in ("encoder", "decoder")}
    params = DepthParams(width=4, **{name: str(path) for name, path in files.items()})
    source, network = randomised(DepthNetwork(params)), DepthNetwork(params)
    # Their encoder's file also tells a size, and theirs were trained in parallel.
    torch.save({f"module.{k}": v for k, v in source.encoder.state_dict().items()} | {"height": 224}, files["encoder"])
    torch.save(source.decoder.state_dict(), files["decoder"])
    load_depth(network, params)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in source.state_dict().items())
    torch.save(DepthNetwork(DepthParams(width=8)).decoder.state_dict(), files["decoder"])
    with pytest.raises(InputError, match=r"decoder\.pth are not a depth decoder's behind 18 layers.*size mismatch"):
        load_depth(network, params)
    files["encoder"].unlink()
    with pytest.raises(InputError, match=r"Cannot read the weights .*encoder\.pth"):
        load_depth(network, params)


@pytest.mark.parametrize("name", METHOD.official)
def test_widths_that_the_authors_fix_are_read_off_their_weights(name):
    wanted = DaganModel.model_validate(MODEL | {"generator": "spade" if name == "dagan-spade" else "depth"})
    network = METHOD.build(wanted)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = METHOD.official_settings(name, TINY | {"generator_params": WIDER, "kp_num_channels": 4}, shapes)
    built = METHOD.build(found).state_dict()
    assert {key: tuple(value.shape) for key, value in built.items()} == {
        key: shape for key, shape in shapes.items() if not key.startswith("depth.")
    }


def test_a_view_estimates_the_disparity_that_is_not_given():
    network = randomised(METHOD.build(DaganModel.model_validate(MODEL)))
    image, given = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    view, told = network.view(image), network.view(image, given)
    assert torch.equal(view.depth, network.depth(image)[0]) and not view.depth.requires_grad
    assert torch.equal(told.depth, given) and not torch.equal(told.keypoints.value, view.keypoints.value)
    blind = METHOD.build(DaganModel.model_validate(MODEL | {"depth": None}))
    assert torch.equal(blind.view(image).depth, torch.full((2, 1, 64, 64), NO_DEPTH))


@pytest.mark.parametrize("generator", ["depth", "spade"])
def test_depth_moves_the_picture_once_attention_has_weight(generator):
    network = randomised(METHOD.build(DaganModel.model_validate(MODEL | {"generator": generator})))
    source = network.view(torch.rand(1, 3, 64, 64))
    other = source._replace(depth=torch.rand(1, 1, 64, 64))

    def change():
        made = [network.generate(view, source.keypoints).prediction for view in (source, other)]
        return (made[0] - made[1]).abs().max()

    assert change() == 0
    attention = network.generator.AttnModule
    nn.init.constant_(attention.gamma, 100.0)
    for projection in (attention.query_conv, attention.key_conv):
        nn.init.normal_(projection.weight, std=5.0)
    assert change() > 1e-4


def test_kp_distance_counts_pairs_that_are_too_near_and_moves_nothing():
    points = torch.tensor([[[0.0, 0.0], [0.1, 0.0], [0.5, 0.5], [0.5, 0.75]]], requires_grad=True)
    value = kp_distance(points)
    assert value.item() == pytest.approx(2 * 2 / 16)  # one pair, both ways, of 4 × 4
    value.backward()
    assert not points.grad.any()


def pairs(step, side=64):
    rng = torch.Generator().manual_seed(step)
    images = torch.rand(2, 2, 3, side, side, generator=rng)
    images[..., : side // 4] = 0
    labels = view_labels(torch.tensor([0.1, -0.2]), torch.tensor([0.0, 0.1]))
    return FramePairs(images[0], images[1], labels, labels.flip(0), step, ["a", "b"])


def test_the_depth_network_learns_first_and_is_frozen_afterwards():
    torch.manual_seed(0)
    network = METHOD.build(DaganModel.model_validate(MODEL))
    settings = DaganTraining.model_validate(PIXELS | {"iterations": 4, "depth_iterations": 2, "lr_depth": 1e-2})
    objective = METHOD.objective(network, settings)
    optimizer = torch.optim.Adam(METHOD.groups(network, settings))
    for step in range(4):
        before = {key: value.clone() for key, value in network.state_dict().items()}
        network.train()
        optimizer.zero_grad(set_to_none=True)
        result = objective(pairs(step), network)
        result.loss.backward()
        optimizer.step()
        moved = {
            key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])
        }
        assert moved == ({"depth"} if step < 2 else {"generator", "kp_detector"})
        assert (result.judged is None) == (step < 2) and ("kp_distance" in result.figures) == (step >= 2)


def test_what_trains_no_depth_has_no_such_steps():
    training = DaganTraining(depth_iterations=7)
    given = DepthParams(encoder="e", decoder="d")
    steps = [training.depth_steps(DaganModel(depth=depth)) for depth in (DepthParams(), given, None)]
    assert steps == [7, 0, 0]
    network = METHOD.build(DaganModel.model_validate(MODEL | {"depth": None}))
    assert len(METHOD.groups(network, training)) == 2
    objective = DaganObjective(network, DaganTraining.model_validate(PIXELS))
    assert "l1" in objective(pairs(0), network).figures


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, "trained here, depth trained here with known cameras"),
        ({"depth": None, "generator": "spade"}, "trained here, no depth, SPADE generator"),
        ({"depth": {"encoder": "e", "decoder": "d"}, "resolution": 64}, "mini, trained here, authors' depth"),
    ],
)
def test_a_claim_says_where_depth_is_from(model, words):
    assert KIND.claim(DaganModel.model_validate(model), DaganTraining()) == words


class Bright(Store):
    def images(self, wanted):
        return 30 * super().images(wanted)


def test_colours_are_jittered_only_after_the_depth_network_has_learned():
    """So that the background stays black: contrast lifts it."""
    jitter = {"flip": False, "brightness": 0, "contrast": 0.9, "saturation": 0, "hue": 0}
    settings = DaganTraining(batch_size=8, depth_iterations=2, augmentation=jitter)
    sampler = METHOD.sampler(Bright(), DaganModel(), settings, 0)
    black = [(sampler.batch(step).sources[..., 2:] == 0).all().item() for step in range(4)]
    assert black == [True, True, False, False]
    assert (METHOD.sampler(Bright(), DaganModel(depth=None), settings, 0).batch(0).sources[..., 2:] > 0).any()


def test_taken_weights_need_the_authors_depth_network_or_none():
    with pytest.raises(InputError, match="'depth: encoder' and 'decoder' must name it"):
        KIND.check(DaganModel.model_validate(MODEL), None)
    KIND.check(DaganModel.model_validate(MODEL | {"depth": None}), None)


def test_depth_must_leave_steps_to_the_rest():
    with pytest.raises(InputError, match="'iterations' = 5 must be more than 'depth_iterations' = 5"):
        KIND.check(DaganModel(), DaganTraining(iterations=5, depth_iterations=5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resolution": 100}, "multiple of 32"),
        ({"resolution": 32}, "64 or more"),
        ({"depth": {"encoder": "e"}}, "together or not at all"),
        ({"generator_params": {"max_features": 7}}, "8 channels or more"),
        ({"depth": {"near": 3, "far": 2}}, "near must be less than far"),
        ({"generator": "spade", "generator_params": {"num_down_blocks": 3}}, "num_down_blocks must be 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        DaganModel.model_validate(change)
