"""The losses of the authors' code in its order of steps (docs/training.md), without its 3DMM."""

from functools import partial

import torch

from model.method import Critic, Result
from model.planedict import PlaneDict
from model.settings import VGG19, TrainingSettings
from model.stylegan2 import resized
from model.training.losses import density_smoothness, masked_mean, released_cross_terms, released_self_terms
from model.training.objective import Objective, spread
from model.training.pairs import Batch
from model.training.perceptual import PerceptualLoss, load_vgg19
from model.training.schedules import rays_per_side
from preprocessing.weights import require

DENSITY_POINTS = 1000
"""Points per image at which the density is asked to be smooth."""


class ReleasedObjective(Objective):
    """Three kinds of steps in turn: reconstruction (the driver's frame is the source), self pairs, cross pairs."""

    perceptual: list[PerceptualLoss]

    def __init__(self, model: PlaneDict, settings: TrainingSettings) -> None:
        super().__init__(model, settings)
        losses = settings.released
        # In a list: a fixed network is no part of what is trained, averaged or saved.
        self.perceptual = []
        if losses is not None and losses.perceptual:
            self.perceptual.append(PerceptualLoss(load_vgg19(losses.vgg19 or require(VGG19))))

    def forward(self, batch: Batch, reader: PlaneDict, critic: Critic | None = None) -> Result:
        """The loss of one batch; codes are read by the model as it is, gradients run through both sides."""
        s, model, weights = self.settings, self.model, self.settings.released
        assert weights is not None
        rebuild = not batch.cross and batch.step % 3 == 0
        identity, source_motion = model.codes(batch.drivers if rebuild else batch.sources)
        if not rebuild:
            identity = identity.repeat_interleave(s.drivers, 0)
        driver_identity, own_motion = model.codes(batch.drivers)
        assert source_motion is not None and own_motion is not None
        sources = source_motion if rebuild else source_motion.repeat_interleave(s.drivers, 0)
        motion = model.driving_code(own_motion, sources)
        planes = model.planes(model.identity_planes(identity), model.motion_planes(motion, self.bases))
        full = model.settings.neural_rendering_resolution
        side = rays_per_side(batch.step / weights.growth_steps, min(weights.start_rays, full), full)
        output = model.render(planes, batch.labels, identity, motion, resolution=side)

        figures = {"identity_spread": spread(identity), "motion_spread": spread(own_motion)}
        if batch.cross:
            seen = resized(output.image, model.settings.encoder.resolution)
            found = released_cross_terms(model.identity_code(seen), identity, driver_identity)
            terms = {
                "identity": (weights.identity_cross, found["identity"]),
                "triplet": (weights.triplet, found["triplet"]),
            }
        else:
            mask = batch.regions > 0
            found = released_self_terms(output.image, output.raw, batch.targets, mask, identity, driver_identity)
            terms = {name: (getattr(weights, name), value) for name, value in found.items()}
            difference = (output.image - batch.targets).detach().flatten(2)
            figures["l1"] = difference.abs().mean() / 2
            figures["mask_rmse"] = masked_mean(difference.square().mean(1), mask.flatten(1)).sqrt() / 2
            for network in self.perceptual:
                value = network.to(output.image.device)(output.image, batch.targets)
                terms["perceptual"] = (weights.perceptual, value)
        box = model.settings.render.box_side
        points = box * (2 * torch.rand(len(planes), DENSITY_POINTS, 3, device=planes.device) - 1)
        terms["density"] = (weights.density, density_smoothness(partial(model.density, planes), points))
        return self.result(terms, figures, output, batch, critic)
