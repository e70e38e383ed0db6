"""Train one model: ``python -m model.train``. Resumes from its last checkpoint; the same seed gives the same run.

With ``--start`` it fine-tunes a trained model adversarially. Several GPUs: ``training.devices``, or torchrun.
"""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from model.card import write_card
from model.checkpoints import load_method, save_weights
from model.data import open_store
from model.kinds import PLANEDICT, LoopSettings, MethodModel, kind_of
from model.method import method_of
from model.training.trainer import Trainer, launch, train
from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.files import sha256

log = logging.getLogger("train")

PACE = {"threads", "workers", "cache_frames", "checkpoint_every"}
"""Settings that change how fast a training runs, not what comes out."""


def origin(
    shards: Sequence[Path], model: MethodModel, settings: LoopSettings, seed: int, start: Path | None = None
) -> str:
    """What a checkpoint must agree on to be resumed: settings, seed, shards (their indices hold sha256), start."""
    digest = hashlib.sha256((model.model_dump_json() + settings.model_dump_json(exclude=PACE) + str(seed)).encode())
    for folder in shards:
        for index in sorted(folder.glob("[!.]*.json")):
            digest.update(index.read_bytes())
    if start is not None:
        digest.update(sha256(start).encode())
    return digest.hexdigest()


def load_start(path: Path, settings: MethodModel) -> tuple[nn.Module, dict[str, str]]:
    """The trained model that a fine-tune starts from, and its facts; it must be of the same settings."""
    _, model, facts = load_method(path)
    if model.settings != settings:
        raise InputError(f"{path} holds a model of other settings than the one to fine-tune.")
    return model, facts


def main(arguments: argparse.Namespace) -> None:
    """Train and export the averaged weights to ``final.safetensors``."""
    kind, method = kind_of(arguments.kind), method_of(arguments.kind)
    model = load_settings(arguments.model, kind.model, "model")
    settings = load_settings(arguments.settings, kind.training, "training").stage(arguments.start is not None)
    kind.check(model, settings)
    start, before = load_start(arguments.start, model) if arguments.start is not None else (None, {})
    torch.set_num_threads(settings.threads)
    store = open_store(arguments.shards, "train", model.frames, cached=settings.cache_frames)
    sampler = method.sampler(store, model, settings, arguments.seed)
    if not sampler.people:
        log.warning("No training clip survived: the exported weights are untrained.")
        settings = settings.model_copy(update={"iterations": 0})
    log.info("%d samples of %d people", len(store.clips), len(sampler.people))
    fabric = launch(settings)
    belongs = origin(arguments.shards, model, settings, arguments.seed, arguments.start)
    trainer = Trainer(fabric, method, model, settings, sampler, arguments.seed, belongs, start)
    train(trainer, arguments.output, arguments.curves, arguments.method, arguments.tensorboard)
    if not fabric.is_global_zero:
        return
    facts = {
        "method": arguments.method,
        "claim": kind.claim(model, settings),
        "step": str(trainer.step),
        "seed": str(arguments.seed),
        "training": settings.model_dump_json(),
        "clips": str(len(store.clips)),
        "people": str(len(sampler.people)),
    }
    if arguments.start is not None:
        facts |= {f"pretrained_{key}": value for key, value in before.items() if key in ("step", "training")}
    save_weights(arguments.output / "final.safetensors", trainer.ema, facts, kind.name)
    write_card(arguments.output / "card.md", kind, model, facts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.train", description=__doc__)
    p.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR", help="shard directories to train on")
    p.add_argument("--method", required=True, help="the method's name, for logs and the checkpoint's header")
    p.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where checkpoints and final.safetensors go"
    )
    p.add_argument("--start", type=Path, metavar="FILE", help="trained weights: run the adversarial fine-tune of them")
    p.add_argument(
        "--curves", type=Path, required=True, metavar="PARQUET", help="training curves; a PNG is drawn beside"
    )
    p.add_argument("--tensorboard", type=Path, metavar="DIR", help="also write the curves for TensorBoard")
    p.add_argument("--kind", default=PLANEDICT, help=f"kind of the method ({PLANEDICT} by default)")
    p.add_argument("--model", metavar="JSON|FILE", help="the model's settings")
    p.add_argument("--seed", type=int, default=0)
    add_common(p)
    return p


if __name__ == "__main__":
    run_command(main, parser())
