"""Reading EG3D's pickles: a stand-in for the public format loads, and nothing a hostile one says is done."""

import io
import pickle
import struct
import sys
import types
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.adversarial.foreign import load_discriminator, read_network
from model.discriminator import DualDiscriminator
from preprocessing.cli import InputError

NAMES = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")


def network(resolution: int) -> DualDiscriminator:
    return DualDiscriminator(resolution, channel_base=64, channel_max=6)


@pytest.fixture
def persistence(monkeypatch):
    """Modules of the names that EG3D's pickles use; gone again when the file is read."""
    modules = {name: types.ModuleType(name) for name in NAMES}

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("the public loader would run the file's code here")

    class EasyDict(dict):
        pass

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
    modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj
    modules["dnnlib.util"].EasyDict = EasyDict
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules


def persistent(module: torch.nn.Module, source: str, modules) -> torch.nn.Module:
    """The module and its submodules made to pickle as EG3D's decorated classes do, with buffers as they have."""
    reconstruct = modules["torch_utils.persistence"]._reconstruct_persistent_obj

    class Persistent(type(module)):
        def __reduce__(self):
            meta = {"type": "class", "version": 6, "module_src": source, "class_name": "X", "state": self.__dict__}
            return reconstruct, (meta,), None

    for child in module.children():
        persistent(child, source, modules)
    module.__class__ = Persistent
    module.register_buffer("resample_filter", torch.ones(4, 4))
    module._init_kwargs = modules["dnnlib.util"].EasyDict(c_dim=25)
    module.numpy_gain = np.sqrt(0.5)
    return module


@pytest.fixture(params=[2, 4])
def public_file(tmp_path, persistence, request) -> Path:
    """A pickle in the layout of ``ffhq512-128.pkl``, at 32², whose source code would leave a mark when run."""
    torch.manual_seed(0)
    source = f"open({str(tmp_path / 'mark')!r}, 'w')"
    discriminator = persistent(network(32), source, persistence)
    generator = torch.nn.Module()
    generator.mapping = persistent(torch.nn.Linear(2, 3), source, persistence)
    generator.decoder = torch.nn.Sequential(persistent(torch.nn.Linear(3, 1), source, persistence), torch.nn.Softplus())
    persistent(generator, source, persistence)
    settings = persistence["dnnlib.util"].EasyDict(path="ffhq.zip")
    content = {"training_set_kwargs": settings, "G": generator, "D": discriminator, "G_ema": generator}
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps({**content, "augment_pipe": None}, protocol=request.param))
    torch.save({"D": discriminator.state_dict(), "G_ema": generator.state_dict()}, tmp_path / "expected.pt")
    return path


@pytest.mark.parametrize("which", ["D", "G_ema"])
def test_reads_every_weight_and_runs_no_source(public_file, which):
    expected = torch.load(public_file.with_name("expected.pt"), weights_only=True)[which]
    tensors = read_network(public_file, which)
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(tensors[name], value, atol=0, rtol=0)
    assert not public_file.with_name("mark").exists()


def test_a_smaller_discriminator_takes_all_but_its_first_layer(public_file):
    torch.manual_seed(1)
    ours = network(16)
    before = ours.state_dict()["b16.fromrgb.weight"].clone()
    result = load_discriminator(public_file, ours)
    assert result.fresh == ["b16.fromrgb.weight", "b16.fromrgb.bias"]
    assert set(result.taken) | set(result.fresh) == set(ours.state_dict())
    assert result.unused and all(name.startswith("b32.") for name in result.unused)
    expected = torch.load(public_file.with_name("expected.pt"), weights_only=True)["D"]
    for name in result.taken:
        torch.testing.assert_close(ours.state_dict()[name], expected[name], atol=0, rtol=0)
    torch.testing.assert_close(ours.state_dict()["b16.fromrgb.weight"], before, atol=0, rtol=0)


def test_one_of_the_same_size_is_taken_whole(public_file):
    result = load_discriminator(public_file, network(32))
    assert not result.fresh and not result.unused


def test_other_widths_are_one_sentence(public_file):
    with pytest.raises(InputError, match=r"b16.conv0.weight has shape \[4, 4, 3, 3\] where .* \[5, 5, 3, 3\]"):
        load_discriminator(public_file, DualDiscriminator(16, channel_base=80, channel_max=6))


