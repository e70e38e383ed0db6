"""The adversarial losses against closed forms."""

import math

import torch

from model.adversarial.losses import discriminator_loss, generator_loss, r1_penalty, real_pair
from model.discriminator import DualDiscriminator


class Quadratic(torch.nn.Module):
    """logit = a·Σ image + Σ raw²; its gradients are a and 2·raw."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, image, raw, camera):
        return (self.a * image.sum((1, 2, 3)) + raw.square().sum((1, 2, 3)))[:, None]


def test_logistic_losses():
    real, fake = torch.tensor([[1.5], [-0.5]]), torch.tensor([[0.25], [2.0]])

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    expected = -(math.log(sigmoid(1.5)) + math.log(sigmoid(-0.5))) / 2
    expected -= (math.log(1 - sigmoid(0.25)) + math.log(1 - sigmoid(2.0))) / 2
    assert math.isclose(discriminator_loss(real, fake).item(), expected, rel_tol=1e-6)
    assert math.isclose(
        generator_loss(fake).item(), -(math.log(sigmoid(0.25)) + math.log(sigmoid(2))) / 2, rel_tol=1e-6
    )


def test_the_generators_gradient_does_not_vanish_where_it_is_losing():
    logits = torch.tensor([[-30.0]], requires_grad=True)
    generator_loss(logits).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-1.0]]))


def test_r1_is_the_squared_gradient_of_both_inputs_and_differentiable():
    network = Quadratic()
    image, raw = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 3, 2, 2).double()
    penalty = r1_penalty(network, image, raw, torch.zeros(2, 25).double())
    expected = 9.0 * 48 + 4 * raw.square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    torch.testing.assert_close(network.a.grad, torch.tensor(2 * 3.0 * 48).double())


def test_r1_of_the_discriminator_equals_finite_differences():
    torch.manual_seed(0)
    network = DualDiscriminator(8, channel_base=32, channel_max=4).double()
    image, raw = torch.randn(1, 3, 8, 8).double(), torch.randn(1, 3, 4, 4).double()
    camera = torch.randn(1, 25).double()
    total = 0.0
    with torch.no_grad():
        for tensor in (image, raw):
            flat = tensor.view(-1)
            for i in range(len(flat)):
                value, logits = flat[i].item(), []
                for step in (1e-6, -1e-6):
                    flat[i] = value + step
                    logits.append(network(image, raw, camera).item())
                flat[i] = value
                total += ((logits[0] - logits[1]) / 2e-6) ** 2
    assert math.isclose(r1_penalty(network, image, raw, camera).item(), total, rel_tol=1e-5)


def test_the_real_pair_is_antialiased():
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1
    image, raw = real_pair(stripes, 8)
    assert image is stripes and raw.shape == (1, 3, 8, 8)
    assert (raw[..., 1:-1] - 0.5).abs().max() < 0.1, "every second column alone would be all ones"
