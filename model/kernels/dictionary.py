"""The plane dictionary: orthonormal bases per texel, and the weighted sum of bases, tile by tile of texels.

Bases are [n, c, p]: N bases, C channels, P texels.
"""

from typing import Any

import numpy as np

from model.kernels.compiling import elementwise, reduction

f32 = np.float32
ZERO = f32(0)
TILE = 512
"""Texels at a time where a tile holds one channel's bases."""
TEXELS = 32
"""Texels at a time where a tile holds all values of each."""


@elementwise
def to_texels(rows: Any, start: int, tile: Any) -> int:
    """Copies texels of [n·c, p] from ``start`` to ``tile`` [t, n·c]; how many there were."""
    n = min(TEXELS, rows.shape[1] - start)
    # A constant number of turns lets whole cache lines be read at once.
    if n == TEXELS:
        for r in range(len(rows)):
            for t in range(TEXELS):
                tile[t, r] = rows[r, start + t]
    else:
        for r in range(len(rows)):
            for t in range(n):
                tile[t, r] = rows[r, start + t]
    return n


@elementwise
def from_texels(tile: Any, start: int, n: int, rows: Any) -> None:
    """The way back of :func:`to_texels`."""
    if n == TEXELS:
        for r in range(len(rows)):
            for t in range(TEXELS):
                rows[r, start + t] = tile[t, r]
    else:
        for r in range(len(rows)):
            for t in range(n):
                rows[r, start + t] = tile[t, r]


@reduction
def project(x: Any, j: int, y: Any, t: int, first: int, last: int, out: Any) -> None:
    """out[j, k] = x[t, j] · y[t, k] for first ≤ k < last."""
    full = first + (last - first) // 4 * 4
    for k in range(first, full, 4):
        s0 = s1 = s2 = s3 = ZERO
        for c in range(x.shape[2]):
            s0 += x[t, j, c] * y[t, k, c]
            s1 += x[t, j, c] * y[t, k + 1, c]
            s2 += x[t, j, c] * y[t, k + 2, c]
            s3 += x[t, j, c] * y[t, k + 3, c]
        out[j, k], out[j, k + 1], out[j, k + 2], out[j, k + 3] = s0, s1, s2, s3
    for k in range(full, last):
        s0 = ZERO
        for c in range(x.shape[2]):
            s0 += x[t, j, c] * y[t, k, c]
        out[j, k] = s0


@elementwise
def subtract(x: Any, j: int, factors: Any, y: Any, t: int, first: int, last: int) -> None:
    """x[t, j] −= Σ factors[j, k] · y[t, k] over first ≤ k < last."""
    full = first + (last - first) // 4 * 4
    for k in range(first, full, 4):
        s0, s1, s2, s3 = factors[j, k], factors[j, k + 1], factors[j, k + 2], factors[j, k + 3]
        for c in range(x.shape[2]):
            x[t, j, c] -= s0 * y[t, k, c] + s1 * y[t, k + 1, c] + s2 * y[t, k + 2, c] + s3 * y[t, k + 3, c]
    for k in range(full, last):
        s0 = factors[j, k]
        for c in range(x.shape[2]):
            x[t, j, c] -= s0 * y[t, k, c]


@elementwise
def scale(x: Any, t: int, j: int, factor: Any) -> None:
    """x[t, j] *= factor."""
    for c in range(x.shape[2]):
        x[t, j, c] *= factor


@elementwise
def gram_schmidt(bases: Any, out: Any, factors: Any, kept: Any) -> None:
    """Orthonormal vectors ``out`` at each texel of [n, c, p]; lower triangular ``factors`` [p, n, n] to the input.

    ``kept`` [p]: the smallest share of its length that a vector keeps. Four projections at a time, each group from what
    the groups before left (between classical and modified Gram–Schmidt).
    """
    count, channels, texels = bases.shape
    tile, along = np.empty((TEXELS, count, channels), f32), np.zeros((count, count), f32)
    for start in range(0, texels, TEXELS):
        n = to_texels(bases.reshape(count * channels, texels), start, tile.reshape(TEXELS, count * channels))
        for t in range(n):
            least = f32(1)
            for j in range(count):
                project(tile, j, tile, t, j, j + 1, along)
                length = along[j, j]
                for k in range(0, j, 4):
                    project(tile, j, tile, t, k, min(k + 4, j), along)
                    subtract(tile, j, along, tile, t, k, min(k + 4, j))
                project(tile, j, tile, t, j, j + 1, along)
                share = along[j, j] / length
                # Written so that a NaN counts as nothing kept.
                least = least if share >= least else (share if share > ZERO else ZERO)
                along[j, j] = np.sqrt(along[j, j])
                scale(tile, t, j, f32(1) / along[j, j])
            factors[start + t] = along
            kept[start + t] = np.sqrt(least)
        from_texels(tile.reshape(TEXELS, count * channels), start, n, out.reshape(count * channels, texels))


