"""Our networks with given weights on given pictures, to be compared with what the authors' code makes of the same.

``python -m model.baselines.check`` takes the authors' configuration and key names, so any of their checkpoints or
random weights of any width will do (docs/baselines.md).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from model.baselines.firstorder.network import FirstOrderNetwork, Generated, View
from model.baselines.official import PARTS, Shapes, State, methods, put
from preprocessing.cli import InputError, add_common, read_mapping, run_command
from preprocessing.files import atomic

BLOCKS = ("common_params", "kp_detector_params", "generator_params", "discriminator_params")
CHANNELS = "kp_num_channels"
"""DaGAN's key for what keypoints are detected in; its authors' files and command lines have it in several places."""
TOLERANCE = 1e-3
"""How far pictures may leave [0, 1]."""


def model_params(path: Path) -> dict[str, Any]:
    """The authors' ``model_params`` of a YAML file, whose other blocks do not matter here.

    Raises InputError where it holds none.
    """
    values = read_mapping(path)
    given = values.get("model_params", {key: values[key] for key in BLOCKS if key in values})
    if not isinstance(given, dict) or not given:
        raise InputError(f"{path} holds no 'model_params'.")
    # No discriminator is run, whatever is said of one.
    used = {key: value for key, value in given.items() if key != "discriminator_params"}
    params = {key: dict(value) if isinstance(value, dict) else value for key, value in used.items()}
    places = [values, params, params.get("common_params"), params.get("kp_detector_params")]
    for place in places:
        if isinstance(place, dict) and CHANNELS in place:
            params[CHANNELS] = place[CHANNELS]
            if place is not params:
                del place[CHANNELS]
    return params


def tensors(path: Path, prefix: str) -> State:
    """The arrays of an ``.npz`` file whose names begin with ``prefix``, without it; all else is left unread.

    Floating-point numbers become float32. InputError where it cannot be read or holds something else than numbers.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name.startswith(prefix)}
    except Exception as error:  # numpy and zipfile raise many kinds for what is no archive of arrays
        raise InputError(f"Cannot read arrays from {path}: {' '.join(str(error).split())[:200]}.") from None
    state = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise InputError(f"{path}: '{name}' holds {array.dtype}, no numbers.")
        kind = np.float32 if array.dtype.kind == "f" else np.int64
        state[name.removeprefix(prefix)] = torch.from_numpy(array.astype(kind))
    return state


def picture(inputs: State, path: Path, name: str, like: tuple[int, ...]) -> Float[Tensor, "b c h w"]:
    """The pictures in.``name`` [b, c, h, w] in [0, 1]; InputError where they are none of the shape ``like``.

    A size of −1 in ``like`` may be any.
    """
    if name not in inputs:
        raise InputError(f"{path} lacks 'in.{name}'.")
    given = inputs[name]
    fits = given.ndim == 4 and all(want in (-1, size) for size, want in zip(given.shape, like, strict=True))
    if not fits or not given.numel():
        wanted = ", ".join("any" if size < 0 else str(size) for size in like)
        raise InputError(f"{path}: 'in.{name}' has the shape {list(given.shape)} instead of [{wanted}].")
    # Not a number is no number in the range either.
    if not given.is_floating_point() or not (given.min() >= -TOLERANCE and given.max() <= 1 + TOLERANCE):
        raise InputError(f"{path}: 'in.{name}' must hold floating-point numbers in [0, 1].")
    return given


def views(network: FirstOrderNetwork, inputs: State, path: Path) -> tuple[View, View]:
    """Source and driving frame with their keypoints, and with disparities where keypoints are detected in those too."""
    source = picture(inputs, path, "source", (-1, 3, -1, -1))
    b, _, h, w = source.shape
    pictures = {"source": source, "driving": picture(inputs, path, "driving", (b, 3, h, w))}
    sees_depth = network.settings.model_dump().get(CHANNELS, 3) > 3
    depths = {name: picture(inputs, path, f"{name}_depth", (b, 1, h, w)) if sees_depth else None for name in pictures}
    return network.view(source, depths["source"]), network.view(pictures["driving"], depths["driving"])


def named(source: View, driving: View, made: Generated) -> dict[str, np.ndarray]:
    """What the networks give, by the names of the contract; what a configuration does not estimate is left out."""
    found: dict[str, Tensor | None] = {
        f"kp_{name}.{key}": value
        for name, view in (("source", source), ("driving", driving))
        for key, value in view.keypoints._asdict().items()
    }
    found |= made._asdict()
    return {name: value.numpy() for name, value in found.items() if value is not None}


@torch.inference_mode()
def main(arguments: argparse.Namespace) -> None:
    """Build, load, run, write."""
    name, method = arguments.method, methods()[arguments.method]
    state = tensors(arguments.weights, "sd.")
    state = {key: value for key, value in state.items() if key.partition(".")[0] in PARTS}
    if not state:
        raise InputError(f"{arguments.weights} holds no arrays sd.generator.… or sd.kp_detector.….")
    settings = method.official_settings(name, model_params(arguments.config), Shapes(state, arguments.weights))
    network = method.build(settings.model_copy(update={"align_corners": arguments.align_corners})).eval()
    put(network, state, arguments.weights, name)
    inputs = tensors(arguments.inputs, "in.")
    try:
        source, driving = views(network, inputs, arguments.inputs)
        outputs = named(source, driving, network.generate(source, driving.keypoints))
    except RuntimeError as error:
        raise InputError(f"{name} cannot take {arguments.inputs}: {' '.join(str(error).split())[:200]}.") from None
    with atomic(arguments.output) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **outputs)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m model.baselines.check", description=__doc__)
    p.add_argument("--method", required=True, choices=methods())
    p.add_argument("--config", type=Path, required=True, metavar="C.yaml", help="the authors' YAML: model_params")
    p.add_argument(
        "--weights", type=Path, required=True, metavar="W.npz", help="sd.generator.<key>, sd.kp_detector.<key>"
    )
    p.add_argument(
        "--inputs",
        type=Path,
        required=True,
        metavar="X.npz",
        help="in.source, in.driving [b, 3, h, w] in [0, 1]; DaGAN also in.source_depth, in.driving_depth [b, 1, h, w]",
    )
    p.add_argument("--output", type=Path, required=True, metavar="Y.npz", help="what the networks give, float32")
    p.add_argument("--align-corners", action="store_true", help="read pictures as torch before 1.3 did")
    add_common(p, settings=False)
    return p


if __name__ == "__main__":
    run_command(main, parser())
