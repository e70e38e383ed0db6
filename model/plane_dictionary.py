"""PlaneDict: motion as a weighted sum of learnable orthonormal plane bases (paper, "Plane Dictionary", Eq. 4)."""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.kernels import dictionary as kernels
from model.kernels.compiling import arrays, compilable

ONE_PASS, TWO_PASSES = 2.0, 10.0
"""Up to which ‖L‖·‖L⁻¹‖ / N (Frobenius; 1 for orthonormal rows) one and two passes in single precision are exact."""
KEPT = 0.25
"""Least share of its length that a vector must keep when projected, for Gram–Schmidt in single precision."""


class _OrthonormalRows(torch.autograd.Function):
    """Cholesky-QR of wide matrices and its backward, as matrix products with N × N factors only."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        rows, inverse, condition = _pass(matrices)
        if not (condition <= TWO_PASSES).all():
            rows, inverse, _ = _pass(matrices.double())
            rows, again, _ = _pass(rows)
            rows, inverse = rows.to(matrices), (again @ inverse).to(matrices)
        elif not (condition <= ONE_PASS).all() or matrices.dtype == torch.float64:
            rows, again, _ = _pass(rows)
            inverse = again @ inverse
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
        return (factor @ gradient).baddbmm_(factor @ symmetric, rows, alpha=-1)


def _pass(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L⁻¹ A, L⁻¹ and its condition ‖L‖·‖L⁻¹‖ / N, where A Aᵀ = L Lᵀ; NaN where that fails in single precision."""
    gram = (matrices @ matrices.transpose(1, 2)).double()
    if matrices.dtype == torch.float64:
        factor = torch.linalg.cholesky(gram)
    else:
        factor, failed = torch.linalg.cholesky_ex(gram)
        factor = torch.where(failed[:, None, None] > 0, torch.nan, factor)
    identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device).expand_as(factor)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    condition = torch.linalg.matrix_norm(factor) * torch.linalg.matrix_norm(inverse) / factor.shape[-1]
    inverse = inverse.to(matrices)
    return inverse @ matrices, inverse, condition


def orthonormal_rows(matrices: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    """Orthonormal rows spanning the same nested subspaces: Q of a QR decomposition whose R has a positive diagonal.

    Cholesky-QR: form the small Gram matrix A Aᵀ = L Lᵀ (factored in double precision) and return L⁻¹ A. One pass is
    exact to rounding where the rows are well conditioned, which bases near orthonormal are; otherwise a second pass
    makes it so, in double precision where the rows are nearly dependent. The sign is fixed (LAPACK's QR flips it
    between calls), and both directions are matrix products. Differentiable once. Rows must be linearly independent,
    else ``torch.linalg.LinAlgError``.
    """
    return _OrthonormalRows.apply(matrices)


class _OrthonormalTexels(torch.autograd.Function):
    """:mod:`model.kernels.dictionary`'s Gram–Schmidt of the vectors [n, c] at each texel of bases [n, c, p]."""

    @staticmethod
    def forward(ctx: Any, bases: Tensor) -> Tensor:
        count, _, texels = bases.shape
        rows, factors, kept = torch.empty_like(bases), bases.new_empty(texels, count, count), bases.new_empty(texels)
        kernels.gram_schmidt(*arrays(bases, rows, factors, kept))
        hard = (kept < KEPT).nonzero()[:, 0]
        if len(hard):
            matrices = bases[:, :, hard].permute(2, 0, 1).double()
            exact = orthonormal_rows(matrices)
            rows[:, :, hard] = exact.permute(1, 2, 0).to(bases)
            factors[hard] = (matrices @ exact.transpose(1, 2)).to(bases)
        ctx.save_for_backward(rows, factors)
        return rows

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        out = torch.empty_like(gradients[0], memory_format=torch.contiguous_format)
        kernels.gram_schmidt_gradient(*arrays(gradients[0].contiguous(), *ctx.saved_tensors, out))
        return out


class _WeightedSum(torch.autograd.Function):
    """Σ_n coefficients [b, n, p] · bases [n, c, p], without a copy of the bases: compiled, or one base at a time."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, bases: Tensor) -> Tensor:
        ctx.save_for_backward(coefficients, bases)
        if compilable(coefficients, bases):
            out = coefficients.new_empty(len(coefficients), *bases.shape[1:])
            kernels.weighted_sum(*arrays(coefficients, bases, out))
            return out
        out = bases.new_zeros(len(coefficients), *bases.shape[1:])
        for weight, base in zip(coefficients.unbind(1), bases, strict=True):
            out.addcmul_(weight[:, None].to(out), base)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        coefficients, bases = ctx.saved_tensors
        totals = torch.empty_like(coefficients), torch.empty_like(bases)
        if compilable(coefficients, bases):
            kernels.weighted_sum_gradients(*arrays(gradients[0].contiguous(), coefficients, bases, *totals))
            return totals
        for n, (weight, base) in enumerate(zip(coefficients.unbind(1), bases, strict=True)):
            totals[0][:, n] = (gradients[0] * base).sum(1)
            totals[1][n] = (gradients[0] * weight[:, None]).sum(0)
        return totals


def combine(
    coefficients: Float[Tensor, "batch bases height width"], scaled: Float[Tensor, "bases channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """Σ_n coefficients_n ⊙ scaled_n, each coefficient map broadcast over the channels.

    Compiled on a CPU in single precision; elsewhere base after base. Differentiable once.
    """
    total = _WeightedSum.apply(coefficients.flatten(2).contiguous(), scaled.flatten(2).contiguous())
    return total.unflatten(2, coefficients.shape[2:])


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
        elif compilable(flat):
            orthonormal = _OrthonormalTexels.apply(flat.contiguous())
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
        self.weight.copy_(self.bases()).mul_(self.gain)
