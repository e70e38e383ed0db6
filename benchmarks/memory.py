"""Memory of a training step of the paper's model, four images per device, by number of bases.

``python benchmarks/memory.py [BASES …]``. Parameters, gradients, Adam's state and the averaged copy are counted;
activations are what autograd keeps for the backward pass, from a step on the meta device (shapes without values,
PyTorch's operators as on a GPU, float32), with the rays taken ``rays_at_once`` and all together. On a CUDA device a
real step follows, and its peak is measured.
"""

import contextlib
import sys
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks.cost import step as training_step
from benchmarks.cost import synthetic_batch
from model.cameras import view_labels
from model.plane_dictionary import PlaneDictionary
from model.planedict import PlaneDict
from model.settings import ModelSettings, TrainingSettings
from model.training.objective import Objective
from workflow.settings import read

IMAGES = 4
GIB = 2**30
CONFIG = Path(__file__).parent.parent / "workflow/config/paper.yaml"


def step(model: PlaneDict, device: str) -> Tensor:
    """The loss of one step: encode source and driver, add the planes, render, super-resolve."""
    s = model.settings
    images = torch.zeros(IMAGES, 3, s.encoder.resolution, s.encoder.resolution, device=device)
    labels = view_labels(torch.zeros(IMAGES), torch.zeros(IMAGES)).to(device)
    identity, motion = model.identity_code(images), model.motion_code(images)
    deformed = model.motion_planes(motion, model.dictionary.weight)
    planes = model.planes(model.identity_planes(identity), deformed)
    return model.render(planes, labels, identity, motion).image.abs().mean()


def kept(settings: ModelSettings) -> tuple[int, int]:
    """Bytes of the parameters, and of what a step keeps for its backward pass besides them."""
    # The meta device knows no values to orthonormalise, and no mixed precision to leave.
    with torch.device("meta"), patch.object(PlaneDictionary, "retract"):
        model = PlaneDict(settings).train()
    parameters = {p.untyped_storage()._cdata: p for p in model.parameters()}
    storages: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    no_autocast = patch.object(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    with no_autocast, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step(model, "meta")
    sizes = {key: tensor.untyped_storage().nbytes() for key, tensor in storages.items() if key not in parameters}
    return sum(p.nbytes for p in parameters.values()), sum(sizes.values())


def peak(settings: ModelSettings, training: TrainingSettings, device: torch.device) -> float:
    """GiB that a step of training takes on a GPU at most, with gradients, Adam, averaging and retraction.

    NaN without a GPU (the steps are taken all the same), or where its memory ends.
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        objective = Objective(PlaneDict(settings), training.model_copy(update={"drivers": 1})).to(device)
        optimizer = torch.optim.Adam(objective.parameters(), fused=True)
        averaged = [p.detach().clone() for p in objective.parameters()]
        batch = synthetic_batch(settings, IMAGES, False, str(device))
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bf16-mixed"):
                training_step(objective, batch)
            optimizer.step()
            objective.model.dictionary.retract()
            torch._foreach_lerp_(averaged, [p.detach() for p in objective.parameters()], 0.001)
    except torch.cuda.OutOfMemoryError:
        return float("nan")
    return torch.cuda.max_memory_allocated(device) / GIB if cuda else float("nan")


def main(*counts: str) -> None:
    """One row per number of bases; GiB."""
    run = read(CONFIG)
    paper, training = run.model, run.training
    print("GiB; the sum is that of all but the last column, without temporaries")
    print("bases  parameters  gradients   Adam  average  activations    sum  (activations, all rays together)")
    for count in counts or ("20", "23", "64", "128"):
        settings = paper.model_copy(update={"num_bases": int(count)})
        parameters, activations = (x / GIB for x in kept(settings))
        total = 5 * parameters + activations
        print(f"{count:>5}  {parameters:10.2f}  {parameters:9.2f}  {2 * parameters:5.2f}", end="")
        together = settings.model_copy(update={"render": settings.render.model_copy(update={"rays_at_once": None})})
        print(f"  {parameters:7.2f}  {activations:11.2f}  {total:5.2f}  ({kept(together)[1] / GIB:.2f})")
        if torch.cuda.is_available():
            found = peak(settings, training, torch.device("cuda"))
            print(f"       peak on {torch.cuda.get_device_name()}: {found:.2f} GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
