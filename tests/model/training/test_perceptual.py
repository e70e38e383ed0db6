"""The perceptual loss against VGG-19 as torchvision lays it out, narrow and with random weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from model.training.perceptual import REDUCTIONS, VGG19, PerceptualLoss, blurred_every, load_vgg19
from preprocessing.cli import InputError

WIDTHS = (2, 3, 4, 5, 6)
LAYOUT = (2, 2, 4, 4, 4)


def vgg() -> nn.Sequential:
    """All sixteen convolutions, with ReLU and pooling between: positions are torchvision's."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    inputs = 3
    for width, count in zip(WIDTHS, LAYOUT, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(*layers)
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return network


def weights() -> dict[str, torch.Tensor]:
    state = {f"features.{name}": value for name, value in vgg().state_dict().items()}
    return state | {"classifier.0.weight": torch.zeros(2, 2)}


def gaussian(x, n):
    """One two-dimensional kernel, then every n-th pixel."""
    if n == 1:
        return x
    deviation = (n - 1) / 2
    radius = round(4 * deviation)
    axis = torch.arange(-radius, radius + 1, dtype=x.dtype)
    taps = torch.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * deviation**2))
    kernel = (taps / taps.sum())[None, None].expand(3, 1, -1, -1)
    return F.conv2d(F.pad(x, (radius,) * 4), kernel, groups=3)[:, :, ::n, ::n]


def test_loss_is_the_sum_over_sizes_and_maps():
    network = vgg().double()
    loss = PerceptualLoss(VGG19(weights(), WIDTHS)).double()
    output, target = (torch.rand(2, 3, 128, 128).double() * 2.4 - 1.2 for _ in range(2))
    mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]
    total = 0.0
    for n in REDUCTIONS:
        a, b = (((gaussian(x, n).clamp(-1, 1) + 1) / 2 - mean) / deviation for x in (output, target))
        for position, layer in enumerate(network):
            a, b = layer(a), layer(b)
            if position in (1, 6, 11, 20, 29):
                total += 10 * (a - b).abs().mean().item()
            if position == 29:
                break
    assert loss(output, target).item() == pytest.approx(total, rel=1e-6)
    assert loss(target, target).item() == 0


@pytest.mark.parametrize("n", REDUCTIONS)
def test_pyramid(n):
    x = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    torch.testing.assert_close(blurred_every(x, n), gaussian(x, n))


def test_gradient_reaches_the_output_and_not_the_network():
    loss = PerceptualLoss(VGG19(weights(), WIDTHS))
    output = (torch.rand(1, 3, 48, 48) - 0.5).requires_grad_()
    loss(output, torch.zeros(1, 3, 48, 48)).backward()
    assert output.grad.abs().max() > 0
    assert not any(p.requires_grad for p in loss.parameters())


def test_weights_from_a_file(tmp_path):
    torch.save(weights(), tmp_path / "vgg.pth")
    a, b = torch.rand(2, 1, 3, 32, 32)
    read, given = (
        PerceptualLoss(network) for network in (load_vgg19(tmp_path / "vgg.pth", WIDTHS), VGG19(weights(), WIDTHS))
    )
    assert torch.equal(read(a, b), given(a, b))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"no archive", "Cannot read"),
        ([1], "holds list"),
        ({}, "features.0.weight is missing"),
        ({"features.0.weight": torch.zeros(1)}, r"features.0.weight is \[1\], not \[64, 3, 3, 3\]"),
        ({"features.0.weight": "text"}, "does not hold"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(tmp_path, content, message):
    path = tmp_path / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=message) as problem:
        load_vgg19(path)
    assert "vgg.pth" in str(problem.value) and "\n" not in str(problem.value)
