"""Checkpoints: the whole state to resume from, and the finished weights as safetensors with their settings."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from model.kinds import PLANEDICT, Kind, kind_of
from model.method import method_of
from model.planedict import PlaneDict
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


class Trained(NamedTuple):
    """A finished network, its kind, and the facts of its file's header."""

    kind: Kind
    network: Any
    facts: dict[str, str]


def save_weights(path: Path, model: nn.Module, facts: dict[str, str], kind: str = PLANEDICT) -> None:
    """Write a network's weights with its kind, its settings and ``facts`` in the header (safetensors)."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    settings: Any = model.settings
    data = save(tensors, metadata={"kind": kind, "model": settings.model_dump_json(), **facts})
    # The library writes the header's keys in no particular order; sorted, equal weights are equal files.
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.write(data[8 + size :])


def load_weights(path: Path) -> tuple[PlaneDict, dict[str, str]]:
    """:func:`load_method` of what needs a PlaneDict; InputError where the file holds a method of another kind."""
    kind, network, facts = load_method(path)
    if kind.name != PLANEDICT:
        raise InputError(f"{path} holds a method of the kind {kind.name}; this needs one of the kind {PLANEDICT}.")
    return network, facts


def load_method(path: Path) -> Trained:
    """Build the network a file of :func:`save_weights` describes, in evaluation mode.

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
    kind = kind_of(facts.pop("kind", PLANEDICT))
    model = method_of(kind.name).build(validated(kind.model, settings, f"{path}: model"))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the model it describes: {' '.join(str(error).split())}.") from None
    return Trained(kind, model.eval().requires_grad_(False), facts)
