"""StyleGAN2 parts against the public formulas, written out plainly with zero-stuffing and full convolutions."""

import pytest
import torch
from torch.nn import functional as F

from model.stylegan2 import SynthesisNetwork, modulated_conv2d, upsample
from model.superresolution import SuperResolution


def fir() -> torch.Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    return torch.outer(taps, taps) / 64


def filtered(x: torch.Tensor, padding: tuple[int, int], gain: float) -> torch.Tensor:
    kernel = (fir() * gain)[None, None].expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (*padding, *padding)), kernel.to(x), groups=x.shape[1])


def plain_modulated(x, weight, styles, up, demodulate):
    out = []
    for sample, style in zip(x, styles, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            w = w / (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up == 1:
            out.append(F.conv2d(sample[None], w, padding=w.shape[-1] // 2))
        else:
            wide = F.conv_transpose2d(sample[None], w.transpose(0, 1), stride=2)
            side = 2 * x.shape[-1] + 3 - wide.shape[-1]
            out.append(filtered(wide, (side // 2, side - side // 2), 4))
    return torch.cat(out)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulated_convolution(up, demodulate, kernel):
    torch.manual_seed(0)
    x, styles = torch.randn(3, 4, 8, 8).double(), torch.randn(3, 4).double()
    weight = torch.randn(5, 4, kernel, kernel).double()
    ours = modulated_conv2d(x, weight, styles, up=up, demodulate=demodulate)
    assert ours.shape == (3, 5, 8 * up, 8 * up)
    torch.testing.assert_close(ours, plain_modulated(x, weight, styles, up, demodulate))


def test_upsampling_is_zero_stuffing_and_the_filter():
    x = torch.randn(2, 3, 6, 5).double()
    stuffed = torch.zeros(2, 3, 12, 10).double()
    stuffed[:, :, ::2, ::2] = x
    torch.testing.assert_close(upsample(x), filtered(stuffed, (2, 1), 4))


def plain_styles(state, name, w):
    weight = state[f"{name}.affine.weight"]
    return w @ weight.t() / weight.shape[1] ** 0.5 + state[f"{name}.affine.bias"]


def plain_block(state, name, x, image, ws, up, noise):
    """conv0, conv1 and toRGB of one block, from its state dict; ``ws`` a list that is used up."""

    def layer(x, conv, up):
        x = plain_modulated(x, state[f"{conv}.weight"], plain_styles(state, conv, ws.pop(0)), up, True)
        if noise:
            x = x + state[f"{conv}.noise_const"] * state[f"{conv}.noise_strength"]
        x = x + state[f"{conv}.bias"][:, None, None]
        return torch.where(x > 0, x, 0.2 * x) * 2**0.5

    x = state[f"{name}.const"].expand(len(ws[0]), -1, -1, -1) if x is None else layer(x, f"{name}.conv0", up)
    x = layer(x, f"{name}.conv1", 1)
    weight = state[f"{name}.torgb.weight"]
    styles = plain_styles(state, f"{name}.torgb", ws.pop(0)) / weight.shape[1] ** 0.5
    rgb = plain_modulated(x, weight, styles, 1, False) + state[f"{name}.torgb.bias"][:, None, None]
    if image is not None and up == 2:
        stuffed = torch.zeros(*image.shape[:2], 2 * image.shape[2], 2 * image.shape[3], dtype=image.dtype)
        stuffed[:, :, ::2, ::2] = image
        image = filtered(stuffed, (2, 1), 4)
    return x, rgb if image is None else image + rgb


def random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Gives every parameter, biases and noise strengths too, a random value; returns the state dict."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network.state_dict()


@pytest.mark.parametrize("noise", ["none", "const"])
def test_synthesis_equals_the_plain_formulas_in_value_and_gradient(noise):
    network = SynthesisNetwork(w_dim=8, resolution=16, channels=6, channel_base=64, channel_max=12).double()
    state = random_state(network)
    ws = torch.randn(2, network.num_ws, 8).double().requires_grad_()
    x, image = None, None
    for i, r in enumerate((4, 8, 16)):
        # b4 takes styles 0 and 1, b8 1–3, b16 3–5: toRGB's is the next block's first
        first, last = (0, 2) if i == 0 else (2 * i - 1, 2 * i + 2)
        x, image = plain_block(state, f"b{r}", x, image, list(ws[:, first:last].unbind(1)), 2, noise == "const")
    ours = network(ws, noise)
    torch.testing.assert_close(ours, image)
    weights = torch.randn_like(ours)
    (a,) = torch.autograd.grad((ours * weights).sum(), ws)
    (b,) = torch.autograd.grad((image * weights).sum(), ws)
    torch.testing.assert_close(a, b)


def test_super_resolution_equals_the_plain_formulas_in_value_and_gradient():
    network = SuperResolution(in_channels=5, w_dim=8, resolution=32, channels=(7, 4)).double()
    state = random_state(network)
    features, w = torch.randn(2, 5, 16, 16).double().requires_grad_(), torch.randn(2, 8).double()
    untouched = features.detach().clone()
    ours = network(features[:, :3], features, w)
    x, image = plain_block(state, "block0", features, features[:, :3], [w] * 3, 1, False)
    _, image = plain_block(state, "block1", x, image, [w] * 3, 2, False)
    torch.testing.assert_close(ours, image)
    torch.testing.assert_close(features, untouched, atol=0, rtol=0)
    weights = torch.randn_like(ours)
    (a,) = torch.autograd.grad((ours * weights).sum(), features)
    (b,) = torch.autograd.grad((image * weights).sum(), features)
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("buffers", [True, False])
def test_public_state_dicts_load_with_and_without_their_buffers(buffers):
    network = SynthesisNetwork(w_dim=8, resolution=16, channels=6, channel_base=64, channel_max=12)
    state = {name: value for name, value in network.state_dict().items() if buffers or "noise_const" not in name}
    if buffers:
        state |= {f"b{r}.{layer}resample_filter": torch.ones(4, 4) for r in (8, 16) for layer in ("", "conv0.")}
    result = network.load_state_dict(state, strict=False)
    assert all(name.endswith("noise_const") for name in result.missing_keys)
    assert all(name.endswith("resample_filter") for name in result.unexpected_keys)


def test_synthesis_network_has_the_public_names_and_counts():
    network = SynthesisNetwork(w_dim=16, resolution=32, channels=96, channel_base=512, channel_max=32)
    assert network.num_ws == 8
    names = set(network.state_dict())
    assert {
        "b4.const",
        "b4.conv1.affine.weight",
        "b32.conv0.weight",
        "b32.torgb.bias",
        "b8.conv1.noise_strength",
    } <= names
    assert not any(name.startswith("b4.conv0") for name in names)
    out = network(torch.randn(2, 8, 16), noise="none")
    assert out.shape == (2, 96, 32, 32)


def test_noise_modes():
    network = SynthesisNetwork(8, 16, 3, 256, 16)
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.ones_(parameter)
    ws = torch.randn(1, network.num_ws, 8)
    torch.testing.assert_close(network(ws, "const"), network(ws, "const"))
    assert not torch.allclose(network(ws, "const"), network(ws, "none"))
    assert not torch.allclose(network(ws, "random"), network(ws, "random"))


def test_a_style_reaches_the_layers_of_its_block_only():
    network = SynthesisNetwork(8, 16, 3, 256, 16)
    ws = torch.randn(1, network.num_ws, 8)
    changed = ws.clone()
    changed[:, -1] += 1
    with torch.no_grad():
        difference = network(changed, "none") - network(ws, "none")
    assert difference.abs().max() > 0, "the last style drives the last toRGB"


def test_wrong_resolution_is_refused():
    with pytest.raises(ValueError, match="power of two"):
        SynthesisNetwork(8, 48, 3)


def test_super_resolution_resizes_its_input_and_doubles_it():
    network = SuperResolution(in_channels=8, w_dim=12, resolution=64, channels=(8, 4))
    w = torch.randn(2, 12)
    assert network(torch.randn(2, 3, 32, 32), torch.randn(2, 8, 32, 32), w).shape == (2, 3, 64, 64)
    assert network(torch.randn(2, 3, 48, 48), torch.randn(2, 8, 48, 48), w).shape == (2, 3, 64, 64)
    assert "block0.conv0.weight" in network.state_dict()