@elementwise
def gram_schmidt_gradient(gradients: Any, bases: Any, factors: Any, out: Any) -> None:
    """The gradient of :func:`gram_schmidt`'s input from that of its output ``bases``, with its ``factors``.

    For A = L Q: dA = L⁻ᵀ (dQ − sym(dQ Qᵀ) Q), sym mirroring the lower triangle; solved from the last row up.
    """
    count, channels, texels = bases.shape
    x, q = np.empty((TEXELS, count, channels), f32), np.empty((TEXELS, count, channels), f32)
    symmetric, transposed = np.empty((count, count), f32), np.empty((count, count), f32)
    for start in range(0, texels, TEXELS):
        n = to_texels(gradients.reshape(count * channels, texels), start, x.reshape(TEXELS, count * channels))
        to_texels(bases.reshape(count * channels, texels), start, q.reshape(TEXELS, count * channels))
        for t in range(n):
            for j in range(count):
                project(x, j, q, t, 0, j + 1, symmetric)
                for k in range(j + 1):
                    symmetric[k, j], transposed[k, j] = symmetric[j, k], factors[start + t, j, k]
            for j in range(count - 1, -1, -1):
                subtract(x, j, symmetric, q, t, 0, count)
                subtract(x, j, transposed, x, t, j + 1, count)
                scale(x, t, j, f32(1) / transposed[j, j])
        from_texels(x.reshape(TEXELS, count * channels), start, n, out.reshape(count * channels, texels))


@elementwise
def load(bases: Any, c: int, start: int, tile: Any) -> int:
    """Copies texels from ``start`` of one channel of bases [n, c, p] to ``tile`` [n, t]; how many there were."""
    n = min(tile.shape[1], bases.shape[2] - start)
    for j in range(len(bases)):
        tile[j, :n] = bases[j, c, start : start + n]
    return n


@elementwise
def weighted_sum(coefficients: Any, bases: Any, out: Any) -> None:
    """out [b, c, p] = Σ_n coefficients [b, n, p] · bases [n, c, p]."""
    batch, count, texels = coefficients.shape
    weights, tile = np.empty((batch, count, TILE), f32), np.empty((count, TILE), f32)
    full = count - count % 4
    for start in range(0, texels, TILE):
        n = min(TILE, texels - start)
        weights[:, :, :n] = coefficients[:, :, start : start + n]
        for c in range(bases.shape[1]):
            load(bases, c, start, tile)
            for b in range(batch):
                total = out[b, c, start : start + n]
                total[:] = ZERO
                for k in range(0, full, 4):
                    w0, w1, w2, w3 = weights[b, k], weights[b, k + 1], weights[b, k + 2], weights[b, k + 3]
                    x0, x1, x2, x3 = tile[k], tile[k + 1], tile[k + 2], tile[k + 3]
                    for p in range(n):
                        total[p] += w0[p] * x0[p] + w1[p] * x1[p] + w2[p] * x2[p] + w3[p] * x3[p]
                for k in range(full, count):
                    w0, x0 = weights[b, k], tile[k]
                    for p in range(n):
                        total[p] += w0[p] * x0[p]


@elementwise
def weighted_sum_gradients(gradients: Any, coefficients: Any, bases: Any, g_coefficients: Any, g_bases: Any) -> None:
    """Both gradients of :func:`weighted_sum`, from that of its output; written, not added."""
    batch, count, texels = coefficients.shape
    weights, g_weights = np.empty((batch, count, TILE), f32), np.empty((batch, count, TILE), f32)
    tile, slope, total = np.empty((count, TILE), f32), np.empty((batch, TILE), f32), np.empty(TILE, f32)
    for start in range(0, texels, TILE):
        n = min(TILE, texels - start)
        weights[:, :, :n] = coefficients[:, :, start : start + n]
        g_weights[:] = ZERO
        for c in range(bases.shape[1]):
            load(bases, c, start, tile)
            load(gradients, c, start, slope)
            for k in range(count):
                x = tile[k]
                total[:] = ZERO
                for b in range(batch):
                    g, w, g_w = slope[b], weights[b, k], g_weights[b, k]
                    for p in range(n):
                        g_w[p] += g[p] * x[p]
                        total[p] += g[p] * w[p]
                g_bases[k, c, start : start + n] = total[:n]
        g_coefficients[:, :, start : start + n] = g_weights[:, :, :n]
