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
