"""The training loop: one optimiser step after another, on one device or many, resumable at every checkpoint."""

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_fabric.strategies import DDPStrategy
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from model.checkpoints import forget_states, latest_state, save_state
from model.kinds import LoopSettings, MethodModel
from model.method import Method, Sampler, TrainingBatch
from model.training.curves import write_curves
from model.training.finite import check_finite
from model.training.pairs import batches
from preprocessing.cli import InputError, progress

log = logging.getLogger("train")


class Autocast(MixedPrecision):
    """bfloat16 where torch's autocast has it, and batches as they are: Fabric would round cameras and targets."""

    def convert_input(self, data: Any) -> Any:
        return data


def launch(settings: LoopSettings) -> Fabric:
    """The devices the settings ask for, started: GPUs where there are any, else CPU processes.

    Under torchrun or Slurm this process is one of theirs; otherwise the others are started here.

    Raises:
        InputError: fewer GPUs than asked for, or another number of processes was started from outside.
    """
    many, found = settings.devices * settings.nodes > 1, torch.cuda.device_count()
    if 0 < found < settings.devices:
        raise InputError(f"training: 'devices' = {settings.devices}, but there are only {found} GPUs here.")
    # Noise strengths and, in some steps, whole networks get no gradient; buckets that are views save a copy of it.
    strategy = DDPStrategy(find_unused_parameters=True, gradient_as_bucket_view=True, broadcast_buffers=False)
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    fabric = Fabric(
        accelerator=accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        plugins=Autocast("bf16-mixed", accelerator) if settings.precision == "bf16-mixed" else None,
        strategy=strategy if many else "auto",
    )
    fabric.launch()
    wanted = settings.devices * settings.nodes
    if fabric.world_size != wanted:
        raise InputError(f"training: 'devices' × 'nodes' = {wanted}, but {fabric.world_size} processes were started.")
    return fabric


class Stream(NamedTuple):
    """What one device trains on: pairs, and real images where there is an adversary."""

    pairs: Iterator[TrainingBatch]
    real: Iterator[Any] | None


