"""What a CUDA GPU does at the paper's sizes: images/s, memory, bases that fit, renderer, frames/s of animation.

    python benchmarks/gpu.py --shards DIR [DIR ...] --output docs/gpu [--minutes 20]

Trains ``workflow/config/gpu.yaml``'s model for the given time on prepared shards, measures, and writes a table
(numbers.md) and pictures (pictures.png: sources, drivers and outputs of clips that may be shown). Needs a GPU;
``--device cpu --config FILE`` tries the script itself at a small size.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks.memory import GIB, IMAGES, peak
from benchmarks.renderer import SIZES, reference
from evaluation.recipe import contact_sheet, pictures
from model.animator import Animator
from model.cameras import split_label, view_labels
from model.data import open_store
from model.planedict import PlaneDict
from model.planedict_method import METHOD
from model.rays import sample_rays
from model.renderer import render_rays
from model.training.trainer import Trainer, launch
from preprocessing.files import atomic
from preprocessing.reader import ShardReader
from workflow.settings import RunSettings, read

ROOT = Path(__file__).parent.parent
BASES = (5, 10, 20, 23, 64, 128, 256)
LIMIT_GB = 32
"""The memory of a GPU like the paper's (V100, 32 GB, which are GiB)."""


def peak_gb(device: torch.device) -> float:
    """Highest memory since the last reset, GiB; NaN without a GPU."""
    return torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else float("nan")


def gigabytes(value: float) -> str:
    """A number of GiB; without a GPU, or where memory ended, none."""
    return "–" if value != value else f"{value:.1f} GiB"


def wait(device: torch.device) -> float:
    """The time, after all work was done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def trained(run: RunSettings, shards: list[Path], minutes: float) -> tuple[Trainer, float, float]:
    """Train for ``minutes``; returns the trainer, images/s and peak GiB."""
    model, settings = run.model_of("planedict"), run.training_of("planedict")
    fabric = launch(settings)
    store = open_store(shards, "train", model.frames, cached=settings.cache_frames)
    trainer = Trainer(fabric, METHOD, model, settings, METHOD.sampler(store, model, settings, run.seed), run.seed)
    stream, began = trainer.batches(), wait(fabric.device)
    while wait(fabric.device) - began < 60 * minutes and trainer.step < settings.iterations:
        trainer.train_step(stream)
    images = trainer.step * settings.sources * settings.drivers * settings.accumulate
    return trainer, images / (wait(fabric.device) - began), peak_gb(fabric.device)


def renderer_ratio(device: torch.device, backward: bool, size: str, repeats: int = 10) -> float:
    """Time of the EG3D-style renderer over ours, medians."""
    batch, side, channels, resolution, decoder, config = SIZES[size]
    decoder = decoder.to(device)
    planes = torch.randn(batch, 3, channels, resolution, resolution, device=device, requires_grad=backward)
    rays = sample_rays(*split_label(view_labels(torch.zeros(batch), torch.zeros(batch)).to(device)), side)
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    for name, renderer in (("ours", render_rays), ("reference", reference)) * (repeats + 2):
        began = wait(device)
        with torch.set_grad_enabled(backward):
            features = renderer(planes, decoder, *rays, config).features
            if backward:
                torch.autograd.grad(features.sum(), planes)
        times[name].append(wait(device) - began)
    ours, theirs = (sorted(times[name][2:])[repeats // 2] for name in ("ours", "reference"))
    return theirs / ours


def frames_per_second(model: PlaneDict, device: torch.device, count: int) -> float:
    """Driving frames encoded and rendered per second, the source's work done once before."""
    animator, settings = Animator(model.to(device)), model.settings
    side = settings.encoder.resolution
    source = animator.source(torch.rand(1, 3, side, side, device=device))
    channels = 1 if settings.motion_encoder else 3
    drivers = torch.rand(count, channels, animator.model.driver_resolution, animator.model.driver_resolution)
    labels = view_labels(torch.zeros(count), torch.zeros(count)).to(device)
    for _ in range(2):
        began = wait(device)
        motion = animator.motion(drivers.to(device), drivers[:1].to(device))
        animator.drive(source, motion, labels)
        seconds = wait(device) - began
    return count / seconds


def main() -> None:
    """Measure everything and write the page's table and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="numbers.md and pictures.png go here")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clips", nargs="+", default=["franck", "cap12_edit", "cap13_edit2"], help="clips to be shown")
    parser.add_argument("--config", type=Path, default=ROOT / "workflow/config/gpu.yaml")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--frames", type=int, default=200, help="frames of the animation that is timed")
    parser.add_argument("--renderer", default="paper", choices=tuple(SIZES), help="size of the renderer's benchmark")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("There is no CUDA GPU here: --device cpu with a small --config tries the script itself.")
    run, device = read(arguments.config), torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    torch.set_num_threads(1)
    trainer, rate, memory = trained(run, arguments.shards, arguments.minutes)
    settings, model = trainer.settings, trainer.ema
    fits = {n: peak(model.settings.model_copy(update={"num_bases": n}), settings, device) for n in BASES}
    within = [count for count, peak in fits.items() if peak <= LIMIT_GB]
    pairs, side = settings.sources * settings.drivers, model.settings.resolution
    faster = [f"{renderer_ratio(device, grad, arguments.renderer):.1f} × as fast" for grad in (False, True)]
    rows = {
        "device": f"{name}, torch {torch.__version__}, {settings.precision}",
        f"training, {pairs} images a step": f"{rate:.1f} images/s, {trainer.step:,} steps",
        "peak memory of the training": gigabytes(memory),
        **{f"peak memory, {n} bases, {IMAGES} images": gigabytes(peak) for n, peak in fits.items()},
        f"bases that fit in {LIMIT_GB} GB": str(max(within)) if within else "not measured",
        "renderer, forward, against EG3D's way": faster[0],
        "renderer, with backward": faster[1],
        "animation": f"{frames_per_second(model, device, arguments.frames):.1f} frames/s at {side}²",
    }
    with atomic(arguments.output / "numbers.md") as temporary:
        lines = ["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows.items())]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = pictures(model.to("cpu"), ShardReader(arguments.shards), arguments.clips)
    contact_sheet([("output", shown)], arguments.output / "pictures.png", "")
    print((arguments.output / "numbers.md").read_text())


if __name__ == "__main__":
    main()
