"""Pre-trained weights: the registry, where a file lies, whether it is the right one, and how it gets there.

``python -m preprocessing.weights`` lists them; with ``--fetch`` it downloads what is missing. Gated files a user puts
there by hand.
"""

import csv
import functools
import pickle
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocessing.cli import InputError
from preprocessing.registered import RegisteredFile, command_line, digest

REGISTRY = Path(__file__).parents[1] / "workflow" / "config" / "weights.tsv"
COLUMNS = ("name", "url", "sha256", "bytes", "licence", "gated", "used_by")
# Files of Deep3DFaceRecon, named here so that planning a run need not load its network.
DEEP3D_NETWORK = "epoch_20.pth"
DEEP3D_LANDMARKS = "similarity_Lm3D_all.mat"
# Those of the other detectors of the paper.
S3FD = "s3fd-619a316812.pth"
FAN = "2DFAN4-11f355bf06.pth.tar"
BISENET = "79999_iter.pth"


@dataclass(frozen=True)
class Weights(RegisteredFile):
    """One row of the registry; see :class:`RegisteredFile`."""

    used_by: str

    @property
    def title(self) -> str:
        """Its name, and what it is for."""
        return f"{self.name} ({self.used_by})"

    FOLDER = "weights"
    COMMAND = "preprocessing.weights"


@functools.cache
def _registry(path: Path) -> dict[str, Weights]:
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{path} must have the columns {', '.join(COLUMNS)}.")
        rows = list(reader)
    return {
        row["name"]: Weights(
            row["name"],
            row["url"],
            row["sha256"],
            int(row["bytes"]) if row["bytes"] else None,
            row["licence"],
            row["gated"] == "yes",
            row["used_by"],
        )
        for row in rows
    }


def registry() -> dict[str, Weights]:
    """The registry by file name; a malformed table raises InputError."""
    return _registry(REGISTRY)


def registered(name: str) -> Weights:
    """The entry of ``name``; InputError names those there are."""
    try:
        return registry()[name]
    except KeyError:
        raise InputError(f"No weights '{name}' are registered: there are {', '.join(registry())}.") from None


def named(path: Path) -> str:
    """What a sample's meta says of a file of weights: its name and the first digits of its sha256."""
    return f"{path.name}:{digest(path)[:12]}"


def missing(name: str) -> str | None:
    """:meth:`RegisteredFile.missing` of the weights ``name``."""
    return registry()[name].missing()


def require(name: str) -> Path:
    """:meth:`RegisteredFile.require` of the weights ``name``."""
    return registered(name).require()


def located(given: str) -> Path:
    """The file that a setting names: a registered one by its name, in the cache and checked, or any by its path.

    Raises InputError where a registered file is missing or wrong.
    """
    return require(given) if given in registry() else Path(given)


def load(path: Path) -> dict[str, Any]:
    """A foreign state dict, read without running pickled code; InputError where it is damaged or holds code."""
    import torch

    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch has not written
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to read the file by running what is in it.
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        said = (
            f"it holds {held[1]}, and only tensors and plain values are read" if held else "torch.save did not write it"
        )
        raise InputError(f"Cannot read the weights {path}: {said}.") from None
    except Exception as error:
        raise InputError(f"Cannot read the weights {path}: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(state, dict):
        raise InputError(f"The weights {path} hold {type(state).__name__}, not a state dict.")
    return state


def main(argv: list[str] | None = None) -> None:
    """Command line: list registered weights, or fetch what is missing."""
    command_line(argv, __doc__, lambda: registry().values(), registered)


if __name__ == "__main__":
    main()
