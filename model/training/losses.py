"""The losses of the paper (Eqs. 5–7), what the robust recipe adds, and the authors' code's (docs/training.md)."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from model.stylegan2 import resized


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


def released_self_terms(
    image: Float[Tensor, "b 3 r r"],
    raw: Float[Tensor, "b 3 s s"],
    target: Float[Tensor, "b 3 r r"],
    mask: Float[Tensor, "b r r"] | Bool[Tensor, "b r r"],
    source_identity: Float[Tensor, "b d"],
    driver_identity: Float[Tensor, "b d"],
) -> dict[str, Float[Tensor, ""]]:
    """The authors' terms of a self pair, unweighted, each a mean absolute difference over all values.

    ``image`` and ``raw``: output and rendering against the target, at their own sizes. ``mask``: the output inside the
    mask, averaged over the whole image, so that it grows with the mask's area. ``identity``: ω_id of the source against
    ω_id of the driver's frame, two photos of one person; gradients go through both.
    """
    seen = resized(target, raw.shape[-1])
    return {
        "image": F.l1_loss(image, target),
        "raw": F.l1_loss(raw, seen),
        "mask": ((image - target).abs() * mask[:, None]).mean(),
        "identity": F.l1_loss(source_identity, driver_identity),
    }


def released_cross_terms(
    output_identity: Float[Tensor, "b d"],
    source_identity: Float[Tensor, "b d"],
    driver_identity: Float[Tensor, "b d"],
) -> dict[str, Float[Tensor, ""]]:
    """The authors' terms of a cross pair, unweighted, without that of their 3DMM; gradients go through all codes.

    ``identity``: ω_id of the output, read by E, against the source's. ``triplet``: a triplet loss of margin 1 whose
    anchor and positive are both the source's code: it asks for a distance of at least 1 from the driver's.
    """
    return {
        "identity": F.l1_loss(output_identity, source_identity),
        "triplet": F.triplet_margin_loss(source_identity, source_identity, driver_identity),
    }


def density_smoothness(
    density: Callable[[Float[Tensor, "b n 3"]], Float[Tensor, "b n 1"]],
    points: Float[Tensor, "b n 3"],
    distance: float = 0.004,
) -> Float[Tensor, ""]:
    """Mean squared difference of the raw density at ``points`` and at random neighbours.

    ``distance`` is the standard deviation of the step along each axis, world units. EG3D's density regularisation
    (Chan et al. 2022, supplement), squared as in the authors' code, which draws 1,000 points per image from [−1, 1]³.
    """
    neighbours = points + distance * torch.randn_like(points)
    here, beside = density(torch.cat([points, neighbours], dim=1)).chunk(2, dim=1)
    return F.mse_loss(here, beside)
