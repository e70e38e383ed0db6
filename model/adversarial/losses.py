"""The losses of the adversarial stage, as in EG3D: non-saturating logistic, R1 on both images (Chan et al. 2022).

Logits are [batch, 1]; every function is pure. EG3D's public settings for FFHQ at 512²: 32 images a step, γ = 1; R1 at
every 16th step only, with 16 times the weight; for the discriminator Adam at rate 0.002 · 16/17 with betas
(0, 0.99^(16/17)). Left out: its blur of what the discriminator sees, for starts from noise, and its augmentation, for
small sets.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from model.discriminator import DualDiscriminator
from model.stylegan2 import resized

R1_INTERVAL = 16
"""The public release regularises at every 16th step."""


def generator_loss(logits: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """−log sigmoid of the logits of generated images."""
    return F.softplus(-logits).mean()


def discriminator_loss(real_logits: Float[Tensor, "b 1"], fake_logits: Float[Tensor, "b 1"]) -> Float[Tensor, ""]:
    """Logistic loss: −log sigmoid(real) − log(1 − sigmoid(fake)), each averaged over its images."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def real_pair(
    images: Float[Tensor, "b 3 R R"], raw_resolution: int
) -> tuple[Float[Tensor, "b 3 R R"], Float[Tensor, "b 3 r r"]]:
    """Real images and their raw counterparts: resized (antialiased) to the render size.

    The discriminator itself resizes raw images back, real or rendered, so that both are equally blurred.
    """
    return images, resized(images, raw_resolution)


def r1_penalty(
    discriminator: DualDiscriminator,
    image: Float[Tensor, "b 3 R R"],
    raw: Float[Tensor, "b 3 r r"],
    camera: Float[Tensor, "b 25"],
) -> Float[Tensor, ""]:
    """Mean over real pairs of ‖∂logit/∂image‖² + ‖∂logit/∂raw‖² (Mescheder et al. 2018).

    The loss is γ/2 times this, times the interval where it is taken lazily. The graph stays, so that the penalty can be
    differentiated in the parameters; the pair is detached from whatever made it. Call it in full precision. Some
    parameters (the last bias) do not take part: in distributed training, one backward pass with the logistic loss.
    """
    image, raw = image.detach().requires_grad_(), raw.detach().requires_grad_()
    logits = discriminator(image, raw, camera)
    gradients = torch.autograd.grad(logits.sum(), (image, raw), create_graph=True)
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).square().sum(1).mean()
