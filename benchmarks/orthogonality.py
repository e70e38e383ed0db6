"""Orthonormal bases, value and gradient: Cholesky-QR against ``torch.linalg.qr`` with the sign fixed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks.timing import compare
from model.plane_dictionary import orthonormal_rows


def by_qr(matrices: Tensor) -> Tensor:
    """LAPACK's QR of the rows, with a positive diagonal of R."""
    q, r = torch.linalg.qr(matrices.transpose(1, 2))
    return (q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]).transpose(1, 2)


def main() -> None:
    """Per channel (96 maps of 64² for 20 bases) and per pixel (64² texels, 20 vectors of 96)."""
    torch.set_num_threads(1)
    for name, shape in (("per channel, 96 x 20 x 4096", (96, 20, 4096)), ("per pixel, 4096 x 20 x 96", (4096, 20, 96))):
        matrices = torch.randn(shape, requires_grad=True)
        weights = torch.randn(shape)

        def step(function: object, matrices: Tensor = matrices, weights: Tensor = weights) -> None:
            torch.autograd.grad((function(matrices) * weights).sum(), matrices)  # type: ignore[operator]

        compare(name, lambda step=step: step(orthonormal_rows), lambda step=step: step(by_qr), repeats=5)


if __name__ == "__main__":
    main()
