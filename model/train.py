"""Train one model: ``python -m model.train``. Resumes from its last checkpoint; the same seed gives the same run."""

import argparse
import copy
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from model.checkpoints import forget_states, latest_state, save_state, save_weights
from model.data import Batch, PairSampler, open_store
from model.losses import disentanglement_loss, masked_mean, reconstruction_loss
from model.planedict import PlaneDict
from model.settings import ModelSettings, TrainingSettings
from model.training_curves import write_curves
from preprocessing.cli import add_common, load_settings, progress, run_command

log = logging.getLogger("train")


class NonFiniteLoss(Exception):
    """The loss became NaN or infinite; the message names the step and the batch's clips."""


def sample_pixels(masks: Bool[Tensor, "b r r"], count: int) -> tuple[Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """``count`` random pixels per image, the first half uniform, the second in the mask (uniform where it is empty).

    Returns row-major indices and which of them were drawn uniformly.
    """
    flat = masks.flatten(1)
    batch, pixels = flat.shape
    half = count // 2
    everywhere = torch.randint(pixels, (batch, count - half))
    empty = ~flat.any(1, keepdim=True)
    inside = torch.multinomial((flat | empty).float(), half, replacement=True)
    uniform = torch.zeros(batch, count, dtype=torch.bool)
    uniform[:, : count - half] = True
    return torch.cat([everywhere, inside], dim=1), uniform


def grown(masks: Bool[Tensor, "b r r"], margin: float) -> Bool[Tensor, "b r r"]:
    """Masks grown by ``margin`` of the image's side: what surrounds a moving mouth is wrong too when it moves along."""
    pixels = round(margin * masks.shape[-1])
    if not pixels:
        return masks
    return F.max_pool2d(masks[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[:, 0] > 0


class Trainer:
    """One training run: model, averaged copy, optimiser, and the step both losses are taken in."""

    def __init__(
        self, model: ModelSettings, settings: TrainingSettings, sampler: PairSampler, seed: int, origin: str = ""
    ) -> None:
        torch.manual_seed(seed)
        self.settings, self.sampler, self.seed = settings, sampler, seed
        self.model = PlaneDict(model)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        plane_parameters = [self.model.canonical]
        if model.motion == "dictionary":
            plane_parameters.append(self.model.dictionary.weight)
        ids = {id(p) for p in plane_parameters}
        networks = [p for p in self.model.parameters() if id(p) not in ids]
        self.optimizer = torch.optim.Adam(
            [
                {"params": networks, "lr": settings.learning_rate},
                {"params": plane_parameters, "lr": settings.plane_learning_rate},
            ]
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.origin = origin
        self.step = 0
        self.rows: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs; batches and noise are functions of (seed, step) and need no state."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rows": self.rows,
            "origin": self.origin,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.rows = state["step"], state["rows"]

    def dis_weight(self) -> float:
        """Weight of L_dis at this step: zero before its start, then a linear ramp."""
        s = self.settings
        done = self.step / max(1, s.iterations)
        if done < s.dis_start:
            return 0.0
        return s.weight_dis * min(1.0, (done - s.dis_start) / s.dis_ramp)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the step's figures. Self and cross steps alternate 2 : 1 where L_dis is on."""
        s, done = self.settings, self.step / max(1, self.settings.iterations)
        dis_weight = self.dis_weight()
        cross = dis_weight > 0 and self.step % 3 == 2 and self.sampler.can_cross
        batch = self.sampler.batch(self.step, cross)
        torch.manual_seed((self.seed << 32) + self.step)
        self.model.train()

        identity = self.model.identity_code(batch.sources)
        motion = self.model.motion_code(batch.drivers)
        if batch.neutrals is not None:
            motion = motion - self.model.motion_code(batch.neutrals)
        # Right after a retraction the parameter is the scaled bases.
        bases = self.model.dictionary.weight if self.model.settings.motion == "dictionary" else None
        motion_planes = self.model.motion_planes(motion, bases)
        repeated = identity.repeat_interleave(s.drivers, 0)
        identity_planes = self.model.identity_planes(identity).repeat_interleave(s.drivers, 0)
        planes = self.model.planes(identity_planes, motion_planes)

        masks = grown(batch.masks, s.mask_margin)
        figures = {
            "identity_spread": spread(identity),
            "motion_spread": spread(motion),
            "motion_planes": motion_planes.detach().abs().mean().item(),
        }
        loss = s.motion_penalty * motion_planes.abs().mean()
        whole = s.rays is None or dis_weight > 0
        if whole:
            rendered = self.model.render(planes, batch.labels, repeated, motion)
        if not cross:
            if s.rays is None:
                output, target = rendered.image.flatten(2), batch.targets.flatten(2)
                mask = masks.flatten(1)
                uniform = torch.ones_like(mask)
            else:
                pixels, uniform = sample_pixels(masks, s.rays)
                mask = masks.flatten(1).gather(1, pixels)
                side = self.model.settings.resolution
                features = self.model.render_pixels(planes, batch.labels, pixels, side).features
                output = features[..., :3].transpose(1, 2)
                target = batch.targets.flatten(2).gather(2, pixels[:, None].expand(-1, 3, -1))
            mask_squared = s.mask_squared if done < s.mask_squared_until else 0.0
            reconstruction = reconstruction_loss(output, target, mask, uniform, s.lambda_mask, mask_squared, s.squared)
            loss = loss + s.lambda_recons * reconstruction
            difference = (output - target).detach()
            figures["reconstruction"] = reconstruction.item()
            figures["l1"] = masked_mean(difference.abs().mean(1), uniform).item() / 2
            figures["mask_rmse"] = masked_mean(difference.square().mean(1), mask).sqrt().item() / 2
        if dis_weight > 0:
            disentanglement = self.disentanglement(rendered.image, batch)
            loss = loss + dis_weight * disentanglement
            figures["disentanglement"] = disentanglement.item()
        if not torch.isfinite(loss):
            raise NonFiniteLoss(
                f"The loss is {loss.item()} at step {self.step}, in a batch of {sorted(set(batch.clips))}."
            )
        figures["loss"] = loss.item()

        decay = min(1.0, (1 - done) / s.final_decay) if s.final_decay else 1.0
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * decay
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        if self.model.settings.motion == "dictionary":
            self.model.dictionary.retract()
        self.average()
        return figures

    def disentanglement(self, image: Float[Tensor, "b 3 r r"], batch: Batch) -> Tensor:
        """L_dis: the output's codes, read by the averaged encoder, against those of its source and driver.

        A slowly moving copy of E reads both sides; with E itself on both, constant codes win (collapse).
        """
        reader = self.ema
        side = reader.settings.encoder.resolution
        seen = F.interpolate(image, (side, side), mode="bilinear", align_corners=False, antialias=True)
        identity = reader.identity_code(seen)
        driver = align_output(image, batch, reader.driver_resolution) if reader.settings.motion_encoder else seen
        motion, target = reader.motion_code(driver), reader.motion_code(batch.drivers)
        identity_target = reader.identity_code(batch.sources).repeat_interleave(self.settings.drivers, 0)
        return disentanglement_loss(identity, identity_target, motion, target, self.settings.lambda_motion)

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights towards the current ones; buffers are copied."""
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for averaged, current in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            averaged.lerp_(current, 1 - decay)
        for kept, buffer in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)


def spread(codes: Float[Tensor, "b d"]) -> float:
    """Standard deviation over the batch (RMS over dimensions) divided by the RMS: 0 means constant codes."""
    codes = codes.detach()
    return (codes.std(0, unbiased=False).square().mean().sqrt() / codes.square().mean().sqrt().clamp_min(1e-12)).item()


def align_output(image: Float[Tensor, "b 3 r r"], batch: Batch, side: int) -> Float[Tensor, "b 1 s s"]:
    """The output's face in the aligned grey view. It shares the driver's camera, so the driver's landmarks align it."""
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    view = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
    matrix, offset = batch.alignments[:, :, :2], batch.alignments[:, None, :, 2]
    grid = torch.linalg.solve(matrix, (view - offset).transpose(1, 2)).transpose(1, 2)
    grid = (grid * 2 - 1).reshape(-1, side, side, 2).to(image)
    grey = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    seen = F.grid_sample(grey, grid, align_corners=False, padding_mode="border")
    mean, deviation = seen.mean((2, 3), keepdim=True), seen.std((2, 3), keepdim=True, unbiased=False)
    return (seen - mean) / (deviation + 8 / 127.5)


def train(trainer: Trainer, directory: Path, curves: Path, title: str) -> None:
    """Run ``trainer`` to its last iteration, with checkpoints and curves on the way."""
    settings = trainer.settings
    state = latest_state(directory)
    if state is not None and state.get("origin") != trainer.origin:
        log.info("the checkpoints here belong to other settings or data: starting anew")
        forget_states(directory)
    elif state is not None:
        trainer.restore(state)
        log.info("resuming at step %d", trainer.step)
    sums: dict[str, list[float]] = {}
    for _ in progress(range(trainer.step, settings.iterations), title):
        for metric, value in trainer.train_step().items():
            sums.setdefault(metric, []).append(value)
        if trainer.step % settings.log_every == 0 or trainer.step == settings.iterations:
            trainer.rows += [{"step": trainer.step, "metric": m, "value": float(np.mean(v))} for m, v in sums.items()]
            sums = {}
        if trainer.step % settings.checkpoint_every == 0:
            save_state(directory, trainer.step, trainer.state())
    write_curves(trainer.rows, curves, f"{title}: {trainer.step} steps")


def origin(shards: Sequence[Path], model: ModelSettings, settings: TrainingSettings) -> str:
    """What a checkpoint must agree on to be resumed: the settings and the shards' indices (which hold their sha256)."""
    digest = hashlib.sha256((model.model_dump_json() + settings.model_dump_json()).encode())
    for folder in shards:
        for index in sorted(folder.glob("*.json")):
            digest.update(index.read_bytes())
    return digest.hexdigest()


def main(arguments: argparse.Namespace) -> None:
    """Train and export the averaged weights to ``final.safetensors``."""
    model = load_settings(arguments.model, ModelSettings, "model")
    settings = load_settings(arguments.settings, TrainingSettings, "training")
    torch.set_num_threads(settings.threads)
    store = open_store(arguments.shards, "train", model, cached=settings.cache_frames)
    sampler = PairSampler(store, settings, arguments.seed)
    if not store.clips:
        log.warning("No training clip survived: the exported weights are untrained.")
        settings = settings.model_copy(update={"iterations": 0})
    log.info("%d samples of %d people", len(store.clips), len(sampler.people))
    trainer = Trainer(model, settings, sampler, arguments.seed, origin(arguments.shards, model, settings))
    train(trainer, arguments.output, arguments.curves, arguments.method)
    facts = {
        "method": arguments.method,
        "step": str(trainer.step),
        "seed": str(arguments.seed),
        "training": settings.model_dump_json(),
        "clips": str(len(store.clips)),
        "people": str(len(sampler.people)),
    }
    save_weights(arguments.output / "final.safetensors", trainer.ema, facts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.train", description=__doc__)
    p.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="shard directories to train on")
    p.add_argument("--method", required=True, help="the method's name, for logs and the checkpoint's header")
    p.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where checkpoints and final.safetensors go"
    )
    p.add_argument(
        "--curves", type=Path, required=True, metavar="PARQUET", help="training curves; a PNG is drawn beside"
    )
    p.add_argument("--model", metavar="JSON|FILE", help="the model's settings")
    p.add_argument("--seed", type=int, default=0)
    add_common(p)
    return p


if __name__ == "__main__":
    run_command(main, parser())
