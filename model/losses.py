"""The losses of the paper (Eqs. 5–7) and what the robust recipe adds (docs/training.md)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def masked_mean(values: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"]) -> Float[Tensor, ""]:
    """Mean of ``values`` where ``mask`` holds; zero where it holds nowhere."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp_min(1)


def reconstruction_loss(
    output: Float[Tensor, "b 3 n"],
    target: Float[Tensor, "b 3 n"],
    mask: Bool[Tensor, "b n"],
    uniform: Bool[Tensor, "b n"],
    lambda_mask: float,
    mask_squared: float,
    squared: float = 0.0,
) -> Float[Tensor, ""]:
    """L_recons of Eq. 7: L1 over the ``uniform`` pixels + λ3 · L1 in the eye + mouth mask [+ squared errors of both].

    Pixels are given as lists, so that the same code serves whole images and sampled rays. The L1 norm's median
    ignores rare open mouths; the squared error does not.
    """
    difference = output - target
    absolute = difference.abs().mean(1)
    loss = masked_mean(absolute, uniform) + lambda_mask * masked_mean(absolute, mask)
    for weight, where in ((squared, uniform), (mask_squared, mask)):
        if weight:
            loss = loss + weight * masked_mean(difference.square().mean(1), where)
    return loss


def contrastive_loss(
    motion: Float[Tensor, "b m"], drivers: Float[Tensor, "b m"], temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Cross-entropy of finding each output's own driver among the batch's, by the cosine of their motion codes.

    The other drivers, of which some are frames of the same clip, are the negatives (as MegaPortraits', ECCV 2022, and
    InfoNCE). The drivers' codes carry no gradient, as in :func:`disentanglement_loss`.
    """
    similarity = F.normalize(motion, dim=1) @ F.normalize(drivers.detach(), dim=1).t()
    return F.cross_entropy(similarity / temperature, torch.arange(len(motion), device=motion.device))


def disentanglement_loss(
    identity: Float[Tensor, "b d"],
    identity_target: Float[Tensor, "b d"],
    motion: Float[Tensor, "b m"],
    motion_target: Float[Tensor, "b m"],
    lambda_motion: float,
) -> Float[Tensor, ""]:
    """L_dis of Eq. 6: ‖ω_s^id − ω^id‖₂ + λ2 ‖ω_d^m − ω^m‖₂, codes of the output against their targets.

    The targets carry no gradient: with it, constant codes make the loss zero and training collapses.
    """
    identity_error = torch.linalg.vector_norm(identity - identity_target.detach(), dim=1).mean()
    motion_error = torch.linalg.vector_norm(motion - motion_target.detach(), dim=1).mean()
    return identity_error + lambda_motion * motion_error
