"""PlaneDict: motion as a weighted sum of learnable orthonormal plane bases (paper, "Plane Dictionary", Eq. 4)."""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

ILL_CONDITIONED = 30.0
"""Ratio of the Cholesky factor's diagonal above which two passes in single precision are not trusted."""


class _OrthonormalRows(torch.autograd.Function):
    """Cholesky-QR of wide matrices and its backward, as matrix products with N × N factors only."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(_gram(matrices))
        sizes = factor.diagonal(dim1=1, dim2=2)
        if failed.any() or (sizes.amax(1) > ILL_CONDITIONED * sizes.amin(1)).any():
            rows, inverse = _cholesky_qr(matrices.double(), torch.linalg.cholesky(_gram(matrices.double())))
            rows, inverse = rows.to(matrices), inverse.to(matrices)
        else:
            rows, inverse = _cholesky_qr(matrices, factor)
        ctx.save_for_backward(rows, inverse)
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # For A = L Q with orthonormal rows Q: dA = L⁻ᵀ (dQ − sym(dQ Qᵀ) Q), sym mirroring the lower triangle.
        rows, inverse = ctx.saved_tensors
        (gradient,) = gradients
        lower = torch.tril(gradient @ rows.transpose(1, 2))
        symmetric = lower + torch.tril(lower, -1).transpose(1, 2)
        factor = inverse.transpose(1, 2)
        return torch.baddbmm(factor @ gradient, factor @ symmetric, rows, alpha=-1)


def _cholesky_qr(matrices: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal rows and the triangular map to them, given the Cholesky factor of the Gram matrices; two passes."""
    first = _inverse(factor)
    rows = first @ matrices
    second = _inverse(torch.linalg.cholesky(_gram(rows)))
    return second @ rows, second @ first


def _gram(matrices: Tensor) -> Tensor:
    return matrices @ matrices.transpose(1, 2)


def _inverse(factor: Tensor) -> Tensor:
    """L⁻¹ of lower triangular matrices."""
    identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand_as(factor)
    return torch.linalg.solve_triangular(factor, identity, upper=False)


def orthonormal_rows(matrices: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    """Orthonormal rows spanning the same nested subspaces: Q of a QR decomposition whose R has a positive diagonal.

    Cholesky-QR, twice: each pass forms the small Gram matrix A Aᵀ = L Lᵀ and returns L⁻¹ A. Two passes bring the error
    to rounding level, in double precision where the rows are nearly dependent (as many bases as channels at a texel);
    the sign is fixed (LAPACK's QR flips it between calls), and both directions are matrix products. Differentiable
    once. Rows must be linearly independent, else ``torch.linalg.LinAlgError``.
    """
    return _OrthonormalRows.apply(matrices)


def combine(
    coefficients: Float[Tensor, "batch bases height width"], scaled: Float[Tensor, "bases channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """Σ_n coefficients_n ⊙ scaled_n, each coefficient map broadcast over the channels.

    One small matrix product per texel, both factors laid out for it: twice as fast on a CPU as the plain einsum.
    """
    batch, _, height, width = coefficients.shape
    left = coefficients.flatten(2).permute(2, 0, 1).contiguous()
    per_texel = left @ scaled.flatten(2).permute(2, 0, 1).contiguous()
    return per_texel.permute(1, 2, 0).reshape(batch, -1, height, width)


def smooth_noise(count: int, channels: int, height: int, width: int) -> Float[Tensor, "count channels height width"]:
    """Gaussian noise of unit variance per value, a quarter of it fine, the rest smooth over about four texels.

    White noise as initial bases shows in the renderings as a weave until training has smoothed every texel.
    """
    coarse = torch.randn(count, channels, max(2, height // 4), max(2, width // 4))
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    fine = torch.randn(count, channels, height, width)
    return 0.97 * smooth / smooth.std().clamp_min(1e-6) + 0.25 * fine


class PlaneDictionary(nn.Module):
    """N learnable plane bases, kept orthonormal, combined by coefficient maps.

    ``orthogonality="channel"`` (paper): for each channel the N maps of H·W values are orthonormal.
    ``"pixel"`` (authors' code): at each texel the N vectors of ``channels`` values are.
    The fixed ``gain`` brings the bases to unit root mean square per value: √(H·W), or √channels per pixel.
    """

    def __init__(
        self,
        num_bases: int,
        channels: int,
        height: int,
        width: int,
        orthogonality: Literal["channel", "pixel"] = "channel",
    ) -> None:
        super().__init__()
        if orthogonality not in ("channel", "pixel"):
            raise ValueError(f"orthogonality must be 'channel' or 'pixel', not {orthogonality!r}")
        limit = height * width if orthogonality == "channel" else channels
        if num_bases > limit:
            raise ValueError(f"{num_bases} bases cannot be orthonormal in {limit} dimensions")
        self.orthogonality = orthogonality
        self.gain = math.sqrt(limit)
        self.weight = nn.Parameter(smooth_noise(num_bases, channels, height, width))
        self.retract()

    def bases(self) -> Float[Tensor, "bases channels height width"]:
        """The orthonormal bases, before the gain; differentiable in ``weight``."""
        count, channels, height, width = self.weight.shape
        flat = self.weight.flatten(2)
        if self.orthogonality == "channel":
            orthonormal = orthonormal_rows(flat.transpose(0, 1)).transpose(0, 1)
        else:
            orthonormal = orthonormal_rows(flat.permute(2, 0, 1)).permute(1, 2, 0)
        return orthonormal.reshape(count, channels, height, width)

    def forward(
        self, coefficients: Float[Tensor, "batch bases height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        return combine(coefficients, self.scaled_bases())

    def scaled_bases(self) -> Float[Tensor, "bases channels height width"]:
        """gain · bases, what :func:`combine` takes; computed once for many frames."""
        return self.gain * self.bases()

    @torch.no_grad()
    def retract(self) -> None:
        """Replace the parameter by the bases it stands for, times the gain; the function does not change.

        Done after every optimiser step (projected gradient descent on the orthonormal frames), ``weight`` itself is
        what :meth:`scaled_bases` would return, and a step needs no QR in its forward and backward pass.
        """
        self.weight.copy_(self.scaled_bases())
