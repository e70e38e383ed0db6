"""From a batch to the loss: one forward pass of the model and all terms that the settings switch on.

A module, so that data parallelism and mixed precision wrap the whole of it.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from model.data import EYES
from model.method import Critic, Result
from model.planedict import Output, PlaneDict
from model.settings import TrainingSettings, check_together
from model.stylegan2 import resized
from model.training.losses import contrastive_loss, disentanglement_loss, masked_mean, reconstruction_loss
from model.training.pairs import Batch


class Codes(NamedTuple):
    """What an encoder reads: identity code and motion code (relative where the model's codes are)."""

    identity: Float[Tensor, "b d"]
    motion: Float[Tensor, "b m"]


def sample_pixels(
    regions: UInt8[Tensor, "b r r"], count: int, margin: float, eye_rays: float | None
) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """``count`` random pixels per image, the first half uniform, the second in the eye + mouth mask.

    ``eye_rays`` is the eyes' share of the second half (None: by area). Where the mask is empty, all are uniform.
    Returns row-major indices, which of them were drawn uniformly, and which lie in the mask.
    """
    mask = grown(regions > 0, margin).flatten(1)
    batch, pixels = mask.shape
    half = count // 2
    weight = (mask | ~mask.any(1, keepdim=True)).float()
    if eye_rays is not None:
        eyes = grown(regions == EYES, margin).flatten(1) & mask
        both = eyes.any(1, keepdim=True) & (mask & ~eyes).any(1, keepdim=True)
        share = eyes * (eye_rays / eyes.sum(1, keepdim=True).clamp_min(1))
        share = share + (mask & ~eyes) * ((1 - eye_rays) / (mask & ~eyes).sum(1, keepdim=True).clamp_min(1))
        weight = torch.where(both, share, weight)
    inside = torch.multinomial(weight, half, replacement=True)
    everywhere = torch.randint(pixels, (batch, count - half), device=mask.device)
    chosen = torch.cat([everywhere, inside], dim=1)
    uniform = torch.zeros(batch, count, dtype=torch.bool, device=mask.device)
    uniform[:, : count - half] = True
    return chosen, uniform, mask.gather(1, chosen)


def grown(masks: Bool[Tensor, "b r r"], margin: float) -> Bool[Tensor, "b r r"]:
    """Masks grown by ``margin`` of the image's side: what surrounds a moving mouth is wrong too when it moves along."""
    pixels = round(margin * masks.shape[-1])
    if not pixels:
        return masks
    return F.max_pool2d(masks[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[:, 0] > 0


def spread(codes: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Standard deviation over the batch (RMS over dimensions) divided by the RMS: 0 means constant codes."""
    codes = codes.detach()
    return codes.std(0, unbiased=False).square().mean().sqrt() / codes.square().mean().sqrt().clamp_min(1e-12)


def align_output(image: Float[Tensor, "b 3 r r"], batch: Batch, side: int) -> Float[Tensor, "b 1 s s"]:
    """The output's face in the aligned grey view. It shares the driver's camera, so the driver's landmarks align it."""
    axis = (torch.arange(side, dtype=batch.alignments.dtype, device=image.device) + 0.5) / side
    view = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
    matrix, offset = batch.alignments[:, :, :2], batch.alignments[:, None, :, 2]
    grid = torch.linalg.solve(matrix, (view - offset).transpose(1, 2)).transpose(1, 2)
    grid = (grid * 2 - 1).reshape(-1, side, side, 2).to(image)
    grey = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    seen = F.grid_sample(grey, grid, align_corners=False, padding_mode="border")
    mean, deviation = seen.mean((2, 3), keepdim=True), seen.std((2, 3), keepdim=True, unbiased=False)
    return (seen - mean) / (deviation + 8 / 127.5)


class Objective(nn.Module):
    """The loss of one batch: Eqs. 5–7 of the paper and what the recipe adds (docs/training.md)."""

    def __init__(self, model: PlaneDict, settings: TrainingSettings) -> None:
        super().__init__()
        check_together(model.settings, settings)
        self.model, self.settings = model, settings

    def forward(self, batch: Batch, reader: PlaneDict, critic: Critic | None = None) -> Result:
        """The loss of one batch.

        ``critic`` takes images [b, 3, r, r], raw images [b, 3, s, s] and camera labels [b, 25]. ``reader`` reads codes
        off outputs: the averaged model, which moves slowly; with the model itself on both sides constant codes win
        (collapse). Whole images are rendered only where a term needs one.
        """
        s, model = self.settings, self.model
        done = batch.step / s.iterations
        ramp = self.ramp(done)
        identity, source_motion = model.codes(batch.sources)
        own_motion = self.motion(model, batch.drivers, batch.neutrals)
        motion = self.driving(own_motion, source_motion)
        motion_planes = model.motion_planes(motion, self.bases)
        repeated = identity.repeat_interleave(s.drivers, 0)
        planes = model.planes(model.identity_planes(identity).repeat_interleave(s.drivers, 0), motion_planes)
        terms: dict[str, tuple[float, Tensor]] = {"motion_planes": (s.motion_penalty, motion_planes.abs().mean())}
        figures = {"identity_spread": spread(identity), "motion_spread": spread(own_motion)}

        reads = ramp > 0 and (batch.cross or s.weight_dis > 0)
        output = None
        if reads or critic is not None or s.rays is None:
            output = model.render(planes, batch.labels, repeated, motion)
        if not batch.cross:
            terms["reconstruction"] = (s.lambda_recons, self.reconstruction(planes, batch, output, done, figures))
        if reads and output is not None:
            read = self.read(reader, output.image, batch)
            if s.weight_dis:
                terms["disentanglement"] = (ramp * s.weight_dis, self.disentanglement(read, reader, batch))
            if s.weight_contrastive and batch.cross:
                target = self.motion(reader, batch.drivers, batch.neutrals)
                terms["contrastive"] = (ramp * s.weight_contrastive, contrastive_loss(read.motion, target))
            if s.weight_cycle and batch.cross:
                terms["cycle"] = (ramp * s.weight_cycle, self.cycle(output.image, batch, done))
        return self.result(terms, figures, output, batch, critic)

    @property
    def bases(self) -> Tensor | None:
        """What the dictionary's bases scaled are right after a retraction: its parameter. None without a dictionary."""
        return self.model.dictionary.weight if self.model.settings.motion == "dictionary" else None

    @staticmethod
    def result(
        terms: dict[str, tuple[float, Tensor]],
        figures: dict[str, Tensor],
        output: Output | None,
        batch: Batch,
        critic: Critic | None,
    ) -> Result:
        """The weighted sum of ``terms`` (weight, value), the critic's included; figures name them all."""
        if critic is not None and output is not None:
            terms["adversarial"] = (1.0, critic(output.image, output.raw, batch.labels))
        loss = torch.stack([weight * value for weight, value in terms.values() if weight]).sum()
        figures |= {name: value.detach() for name, (_, value) in terms.items()} | {"loss": loss.detach()}
        return Result(loss, figures, None if output is None else (output, batch.labels))

    def ramp(self, done: float) -> float:
        """Share of their weights that losses on read codes have at ``done``: zero before their start, then rising."""
        s = self.settings
        if not s.uses_cross or done < s.dis_start:
            return 0.0
        return min(1.0, (done - s.dis_start) / s.dis_ramp)

    def driving(self, motion: Float[Tensor, "sd m"], sources: Float[Tensor, "s m"] | None) -> Float[Tensor, "sd m"]:
        """What moves the planes: the drivers' codes, fused with their sources' where the model does so."""
        repeated = None if sources is None else sources.repeat_interleave(self.settings.drivers, 0)
        return self.model.driving_code(motion, repeated)

    @staticmethod
    def motion(model: PlaneDict, drivers: Tensor, neutrals: Tensor | None) -> Float[Tensor, "b m"]:
        """ω_m, relative to ``neutrals`` where given."""
        motion = model.motion_code(drivers)
        return motion if neutrals is None else motion - model.motion_code(neutrals)

    def reconstruction(
        self,
        planes: Float[Tensor, "b 3 c r r"],
        batch: Batch,
        output: Output | None,
        done: float,
        figures: dict[str, Tensor] | None = None,
    ) -> Float[Tensor, ""]:
        """L_recons of ``planes`` seen from the batch's cameras against its targets, on whole images or on rays."""
        s = self.settings
        if s.rays is None:
            assert output is not None
            seen, target = output.image.flatten(2), batch.targets.flatten(2)
            mask = grown(batch.regions > 0, s.mask_margin).flatten(1)
            uniform = torch.ones_like(mask)
        else:
            side = self.model.settings.resolution
            pixels, uniform, mask = sample_pixels(batch.regions, s.rays, s.mask_margin, s.eye_rays)
            seen = self.model.render_pixels(planes, batch.labels, pixels, side).features[..., :3].transpose(1, 2)
            target = batch.targets.flatten(2).gather(2, pixels[:, None].expand(-1, 3, -1))
        mask_squared = s.mask_squared if done < s.mask_squared_until else 0.0
        if figures is not None:
            difference = (seen - target).detach()
            figures["l1"] = masked_mean(difference.abs().mean(1), uniform) / 2
            figures["mask_rmse"] = masked_mean(difference.square().mean(1), mask).sqrt() / 2
        return reconstruction_loss(seen, target, mask, uniform, s.lambda_mask, mask_squared, s.squared)

    def read(self, reader: PlaneDict, image: Float[Tensor, "b 3 r r"], batch: Batch) -> Codes:
        """The output's codes; its motion relative to a real neutral frame of the source's person."""
        seen = resized(image, reader.settings.encoder.resolution)
        driver = align_output(image, batch, reader.driver_resolution) if reader.settings.motion_encoder else seen
        return Codes(reader.identity_code(seen), self.motion(reader, driver, batch.source_neutrals))

    def disentanglement(self, read: Codes, reader: PlaneDict, batch: Batch) -> Float[Tensor, ""]:
        """L_dis: the output's codes against those of its source and driver."""
        identity = reader.identity_code(batch.sources).repeat_interleave(self.settings.drivers, 0)
        motion = self.motion(reader, batch.drivers, batch.neutrals)
        return disentanglement_loss(read.identity, identity, read.motion, motion, self.settings.lambda_motion)

    def cycle(self, image: Tensor, batch: Batch, done: float) -> Float[Tensor, ""]:
        """The cross output drives its own driver's person, where the truth is known: the driver's frame.

        (DPE, CVPR 2023; MegaPortraits, ECCV 2022, train on such cycles.) The trained model itself reads the output
        here: a constant code would not draw the driver's frame.
        """
        model = self.model
        assert batch.driver_sources is not None
        identity, source_motion = model.codes(batch.driver_sources)
        motion = model.driving_code(self.read(model, image, batch).motion, source_motion)
        planes = model.planes(model.identity_planes(identity), model.motion_planes(motion, self.bases))
        output = model.render(planes, batch.labels, identity, motion) if self.settings.rays is None else None
        return self.reconstruction(planes, batch, output, done)
