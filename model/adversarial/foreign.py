"""EG3D's public network pickles, read without running anything they contain.

Such a pickle (``ffhq512-128.pkl``) is a dictionary of the modules G, D and G_ema, each stored with the source code of
its class, which the public loader executes. A pickle may call whatever it can name; here it can name nothing real. Each
name it gives stands for one of the few constructors below, which only ever build plain data and tensors, and any other
name is refused. No module is imported on a file's behalf.
"""

import io
import math
import pickle
import warnings
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from model.discriminator import DualDiscriminator
from preprocessing.cli import InputError


class _Refused(Exception):
    """The pickle asks for something that its kind of file has no need of."""


class _Module:
    """A module's attributes as plain data: its parameters, buffers and submodules are what is wanted of it."""

    __slots__ = ("state",)
    state: Any

    def __init__(self, meta: Any = None) -> None:
        self.state = meta.get("state") if isinstance(meta, dict) else None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Ignored:
    """Stands for what holds no weights, such as NumPy scalars among the attributes."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        """Drop the state."""


def _storage(data: Any) -> Tensor:
    """Numbers of a tensor, a small archive of its own within the pickle: read as weights only, never as objects."""
    try:
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's message would advise to load it without the safeguard
        raise _Refused("a storage that holds more than numbers") from None
    if not isinstance(storage, torch.TypedStorage):
        raise _Refused(f"a storage that is a {type(storage).__name__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # typed storages will go from torch, but are in these files
        return torch.empty(0, dtype=storage.dtype).set_(storage.untyped())


def _tensor(numbers: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor of its own from a part of ``numbers``; torch checks the bounds, here its memory is bounded."""
    if not isinstance(numbers, Tensor) or math.prod(size) > numbers.numel():
        raise _Refused(f"a tensor of size {size} on too few numbers")
    return torch.as_strided(numbers, size, stride, offset).clone()


def _parameter(data: Any, *_: Any) -> Tensor:
    """A parameter is its tensor."""
    if not isinstance(data, Tensor):
        raise _Refused(f"a parameter that is a {type(data).__name__}")
    return data


def _bytes(text: Any, encoding: Any) -> bytes:
    """Bytes as pickles before protocol 3 write them."""
    return str.encode(text, "latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("dnnlib.util", "EasyDict"): dict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _bytes,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Module,
    ("torch.nn.modules.container", "Sequential"): _Module,
    ("torch.nn.modules.activation", "Softplus"): _Module,
    ("training.triplane", "OSGDecoder"): _Module,
    ("training.volumetric_rendering.renderer", "ImportanceRenderer"): _Module,
    ("training.volumetric_rendering.ray_marcher", "MipRayMarcher2"): _Module,
    ("training.volumetric_rendering.ray_sampler", "RaySampler"): _Module,
    ("numpy", "dtype"): _Ignored,
    ("numpy", "ndarray"): _Ignored,
    ("numpy.core.multiarray", "scalar"): _Ignored,
    ("numpy.core.multiarray", "_reconstruct"): _Ignored,
    ("numpy._core.multiarray", "scalar"): _Ignored,
    ("numpy._core.multiarray", "_reconstruct"): _Ignored,
}
"""What a name in the file stands for. All of it is harmless with any arguments, in any order and nesting."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The only way in which a pickle obtains something to call."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def _collect(module: _Module, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Gather parameters and buffers below ``module`` under their dotted names."""
    for group in ("_parameters", "_buffers"):
        for name, value in module.state.get(group, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}{name}"] = value
    for name, child in module.state.get("_modules", {}).items():
        if isinstance(child, _Module):
            _collect(child, f"{prefix}{name}.", tensors)


def read_network(path: Path, network: Literal["D", "G", "G_ema"] = "D") -> dict[str, Tensor]:
    """Parameters and buffers of one network of an EG3D pickle, by the names of its state dict.

    Raises InputError with one sentence where the file is missing, damaged, no such pickle, or names anything but the
    parts such a file consists of (then nothing of it was run).
    """
    try:
        with open(path, "rb") as stream:
            content = _Unpickler(stream).load()
        tensors: dict[str, Tensor] = {}
        _collect(content[network], "", tensors)
    except _Refused as error:
        raise InputError(f"{path} is refused: an EG3D network has no need of {error}.") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        problem = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputError(f"{path} is not an EG3D network pickle with a {network}: {problem}.") from None
    if not tensors:
        raise InputError(f"{path} holds no weights of {network}.")
    return tensors


class Initialised(NamedTuple):
    """Names of the discriminator's parameters that came from the file, of those that did not, and of what was left."""

    taken: list[str]
    fresh: list[str]
    unused: list[str]


def load_discriminator(path: Path, discriminator: DualDiscriminator) -> Initialised:
    """Start a discriminator from EG3D's public one, as far as it goes.

    Every parameter that both have is taken. EG3D's is for 512², ours for 256²: its first block (b512, with the only
    ``fromrgb``) has no place here, and our own first layer, ``b256.fromrgb``, has no counterpart there and keeps its
    random weights. All deeper layers and the camera's mapping are the public ones, but they get to see what this fresh
    layer gives them, not what they were trained on, until it has learned. Raises InputError (see :func:`read_network`)
    also where nothing fits, or a parameter has another shape, as with other channel widths.
    """
    tensors = read_network(path, "D")
    own = discriminator.state_dict()
    taken = [name for name in own if name in tensors]
    if not taken:
        raise InputError(f"{path}: its discriminator shares no layer with this one.")
    for name in taken:
        if tensors[name].shape != own[name].shape:
            theirs, ours = list(tensors[name].shape), list(own[name].shape)
            raise InputError(f"{path}: {name} has shape {theirs} where this discriminator has {ours}.")
    discriminator.load_state_dict({name: tensors[name] for name in taken}, strict=False)
    unused = [name for name in tensors if name not in own and not name.endswith("resample_filter")]
    return Initialised(taken, [name for name in own if name not in tensors], unused)
