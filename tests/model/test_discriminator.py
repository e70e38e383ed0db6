"""The dual discriminator against its formulas written out plainly in float64, and its second derivatives."""

import math

import pytest
import torch
from torch.nn import functional as F

from model.discriminator import ConvLayer, DualDiscriminator, minibatch_deviation
from model.mapping import MappingNetwork
from model.stylegan2 import downsample, resized


def filtered(x: torch.Tensor) -> torch.Tensor:
    """The [1, 3, 3, 1] filter of unit gain at every position, without padding."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    return F.conv2d(x, torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4), groups=x.shape[1])


def lrelu(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def conv(state, name, x, down=False):
    weight = state[f"{name}.weight"]
    weight = weight / math.sqrt(weight[0].numel())
    if down:
        # zeros for the kernel and for the filter, then every second of the full convolution's outputs
        x = F.conv2d(filtered(F.pad(x, [weight.shape[-1] // 2 + 1] * 4)), weight)[:, :, ::2, ::2]
    else:
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    bias = state.get(f"{name}.bias")
    return x if bias is None else lrelu(x + bias[:, None, None]).clamp(-256, 256)


def linear(state, name, x, rate=1.0):
    weight = state[f"{name}.weight"]
    return x @ weight.t() * rate / math.sqrt(weight.shape[1]) + state[f"{name}.bias"] * rate


def unit(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def plain_logits(state, image, raw, camera, group):
    x = torch.cat([image, resized(raw, image.shape[-1])], 1)
    x = conv(state, f"b{image.shape[-1]}.fromrgb", x)
    r = image.shape[-1]
    while r > 4:
        y = conv(state, f"b{r}.conv1", conv(state, f"b{r}.conv0", x), down=True)
        x = (conv(state, f"b{r}.skip", x, down=True) + y) / math.sqrt(2)
        r //= 2
    deviations = torch.zeros(len(x), 1, 4, 4, dtype=x.dtype)
    stride = len(x) // group
    for i in range(len(x)):
        members = x[i % stride :: stride]
        deviations[i] = (members.var(0, unbiased=False) + 1e-8).sqrt().mean()
    x = conv(state, "b4.conv", torch.cat([x, deviations], 1))
    x = linear(state, "b4.out", lrelu(linear(state, "b4.fc", x.flatten(1))))
    w = unit(linear(state, "mapping.embed", camera))
    for i in range(8):
        w = lrelu(linear(state, f"mapping.fc{i}", w, 0.01))
    return (x * w).sum(1, keepdim=True) / math.sqrt(w.shape[1])


def discriminator(resolution=16, base=64, maximum=6, group=4) -> DualDiscriminator:
    torch.manual_seed(3)
    network = DualDiscriminator(resolution, channel_base=base, channel_max=maximum, mbstd_group_size=group).double()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize(("batch", "raw_side"), [(4, 8), (8, 16), (2, 12)])
def test_equals_the_plain_formulas(batch, raw_side):
    network = discriminator()
    image, raw = torch.randn(batch, 3, 16, 16).double(), torch.randn(batch, 3, raw_side, raw_side).double()
    camera = torch.randn(batch, 25).double()
    expected = plain_logits(network.state_dict(), image, raw, camera, min(4, batch))
    torch.testing.assert_close(network(image, raw, camera), expected)


def test_twice_differentiable_in_images_and_parameters():
    network = discriminator(8, 32, 3, 2)
    image = torch.randn(2, 3, 8, 8).double().requires_grad_()
    raw = torch.randn(2, 3, 4, 4).double().requires_grad_()
    camera = torch.randn(2, 25).double()
    weight = network.get_parameter("b8.conv1.weight")

    def logits(image, raw, weight):
        return torch.func.functional_call(network, {"b8.conv1.weight": weight}, (image, raw, camera))

    inputs = (image, raw, weight.detach().clone().requires_grad_())
    assert torch.autograd.gradcheck(logits, inputs)
    assert torch.autograd.gradgradcheck(logits, inputs)


def test_parameters_have_the_public_names_and_widths():
    with torch.device("meta"):
        network = DualDiscriminator(256)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["b256.fromrgb.weight"] == (128, 6, 1, 1)
    assert shapes["b256.conv1.weight"] == (256, 128, 3, 3)
    assert shapes["b128.skip.weight"] == (512, 256, 1, 1)
    assert shapes["b4.conv.weight"] == (512, 513, 3, 3)
    assert shapes["b4.fc.weight"] == (512, 8192) and shapes["b4.out.bias"] == (512,)
    assert shapes["mapping.embed.weight"] == (512, 25) and shapes["mapping.fc7.weight"] == (512, 512)
    assert "b128.fromrgb.weight" not in shapes and "b256.skip.bias" not in shapes


def test_a_file_with_filter_buffers_loads_without_strictness():
    network = discriminator()
    state = {**network.state_dict(), "resample_filter": torch.ones(4, 4), "b16.conv1.resample_filter": torch.ones(4, 4)}
    result = discriminator().load_state_dict(state, strict=False)
    assert not result.missing_keys and all(name.endswith("resample_filter") for name in result.unexpected_keys)


def test_the_camera_and_both_images_matter():
    network = discriminator()
    torch.manual_seed(0)
    image, raw, camera = torch.randn(4, 3, 16, 16), torch.randn(4, 3, 8, 8), torch.randn(4, 25)
    image, raw, camera = image.double(), raw.double(), camera.double()
    logits = network(image, raw, camera)
    for changed in ((image.flip(3), raw, camera), (image, raw.flip(3), camera), (image, raw, camera.flip(1))):
        assert not torch.allclose(network(*changed), logits)


def test_reduced_precision_ends_in_full_precision():
    network = discriminator().float()
    image, raw, camera = torch.randn(4, 3, 16, 16), torch.randn(4, 3, 8, 8), torch.randn(4, 25)
    full = network(image, raw, camera)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = network(image, raw, camera)
    assert reduced.dtype == torch.float32
    torch.testing.assert_close(reduced, full, atol=0.05 * full.abs().max().item(), rtol=0)
    assert not torch.equal(reduced, full)


def test_activations_are_clamped_with_the_gain():
    layer = ConvLayer(1, 1, 1)
    torch.nn.init.ones_(layer.weight)
    x = torch.tensor([-1e6, 1e6, 10.0]).reshape(1, 1, 1, 3)
    torch.testing.assert_close(layer(x).flatten(), torch.tensor([-256.0, 256.0, 10 * math.sqrt(2)]))
    torch.testing.assert_close(layer(x, gain=0.5).flatten(), torch.tensor([-128.0, 128.0, 5 * math.sqrt(2)]))


def test_minibatch_deviation_of_equal_samples_is_nothing():
    x = torch.randn(1, 3, 4, 4).expand(4, -1, -1, -1)
    torch.testing.assert_close(minibatch_deviation(x, 4)[:, 3], torch.full((4, 4, 4), 1e-4))
    six = torch.randn(6, 3, 4, 4)
    torch.testing.assert_close(minibatch_deviation(six, 4), minibatch_deviation(six, 3), msg="4 does not divide 6: 3")


def test_downsampling_is_the_filter_at_every_second_sample():
    x = torch.randn(2, 3, 6, 10).double()
    torch.testing.assert_close(downsample(x), filtered(F.pad(x, (1, 1, 1, 1)))[:, :, ::2, ::2])


def test_a_mapping_joins_latent_and_label_and_ignores_their_scale():
    torch.manual_seed(0)
    network = MappingNetwork(z_dim=6, c_dim=4, w_dim=5, num_ws=3, num_layers=2).double()
    z, c = torch.randn(2, 6).double(), torch.randn(2, 4).double()
    state = network.state_dict()
    w = torch.cat([unit(z), unit(linear(state, "embed", c))], 1)
    for i in range(2):
        w = lrelu(linear(state, f"fc{i}", w, 0.01))
    torch.testing.assert_close(network(z, c), torch.stack([w] * 3, 1))
    torch.testing.assert_close(network(5 * z, c), network(z, c))


def test_too_small_or_odd_resolutions_are_refused():
    with pytest.raises(ValueError, match="at least 8, not 4"):
        DualDiscriminator(4)
    with pytest.raises(ValueError, match="power of two"):
        DualDiscriminator(48)
