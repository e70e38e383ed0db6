"""Checkpoints: the whole state to resume from, and the finished weights as safetensors with their settings."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from model.planedict import PlaneDict
from model.settings import ModelSettings
from preprocessing.cli import InputError, validated
from preprocessing.files import atomic

KEPT = 2


def save_state(directory: Path, step: int, state: dict[str, Any]) -> None:
    """Write ``{step}.pt`` atomically, then remove all but the newest two."""
    with atomic(directory / f"{step:06d}.pt") as temporary:
        torch.save(state, temporary)
    for old in sorted(directory.glob("*.pt"))[:-KEPT]:
        old.unlink()


def latest_state(directory: Path) -> dict[str, Any] | None:
    """The newest readable state, on the CPU, or None; a damaged newest file gives way to the one before."""
    for path in sorted(directory.glob("*.pt"), reverse=True):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds for a damaged archive
            continue
    return None


def forget_states(directory: Path) -> None:
    """Remove the states of a run that does not continue."""
    for path in directory.glob("*.pt"):
        path.unlink()


def save_weights(path: Path, model: PlaneDict, facts: dict[str, str]) -> None:
    """Write the model's weights with its settings and ``facts`` in the header (safetensors)."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    data = save(tensors, metadata={"model": model.settings.model_dump_json(), **facts})
    # The library writes the header's keys in no particular order; sorted, equal weights are equal files.
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.write(data[8 + size :])


def load_weights(path: Path) -> tuple[PlaneDict, dict[str, str]]:
    """Build the model a file of :func:`save_weights` describes; returns it in evaluation mode, and the header's facts.

    Raises InputError with one sentence for a file that is missing, damaged or not ours.
    """
    try:
        with safe_open(path, "pt") as stream:
            facts = dict(stream.metadata() or {})
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read the checkpoint {path}: {error}.") from None
    if "model" not in facts:
        raise InputError(f"{path} is a safetensors file, but not a checkpoint of this project: it names no model.")
    try:
        settings = json.loads(facts.pop("model"))
    except ValueError:
        raise InputError(f"{path} is not a checkpoint of this project: the model in its header is no JSON.") from None
    model = PlaneDict(validated(ModelSettings, settings, f"{path}: model"))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the model it describes: {' '.join(str(error).split())}.") from None
    return model.eval().requires_grad_(False), facts