def test_files_that_are_something_else(tmp_path, public_file):
    with pytest.raises(InputError, match="no such file"):
        read_network(tmp_path / "absent.pkl")
    data = public_file.read_bytes()
    cases = {
        "empty": b"",
        "text": b"a page that says 404\n",
        "half": data[: len(data) // 2],
        "other": pickle.dumps({"a": 1}),
        "list": pickle.dumps([1, 2]),
        "plain": pickle.dumps({"D": {"weight": 1}}),
    }
    torch.save({"D": torch.zeros(2)}, tmp_path / "saved.pt")
    cases["saved"] = (tmp_path / "saved.pt").read_bytes()
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is not an EG3D network pickle") as caught:
            read_network(tmp_path / name)
        assert "\n" not in str(caught.value)


class Code(bytes):
    """Pickle opcodes that leave one object on the stack."""


def code(value: Any) -> Code:
    """Opcodes for a value made of dicts, tuples, lists, strings, bytes, numbers and :class:`Code`."""
    if isinstance(value, Code):
        return value
    if isinstance(value, dict):
        return Code(b"}" + b"".join(code(k) + code(v) + pickle.SETITEM for k, v in value.items()))
    if isinstance(value, tuple | list):
        return Code(b"(" + b"".join(map(code, value)) + (b"t" if isinstance(value, tuple) else b"l"))
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        kind = pickle.BINUNICODE if isinstance(value, str) else pickle.BINBYTES
        return Code(kind + struct.pack("<I", len(data)) + data)
    return Code(pickle.dumps(value, 2)[2:-1])


def named(module: str, name: str) -> Code:
    return Code(code(module) + code(name) + pickle.STACK_GLOBAL)


def call(module: str, name: str, *arguments: Any) -> Code:
    return Code(named(module, name) + code(arguments) + pickle.REDUCE)


def module(state: Any) -> Code:
    """A module in the public format."""
    return call("torch_utils.persistence", "_reconstruct_persistent_obj", {"state": state})


def dumped(value: Any) -> bytes:
    return b"\x80\x04" + code(value) + b"."


def archive(inner: bytes, legacy: bool) -> bytes:
    """What ``torch.storage._load_from_bytes`` is given, with another pickle in place of the storage's."""
    if legacy:
        head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        return b"".join(pickle.dumps(value, 2) for value in head) + inner + pickle.dumps([], 2)
    whole, changed = io.BytesIO(), io.BytesIO()
    torch.save(torch.zeros(1), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, inner if name.endswith("data.pkl") else source.read(name))
    return changed.getvalue()


def storage(data: bytes) -> Code:
    return call("torch.storage", "_load_from_bytes", data)


def hostile(mark: Path) -> dict[str, bytes]:
    """Pickles that ask for what no network needs; most would leave ``mark``."""
    shell, source = f"touch {mark}", f"open({str(mark)!r}, 'w')"
    system = call("os", "system", shell)
    values = {
        "os.system": {"D": system},
        "eval": {"D": call("builtins", "eval", source)},
        "exec": {"D": call("builtins", "exec", source)},
        "Popen": {"D": call("subprocess", "Popen", ["touch", str(mark)])},
        "getattr": {"D": call("builtins", "getattr", call("builtins", "__import__", "os"), "system")},
        "in the state": {"D": module({"_parameters": {"w": system}})},
        "as the state": {"D": module(system)},
        "as a state to set": {"D": Code(module({}) + code({"__setstate__": system}) + pickle.BUILD)},
        "in a storage": {"D": storage(system)},
        "as a key": {system: 1},
        "beside the network": {"D": 1, "training_set_kwargs": system},
        "dotted name": {"D": call("torch", "os.system", shell)},
        "dotted name of an allowed class": {"D": named("collections", "OrderedDict.fromkeys.__globals__")},
        "sibling of an allowed name": {"D": call("torch_utils.persistence", "_src_to_module", source)},
        "torch's importer": {"D": call("torch._utils", "_import_dotted_name", "os.system")},
        "torch.load": {"D": call("torch", "load", str(mark))},
        "torch.hub": {"D": call("torch.hub", "load", "a/b", "c")},
        "partial": {"D": call("functools", "partial", named("os", "system"), shell)},
        "numpy.load": {"D": call("numpy", "load", str(mark), None, True)},
        "new object": {"D": Code(named("subprocess", "Popen") + code((["touch", str(mark)],)) + pickle.NEWOBJ)},
        "no name": {"D": call("", "")},
    }
    for legacy in (True, False):
        kind = "legacy" if legacy else "zipped"
        for name, wish in (("system", f"cos\nsystem\n(V{shell}\ntR."), ("eval", f"cbuiltins\neval\n(V{source}\ntR.")):
            values[f"{name} in a {kind} archive"] = {"D": storage(archive(b"\x80\x02" + wish.encode(), legacy))}
        values[f"no storage in a {kind} archive"] = {"D": storage(archive(pickle.dumps([1], 2), legacy))}
    payloads = {name: dumped(value) for name, value in values.items()}
    payloads["protocol 0"] = f"cos\nsystem\n(S'{shell}'\ntR.".encode()
    payloads["INST"] = f"(S'{shell}'\nios\nsystem\n.".encode()
    payloads["OBJ"] = f"(cos\nsystem\nS'{shell}'\no.".encode()
    payloads["persistent id"] = b"Pos.system\n."
    payloads["extension"] = b"\x80\x02\x82\x01."
    return payloads


@pytest.mark.parametrize("name", sorted(hostile(Path("/absent"))))
def test_hostile_pickles_do_nothing_and_are_one_sentence(tmp_path, name):
    mark, path = tmp_path / "mark", tmp_path / "network.pkl"
    path.write_bytes(hostile(mark)[name])
    with pytest.raises(InputError) as caught:
        read_network(path)
    assert not mark.exists()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["os.system", "eval", "exec", "as a key", "protocol 0", "INST"])
