"""Orthonormal bases, value and gradient, against ``torch.linalg.qr`` with the sign fixed.

Per channel at the paper's 256² texels (8 of its 96 channels: channels are independent) and at 64²; per texel at 64².
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import Tensor

from benchmarks.timing import compare
from model.plane_dictionary import PlaneDictionary

CASES = (("channel", 20, 8, 256), ("channel", 20, 96, 64), ("pixel", 20, 96, 64), ("pixel", 20, 48, 48))


def by_qr(weight: Tensor, orthogonality: str) -> Tensor:
    """LAPACK's QR of the bases [n, c, h, w], with a positive diagonal of R."""
    # Columns are the vectors: [c, p, n] or [p, c, n], and back.
    order, back = ((1, 2, 0), (2, 0, 1)) if orthogonality == "channel" else ((2, 1, 0), (2, 1, 0))
    q, r = torch.linalg.qr(weight.flatten(2).permute(order))
    return (q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]).permute(back).reshape(weight.shape)


def main() -> None:
    """Largest differences and times."""
    torch.set_num_threads(1)
    for orthogonality, count, channels, side in CASES:
        torch.manual_seed(0)
        dictionary = PlaneDictionary(count, channels, side, side, orthogonality)
        weight = dictionary.weight
        with torch.no_grad():
            # As far from orthonormal as random vectors are.
            weight.normal_()
        slope = torch.randn_like(weight)

        def ours(slope: Tensor = slope, dictionary: PlaneDictionary = dictionary) -> Tensor:
            return torch.autograd.grad(dictionary.bases(), dictionary.weight, slope)[0]

        def theirs(slope: Tensor = slope, weight: Tensor = weight, orthogonality: str = orthogonality) -> Tensor:
            return torch.autograd.grad(by_qr(weight, orthogonality), weight, slope)[0]

        flat = dictionary.bases().detach().flatten(2).double()
        gram = torch.einsum("ncp,mcp->cnm" if orthogonality == "channel" else "ncp,mcp->pnm", flat, flat)
        error = (gram - torch.eye(count)).abs().max().item()
        a, b = ours(), theirs()
        print(f"per {orthogonality}, {count} bases of {channels} x {side}²: orthonormal to {error:.0e},", end=" ")
        print(f"gradients differ by {((a - b).abs().max() / b.abs().max()).item():.0e} of the largest")
        compare("  forward and backward", ours, theirs, repeats=5)


if __name__ == "__main__":
    main()
