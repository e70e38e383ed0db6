"""The authors' own weights, under their public names: read, compared key by key with our networks, and loaded.

A checkpoint of theirs is a file of ``torch.save`` that holds ``generator`` and ``kp_detector`` and often a
discriminator and optimisers, which nothing here needs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.baselines.firstorder.blocks import AntiAlias
from model.baselines.firstorder.method import FirstOrderMethod
from model.baselines.firstorder.network import FirstOrderNetwork
from model.kinds import kinds
from model.method import method_of
from preprocessing.cli import InputError
from preprocessing.weights import load

PARTS = ("generator", "kp_detector")
"""What of a checkpoint is needed: these keys' state dicts."""
NAMED = 3
"""Keys that a sentence names of each sort of difference."""

State = dict[str, Tensor]
"""Weights of all parts: ``generator.<key>`` and ``kp_detector.<key>``."""


class Shapes(dict[str, tuple[int, ...]]):
    """The shapes of a state dict; InputError names what it lacks."""

    def __init__(self, state: State, path: Path) -> None:
        super().__init__({key: tuple(value.shape) for key, value in state.items()})
        self.path = path

    def __missing__(self, key: str) -> tuple[int, ...]:
        raise InputError(f"{self.path} lacks the weights {key}.")


def methods() -> dict[str, FirstOrderMethod]:
    """The authors' networks that there are, each with the method that builds it."""
    found = [method_of(kind.name) for kind in kinds().values() if kind.official]
    return {name: method for method in found if isinstance(method, FirstOrderMethod) for name in method.official}


def read(path: Path) -> State:
    """The weights in a checkpoint of the authors, without the ``module.`` of parallel training.

    No pickled code runs. InputError where the file is damaged, holds code or lacks a part.
    """
    checkpoint, state = load(path), {}
    for part in PARTS:
        weights = checkpoint.get(part)
        if not isinstance(weights, Mapping):
            raise InputError(f"{path} holds no state dict '{part}', only {_some(map(str, checkpoint))}.")
        for key, value in weights.items():
            if not isinstance(value, Tensor):
                raise InputError(f"{path}: '{part}.{key}' is {type(value).__name__}, no tensor.")
            state[f"{part}.{str(key).removeprefix('module.')}"] = value
    return state


def put(network: FirstOrderNetwork, state: State, path: Path, name: str) -> None:
    """Load ``state`` of ``path`` into ``network``, the authors' ``name``; numbers become the network's own type.

    What follows from the settings or counts training batches may be absent. InputError says which keys differ.
    """
    ours = {key: value for key, value in network.state_dict().items() if key.partition(".")[0] in PARTS}
    spare = _spare(network)
    missing = [key for key in ours if key not in state and key not in spare]
    unexpected = [key for key in state if key not in ours]
    reshaped = [
        f"{key} {list(state[key].shape)} instead of {list(ours[key].shape)}"
        for key in ours
        if key in state and state[key].shape != ours[key].shape
    ]
    said = [
        f"{len(keys)} {'is' if len(keys) == 1 else 'are'} {problem} ({_some(keys)})"
        for keys, problem in ((missing, "missing"), (unexpected, "unexpected"), (reshaped, "of another shape"))
        if keys
    ]
    if said:
        others = _resembles(state, path) if missing or unexpected else ""
        hint = others or _keypoints(state, ours)
        raise InputError(f"{path} does not fit {name} as configured: of its keys {', '.join(said)}{hint}.")
    if wild := [key for key, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"{path} holds numbers that are not finite: {_some(wild)}.")
    network.load_state_dict(state, strict=False)


def _spare(network: FirstOrderNetwork) -> set[str]:
    """Keys that weights need not have: kernels that follow from the settings, and counts of training batches."""
    kernels = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, AntiAlias)}
    return kernels | {key for key in network.state_dict() if key.endswith("num_batches_tracked")}


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join([*keys[:NAMED], "…"] if len(keys) > NAMED else keys) or "nothing"


def _resembles(state: State, path: Path) -> str:
    """Which network of the authors' sizes has just these keys, as the rest of a sentence."""
    for name, method in methods().items():
        try:
            params = method.kind.model().model_dump()
            with torch.device("meta"):
                network = method.build(method.official_settings(name, params, Shapes(state, path)))
        except InputError:
            continue
        keys = {key for key in network.state_dict() if key.partition(".")[0] in PARTS}
        if keys - _spare(network) <= set(state) <= keys:
            return f"; these are the keys of {name}"
    return ""


def _keypoints(state: State, ours: Mapping[str, Any]) -> str:
    """How many keypoints each has, where that differs, as the rest of a sentence."""
    key = "kp_detector.kp.bias"
    if key not in state or state[key].shape == ours[key].shape:
        return ""
    return f"; it has {state[key].numel()} keypoints, common_params.num_kp is {ours[key].numel()}"