class Trainer:
    """One training run of one method: model, averaged copy, optimiser, and the step that moves them."""

    def __init__(
        self,
        fabric: Fabric,
        method: Method,
        model: MethodModel,
        settings: LoopSettings,
        sampler: Sampler,
        seed: int,
        origin: str = "",
        start: nn.Module | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.fabric, self.method, self.settings, self.sampler = fabric, method, settings, sampler
        self.seed, self.origin = seed, origin
        self.model = method.build(model)
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        objective = method.objective(self.model, settings)  # may fill what is not trained, such as a frozen network
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False).to(fabric.device)
        groups = method.groups(self.model, settings)
        self.rates = [group["lr"] for group in groups]
        if settings.compile:
            method.compile(self.model)
        optimizer = torch.optim.Adam(groups, betas=settings.adam_betas, fused=True)
        self.objective, self.optimizer = fabric.setup(objective, optimizer)
        self.adversary = method.adversary(fabric, model, settings, seed)
        self.step = 0
        self.rows: list[dict[str, Any]] = []
        self.recent: dict[str, list[torch.Tensor]] = {}

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs; batches and noise are functions of (seed, step, device) and need no state."""
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rows": self.rows,
            "recent": self.recent,
            "origin": self.origin,
            "adversary": self.adversary.state() if self.adversary else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.rows = state["step"], state["rows"]
        self.recent = {name: [v.to(self.fabric.device) for v in values] for name, values in state["recent"].items()}
        if self.adversary:
            self.adversary.restore(state["adversary"])

    @property
    def done(self) -> float:
        """Share of the training that is done, 0–1."""
        return self.step / max(1, self.settings.iterations)

    def batches(self) -> Stream:
        """This device's batches from the present step on."""
        s = self.settings
        pairs = batches(self.sampler, self.step, self.fabric.global_rank, self.fabric.world_size)
        if self.adversary is None:
            return Stream(pairs, None)
        parts = (self.step * s.accumulate, s.iterations * s.accumulate)
        return Stream(pairs, self.adversary.batches(*parts, s.images, s.workers))

    def train_step(self, stream: Stream) -> dict[str, torch.Tensor]:
        """One optimiser step on the next batches of ``stream``; returns the step's figures, of this device."""
        s, critic = self.settings, self.adversary.critic if self.adversary else None
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * s.decay(self.done)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        judged: list[Any] = []
        for micro in range(s.accumulate):
            batch = next(stream.pairs).to(self.fabric.device)
            self.reseed(micro)
            with self.fabric.no_backward_sync(self.objective, enabled=micro < s.accumulate - 1):
                result = self.objective(batch, self.ema, critic)
                check_finite(self.fabric, result.loss, f"the loss at step {self.step}", batch.clips)
                self.fabric.backward(result.loss / s.accumulate)
            if critic is not None:
                judged.append(result.judged)
        self.optimizer.step()
        figures: dict[str, torch.Tensor] = result.figures
        if self.adversary is not None and stream.real is not None:
            figures |= self.adversary.train_step(self.step, judged, stream.real)
        self.step += 1
        self.method.stepped(self.model)
        self.average()
        return figures

    def reseed(self, micro: int) -> None:
        """Noise as a function of (seed, step, device, micro-batch)."""
        part = micro * self.fabric.world_size + self.fabric.global_rank
        words = np.random.SeedSequence([self.seed, self.step, part]).generate_state(2)
        torch.manual_seed(int(words[0]) << 32 | int(words[1]))

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights towards the current ones; buffers are copied, from the first device's."""
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for averaged, current in zip(self.ema.parameters(), self.model.parameters(), strict=True):
            averaged.lerp_(current, 1 - decay)
        for kept, buffer in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            if self.fabric.world_size > 1:
                torch.distributed.broadcast(buffer, 0)
            kept.copy_(buffer)


def resume(trainer: Trainer, directory: Path) -> None:
    """Continue the checkpoint in ``directory``, if it is one of the same settings and data; else remove it."""
    state = latest_state(directory)
    if state is None:
        return
    if state.get("origin") == trainer.origin:
        trainer.restore(state)
        log.info("resuming at step %d", trainer.step)
        return
    log.info("the checkpoints here belong to other settings or data: starting anew")
    trainer.fabric.barrier()
    if trainer.fabric.is_global_zero:
        forget_states(directory)


def train(trainer: Trainer, directory: Path, curves: Path, title: str, events: Path | None = None) -> None:
    """Run ``trainer`` to its last iteration, with checkpoints and curves on the way.

    ``events``: a folder for TensorBoard. A checkpoint in ``directory`` of the same settings and data is continued.
    """
    settings, fabric = trainer.settings, trainer.fabric
    resume(trainer, directory)
    fabric.barrier()
    writer = SummaryWriter(events, purge_step=trainer.step + 1) if events and fabric.is_global_zero else None
    stream = trainer.batches()
    steps = range(trainer.step, settings.iterations)
    for _ in progress(steps, title) if fabric.is_global_zero else steps:
        for metric, value in trainer.train_step(stream).items():
            trainer.recent.setdefault(metric, []).append(value)
        if trainer.step % settings.log_every == 0 or trainer.step == settings.iterations:
            for metric, values in trainer.recent.items():
                mean = torch.stack(values).double().mean().item()
                trainer.rows.append({"step": trainer.step, "metric": metric, "value": mean})
                if writer is not None:
                    writer.add_scalar(metric, mean, trainer.step)
            trainer.recent = {}
        if trainer.step % settings.checkpoint_every == 0 and fabric.is_global_zero:
            save_state(directory, trainer.step, trainer.state())
    if writer is not None:
        writer.close()
    if fabric.is_global_zero:
        write_curves(trainer.rows, curves, f"{title}: {trainer.step} steps")
    fabric.barrier()
