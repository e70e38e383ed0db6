"""Fit the identity planes to one source photo: what one-shot encoding misses of an unknown person.

The encoder places a stranger among the people it was trained on. A few seconds of optimisation on the photo itself, as
in pivotal tuning (Roich et al. 2022) but of ΔP_id alone, bring the person back; canonical planes, dictionary, decoder
and motion stay as trained, so that the fitted person moves as everybody does. The paper does not do this.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from model.animator import Animator, Source
from model.planedict import PlaneDict
from model.stylegan2 import resized
from preprocessing.cameras import flip_camera
from preprocessing.cli import progress

RAYS = 2048
"""Rays per step, half of them of the photo, half of its mirror image, which stands in for the unseen side."""
RATE = 3e-3
FADE = 0.3
"""Last share of the steps, in which the rate falls to zero."""
SQUARED_WEIGHT = 4.0
"""Weight of squared errors beside L1, which alone leaves small things out."""
DETAIL_WEIGHT = 1.0
"""Weight of the squared texels added to what G_id can say: little, so that they hold what it cannot (glasses, hair)."""
MIRROR_WEIGHT = 0.1
"""Weight of the mirror image: faces are only nearly symmetric."""


def fit(
    animator: Animator,
    image: Float[Tensor, "1 3 e e"],
    target: Float[Tensor, "1 3 r r"],
    label: Float[Tensor, "1 25"],
    motion: Float[Tensor, "1 m"],
    steps: int,
    seed: int = 0,
) -> Source:
    """The source of :meth:`Animator.source` after ``steps`` of fitting its ΔP_id to the photo.

    ``image``: the photo as E sees it; ``target``: the same at the model's resolution, black background, in [−1, 1];
    ``label``: its camera; ``motion``: the code of its expression (zeros where codes are relative: the photo is the
    reference). With super-resolution the raw image is fitted, to the photo made smaller.
    """
    model: PlaneDict = animator.model
    source = animator.source(image)
    device = source.identity.device
    generator = torch.Generator(device="cpu").manual_seed(seed)
    network = copy.deepcopy(model.identity_generator).requires_grad_(True)
    code = source.identity.clone().requires_grad_(True)
    detail = torch.zeros_like(source.planes).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([*network.parameters(), code, detail], lr=RATE, fused=True)
    side = model.settings.neural_rendering_resolution
    if target.shape[-1] != side:
        target = resized(target, side)
    flipped = torch.from_numpy(flip_camera(label.cpu().numpy())).to(label)
    views = torch.cat([label, flipped]).to(device)
    seen = torch.cat([target, target.flip(-1)]).flatten(2).to(device)
    weight = seen.new_tensor([1.0, MIRROR_WEIGHT])
    with torch.inference_mode():
        moved = model.motion_planes(model.driving_code(motion, source.motion), animator.bases)
    moved = moved.clone()
    for step in progress(range(steps), "fitting the source"):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (1 - step / steps) / FADE)
        pixels = torch.randint(side * side, (2, RAYS // 2), generator=generator).to(device)
        planes = model.planes(network(code) + detail, moved).expand(2, -1, -1, -1, -1)
        output = model.render_pixels(planes, views, pixels, side).features[..., :3].transpose(1, 2)
        wanted = seen.gather(2, pixels[:, None].expand(-1, 3, -1))
        difference = output - wanted
        errors = (difference.abs() + SQUARED_WEIGHT * difference.square()).mean((1, 2))
        loss = (errors * weight).sum() + DETAIL_WEIGHT * detail.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        # The code as encoded: super-resolution is styled by it and knows no other.
        return animator.encoded(source.identity, source.motion, network(code) + detail)
