"""How the kernels are compiled. Each file of kernels calls only its own: numba notices changes file by file."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` that keeps the machine code on disk, where a folder can be written.

    numba takes NUMBA_CACHE_DIR, else the source's __pycache__, else the user's cache folder.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, error_model="numpy", nogil=True, **options)(function)
        except RuntimeError:
            return numba.njit(error_model="numpy", nogil=True, **options)(function)

    return decorate


elementwise = compiled(fastmath={"contract"})
"""Multiply-adds may be fused; otherwise as written, so that a NaN stays one."""
reduction = compiled(fastmath={"contract", "reassoc"})
"""Sums may be taken in another order, too: without it a sum is not vectorised."""


def compilable(*tensors: Tensor) -> bool:
    """Whether kernels can take these: plain float32 tensors on a CPU, and nobody traces the call."""
    return not torch.compiler.is_compiling() and all(
        type(x) in (Tensor, torch.nn.Parameter) and x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors
    )


def arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """What kernels take: the tensors' memory."""
    return tuple(x.detach().numpy() for x in tensors)
