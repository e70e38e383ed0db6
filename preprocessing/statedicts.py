"""Foreign state dicts put into our networks, refused with one sentence where they do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from preprocessing.cli import InputError


def fill(network: nn.Module, state: Mapping[str, Any], path: Path, name: str) -> None:
    """Load ``state`` into ``network``, every key and shape as it has them.

    Raises InputError that names the file and ``name``, the network it should hold.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"The weights {path} are not {name}: {' '.join(str(error).split())[:200]}.") from None