def test_they_are_hostile_indeed(tmp_path, name):
    pickle.loads(hostile(tmp_path / "mark")[name])
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(("name", "asked"), [("os.system", r"os\.system"), ("dotted name", r"torch\.os\.system")])
def test_the_refusal_names_what_was_asked_for(tmp_path, name, asked):
    path = tmp_path / "network.pkl"
    path.write_bytes(hostile(tmp_path / "mark")[name])
    with pytest.raises(InputError, match=f"is refused: .* {asked}"):
        read_network(path)


def test_no_module_is_imported_for_a_file(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\ndef f(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "network.pkl"
    path.write_bytes(dumped({"D": call("trap", "f")}))
    with pytest.raises(InputError, match=r"trap\.f"):
        read_network(path)
    assert "trap" not in sys.modules and not (tmp_path / "mark").exists()


@pytest.fixture
def eight_numbers() -> Code:
    """A storage of eight floats, in the archive that the public format uses."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.save(torch.arange(8.0).storage(), stream, _use_new_zipfile_serialization=False)
    return storage(stream.getvalue())


def with_tensor(path: Path, numbers: Code, offset: Any, size: Any, stride: Any) -> Path:
    tensor = call("torch._utils", "_rebuild_tensor_v2", numbers, offset, size, stride, False, {})
    path.write_bytes(dumped({"D": module({"_parameters": {"w": tensor}})}))
    return path


def test_strided_parts_of_a_storage(tmp_path, eight_numbers):
    path = with_tensor(tmp_path / "network.pkl", eight_numbers, 1, (3, 2), (2, 1))
    torch.testing.assert_close(read_network(path)["w"], torch.tensor([[1.0, 2], [3, 4], [5, 6]]))


BEYOND = [
    (0, (4, 4), (4, 1)),
    (6, (3,), (1,)),
    (0, (2,), (100,)),
    (0, (10**6, 10**6), (0, 0)),
    (0, (2,), (-1,)),
    (-1, (2,), (1,)),
    (0, (2, 2), (1,)),
    ("0", (2,), (1,)),
]


@pytest.mark.parametrize(("offset", "size", "stride"), BEYOND)
def test_tensors_beyond_their_numbers_are_refused(tmp_path, eight_numbers, offset, size, stride):
    with pytest.raises(InputError):
        read_network(with_tensor(tmp_path / "network.pkl", eight_numbers, offset, size, stride))


def test_a_module_that_is_its_own_child_is_refused(tmp_path):
    children = Code(b"}" + pickle.MEMOIZE)
    itself = Code(module({"_modules": children}) + pickle.MEMOIZE)
    closed = Code(itself + b"h\x00" + code("child") + b"h\x01" + pickle.SETITEM + pickle.POP)
    (tmp_path / "network.pkl").write_bytes(dumped({"D": closed}))
    with pytest.raises(InputError, match="recursion"):
        read_network(tmp_path / "network.pkl")
