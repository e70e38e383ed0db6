"""What training at the paper's size costs: floating-point operations of one step per image, counted, not timed.

Counted on fake tensors, so that nothing is computed: matrix products and convolutions of the forward and
backward pass of one self pair and one cross pair of ``workflow/config/paper.yaml``. ``--time`` also takes real steps.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from model.planedict import PlaneDict
from model.settings import ModelSettings, TrainingSettings
from model.training.objective import Objective
from model.training.pairs import Batch
from workflow.settings import read

ROOT = Path(__file__).parent.parent


def synthetic_batch(model: ModelSettings, images: int, cross: bool, device: str = "cpu") -> Batch:
    """One pair per row: noise, and the frontal camera."""
    side = model.encoder.resolution
    faces = torch.rand(images, 3, side, side, device=device)
    drivers = faces
    if model.motion_encoder is not None:
        drivers = torch.rand(images, 1, *(model.motion_encoder.resolution,) * 2, device=device)
    neutrals = drivers if model.relative_codes else None
    camera = torch.tensor([1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1, 4.26, 0, 0.5, 0, 4.26, 0.5, 0, 0, 1.0])
    return Batch(
        sources=faces,
        drivers=drivers,
        neutrals=neutrals,
        source_neutrals=neutrals,
        driver_sources=faces if cross else None,
        labels=camera.to(device).expand(images, 25),
        targets=torch.zeros(images, 3, model.resolution, model.resolution, device=device),
        regions=torch.ones(images, model.resolution, model.resolution, dtype=torch.uint8, device=device),
        alignments=torch.eye(2, 3, device=device).expand(images, 2, 3),
        cross=cross,
        step=200_000,
        clips=["synthetic"] * images,
    )


def step(objective: Objective, batch: Batch) -> None:
    """Forward and backward of one batch."""
    objective(batch, objective.model).loss.backward()


def operations(model: ModelSettings, training: TrainingSettings, cross: bool) -> float:
    """Floating-point operations (a multiply-add is two) of one image's step."""
    objective = Objective(PlaneDict(model), training)
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        step(objective, synthetic_batch(model, 1, cross))
    return float(counter.get_total_flops())


def main() -> None:
    """Print the operations per image and what they mean in images per second and days."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", action="store_true", help="also time one real step of one image on one CPU thread")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = read(ROOT / "workflow/config/paper.yaml")
    model, training = run.model_of("planedict"), run.training_of("planedict")
    counts = {name: operations(model, training, cross) for name, cross in (("self", False), ("cross", True))}
    mean = (2 * counts["self"] + counts["cross"]) / 3
    for name, count in (*counts.items(), ("mean, 2 : 1", mean)):
        print(f"{name}: {count / 1e9:,.0f} GFLOP an image")
    images = training.iterations * training.sources * training.devices
    print(f"{training.iterations:,} steps of {training.sources} images on {training.devices} GPUs: {images:,} images")
    for sustained in (5, 10, 20, 50):
        rate = training.devices * sustained * 1e12 / mean
        print(f"at {sustained} TFLOP/s sustained per GPU: {rate:,.0f} images/s, {images / rate / 86400:.1f} days")
    if arguments.time:
        objective = Objective(PlaneDict(model), training)
        batch = synthetic_batch(model, 1, False)
        step(objective, batch)
        began = time.perf_counter()
        step(objective, batch)
        seconds = time.perf_counter() - began
        print(f"one CPU thread: {seconds:.1f} s an image, {counts['self'] / seconds / 1e9:,.0f} GFLOP/s")


if __name__ == "__main__":
    main()
