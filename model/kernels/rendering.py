"""The renderer: a few rays at a time, all that they need held in cache.

Points lie along the last axis of every block, so each loop runs over contiguous values whatever the number of channels.
Nothing is kept between the passes but the sorted depths: the backward pass computes its points again, which takes no
longer than writing and reading their features would.
"""

from typing import Any

import numpy as np

from model.kernels.compiling import elementwise, reduction

BLOCK = 256
"""Points held in cache at a time: rays are taken in blocks of about as many samples."""

f32 = np.float32
ZERO, HALF, ONE = f32(0), f32(0.5), f32(1)
NOTHING = f32(-1e4)
"""Raw density of empty space."""
OPAQUE = f32(1e-3)
"""Share of the light behind which nothing is seen."""
# exp: a range of ± ln 2 / 2, Taylor's series, the exponent's bits. ROUND = 1.5 · 2²³ leaves an integer in the low bits.
LOWEST, LOG2_E, ROUND = f32(-87), f32(1.44269504), f32(12582912)
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.1219444e-4)
E3, E4, E5, E6, E7 = f32(1 / 6), f32(1 / 24), f32(1 / 120), f32(1 / 720), f32(1 / 5040)
# log(1 + y) / y on [0, 1]: Chebyshev interpolation of degree 8, exact to 2e-7.
L0, L1, L2, L3, L4 = f32(0.9999999705), f32(-0.4999950152), f32(0.3331927134), f32(-0.2484436989), f32(0.1911143108)
L5, L6, L7, L8 = f32(-0.1367476971), f32(0.078361668), f32(-0.0295885074), f32(0.0052534578)


@elementwise
def exp(x: Any) -> Any:
    """eˣ for x ≤ 87, to two units in the last place; e⁻⁸⁷ below."""
    x = max(x, LOWEST)
    shifted = x * LOG2_E + ROUND
    n = shifted - ROUND
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = ((((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + HALF) * r + ONE) * r + ONE
    exponent = np.int32(f32(shifted).view(np.int32) << 23)
    return np.int32(f32(p).view(np.int32) + exponent).view(f32)


@elementwise
def softplus(x: Any) -> Any:
    """log(1 + eˣ)."""
    y = exp(-abs(x))
    p = (((((((L8 * y + L7) * y + L6) * y + L5) * y + L4) * y + L3) * y + L2) * y + L1) * y + L0
    return HALF * (x + abs(x)) + y * p


@elementwise
def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    y = exp(-abs(x))
    return (ONE if x >= ZERO else y) / (ONE + y)


@elementwise
def affine(weight: Any, bias: Any, x: Any, out: Any, n: int) -> None:
    """out [J, n] = weight [J, K] · x [K, n] + bias [J]: two rows and four columns at a time."""
    rows, columns = weight.shape
    for j in range(0, rows - 1, 2):
        a, b = out[j], out[j + 1]
        a[:n] = bias[j]
        b[:n] = bias[j + 1]
        full = columns - columns % 4
        for k in range(0, full, 4):
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            a0, a1, a2, a3 = weight[j, k], weight[j, k + 1], weight[j, k + 2], weight[j, k + 3]
            b0, b1, b2, b3 = weight[j + 1, k], weight[j + 1, k + 1], weight[j + 1, k + 2], weight[j + 1, k + 3]
            for p in range(n):
                y0, y1, y2, y3 = x0[p], x1[p], x2[p], x3[p]
                a[p] += a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                b[p] += b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
        for k in range(full, columns):
            x0, a0, b0 = x[k], weight[j, k], weight[j + 1, k]
            for p in range(n):
                a[p] += a0 * x0[p]
                b[p] += b0 * x0[p]
    if rows % 2:
        a = out[rows - 1]
        a[:n] = bias[rows - 1]
        for k in range(columns):
            x0, a0 = x[k], weight[rows - 1, k]
            for p in range(n):
                a[p] += a0 * x0[p]


@reduction
def add_outer(x: Any, y: Any, total: Any, n: int) -> None:
    """total [J, K] += x [J, n] · y [K, n]ᵀ."""
    rows, columns = total.shape
    full = columns - columns % 4
    for j in range(rows):
        a = x[j]
        for k in range(0, full, 4):
            y0, y1, y2, y3 = y[k], y[k + 1], y[k + 2], y[k + 3]
            s0 = s1 = s2 = s3 = ZERO
            for p in range(n):
                s0 += a[p] * y0[p]
                s1 += a[p] * y1[p]
                s2 += a[p] * y2[p]
                s3 += a[p] * y3[p]
            total[j, k] += s0
            total[j, k + 1] += s1
            total[j, k + 2] += s2
            total[j, k + 3] += s3
        for k in range(full, columns):
            y0, s0 = y[k], ZERO
            for p in range(n):
                s0 += a[p] * y0[p]
            total[j, k] += s0


@reduction
def add_sums(x: Any, total: Any, n: int) -> None:
    """total [J] += the sums of x [J, n] along its rows."""
    for j in range(len(total)):
        s = ZERO
        for p in range(n):
            s += x[j, p]
        total[j] += s


@reduction
def inner(x: Any, y: Any) -> Any:
    """Σ x·y."""
    s = ZERO
    for p in range(len(x)):
        s += x[p] * y[p]
    return s


@elementwise
def locate(
    grid: Any, image: int, origins: Any, directions: Any, depths: Any, spans: Any, offsets: Any, rows: Any, weights: Any
) -> int:
    """The twelve rows of the table [n, 12] that each point of rays [r, 3] × depths [r, s] reads, and their weights.

    Of each ray the samples from spans[r, 0] to before spans[r, 1] count; sample s is point offsets[r] + s of n.
    """
    (height, width), axes, scale, share = grid
    half_width, half_height = f32(width) * HALF, f32(height) * HALF
    p = 0
    for r in range(depths.shape[0]):
        offsets[r] = p - spans[r, 0]
        for s in range(spans[r, 0], spans[r, 1]):
            for plane in range(3):
                u, v = axes[plane, 0], axes[plane, 1]
                x = ((origins[r, u] + depths[r, s] * directions[r, u]) * scale + ONE) * half_width - HALF
                y = ((origins[r, v] + depths[r, s] * directions[r, v]) * scale + ONE) * half_height - HALF
                # Far outside, both corners are: no integer overflows.
                x = min(max(x, f32(-2)), f32(width + 1))
                y = min(max(y, f32(-2)), f32(height + 1))
                i, j = int(np.floor(x)), int(np.floor(y))
                right, low = x - f32(i), y - f32(j)
                left = (ONE - right) * share if 0 <= i < width else ZERO
                right = right * share if 0 <= i + 1 < width else ZERO
                top = ONE - low if 0 <= j < height else ZERO
                low = low if 0 <= j + 1 < height else ZERO
                i0, i1 = min(max(i, 0), width - 1), min(max(i + 1, 0), width - 1)
                first = (image * 3 + plane) * height
                j0, j1 = (first + min(max(j, 0), height - 1)) * width, (first + min(max(j + 1, 0), height - 1)) * width
                k = 4 * plane
                rows[p, k], rows[p, k + 1], rows[p, k + 2], rows[p, k + 3] = j0 + i0, j0 + i1, j1 + i0, j1 + i1
                weights[p, k], weights[p, k + 1] = top * left, top * right
                weights[p, k + 2], weights[p, k + 3] = low * left, low * right
            p += 1
    return p


@elementwise
def gather(table: Any, rows: Any, weights: Any, features: Any, n: int) -> None:
    """features [C, n]: the weighted sums of each point's twelve rows of ``table``."""
    channels = table.shape[1]
    texels = np.empty((n, channels), f32)
    for p in range(n):
        for c in range(channels):
            texels[p, c] = ZERO
        for k in range(0, 12, 4):
            r0, r1, r2, r3 = rows[p, k], rows[p, k + 1], rows[p, k + 2], rows[p, k + 3]
            w0, w1, w2, w3 = weights[p, k], weights[p, k + 1], weights[p, k + 2], weights[p, k + 3]
            for c in range(channels):
                texels[p, c] += w0 * table[r0, c] + w1 * table[r1, c] + w2 * table[r2, c] + w3 * table[r3, c]
    for c in range(channels):
        for p in range(n):
            features[c, p] = texels[p, c]


@elementwise
def scatter(gradients: Any, rows: Any, weights: Any, table: Any, n: int) -> None:
    """The transpose of :func:`gather`: adds gradients [C, n] to the rows of ``table``."""
    channels = table.shape[1]
    texels = np.empty((n, channels), f32)
    for c in range(channels):
        for p in range(n):
            texels[p, c] = gradients[c, p]
    for p in range(n):
        for k in range(12):
            row, weight = rows[p, k], weights[p, k]
            for c in range(channels):
                table[row, c] += weight * texels[p, c]


@elementwise
def composite(density: Any, depths: Any, alpha: Any, light: Any) -> None:
    """Opacity of each interval between one ray's samples, and the light that gets there (EG3D's ``MipRayMarcher2``)."""
    for i in range(len(depths) - 1):
        middle = HALF * (density[i] + density[i + 1])
        alpha[i] = ONE - exp(-softplus(middle - ONE) * (depths[i + 1] - depths[i]))
    left = ONE
    for i in range(len(depths) - 1):
        light[i] = left
        left *= ONE - alpha[i] + f32(1e-10)


@elementwise
def resample(depths: Any, weights: Any, quantiles: Any, fine: Any) -> None:
    """Ascending depths drawn from one ray's coarse weights [D − 1] by inverse transform (``sample_importance``)."""
    count = len(depths) - 3
    cdf = np.empty(count + 1, f32)
    cdf[0] = ZERO
    for i in range(1, count + 1):
        before, here, after = weights[i - 1], weights[i], weights[i + 1]
        smoothed = HALF * (max(before, here) + max(here, after))
        cdf[i] = cdf[i - 1] + (smoothed + f32(0.01) + f32(1e-5))
    total = cdf[count]
    for i in range(1, count + 1):
        cdf[i] /= total
    quantiles.sort()
    above = 0
    for q in range(len(quantiles)):
        while above <= count and cdf[above] <= quantiles[q]:
            above += 1
        below, top = max(above - 1, 0), min(above, count)
        span = cdf[top] - cdf[below]
        span = span if span >= f32(1e-5) else ONE
        low, high = HALF * (depths[below] + depths[below + 1]), HALF * (depths[top] + depths[top + 1])
        fine[q] = low + (quantiles[q] - cdf[below]) / span * (high - low)


@elementwise
def merge(coarse: Any, fine: Any, depths: Any, order: Any) -> None:
    """Two ascending lists into one, and where each came from: an index into the two, one after the other."""
    i, j = 0, 0
    for s in range(len(depths)):
        if j == len(fine) or (i < len(coarse) and coarse[i] <= fine[j]):
            depths[s], order[s] = coarse[i], i
            i += 1
        else:
            depths[s], order[s] = fine[j], len(coarse) + j
            j += 1


@elementwise
def decode(features: Any, layers: Any, hidden: Any, out: Any, n: int) -> None:
    """Row 0 of out [1 + K, n]: raw density; others: sigmoid of the colours. ``hidden`` [H, n]: what softplus gave."""
    w1, b1, w2, b2 = layers
    affine(w1, b1, features, hidden, n)
    for j in range(len(hidden)):
        x = hidden[j]
        for p in range(n):
            x[p] = softplus(x[p])
    affine(w2, b2, hidden, out, n)
    for j in range(1, len(out)):
        x = out[j]
        for p in range(n):
            x[p] = sigmoid(x[p])


@elementwise
def sense(table: Any, grid: Any, layers: Any, places: Any, density: Any, brightness: Any) -> None:
    """``density`` (≥ 0) and ``brightness`` (the largest colour) [b, x, y, z] at the lattice of ``places`` [g]."""
    w1, _, w2, _ = layers
    side = len(places)
    points = side * side
    rows, weights = np.empty((points, 12), np.int64), np.empty((points, 12), f32)
    values, hidden = np.empty((len(w1[0]), points), f32), np.empty((len(w1), points), f32)
    out = np.empty((len(w2), points), f32)
    # One slice of constant x: rays along z from each y.
    origins, directions, depths = np.zeros((side, 3), f32), np.zeros((side, 3), f32), np.empty((side, side), f32)
    spans, offsets = np.zeros((side, 2), np.int64), np.empty(side, np.int64)
    for j in range(side):
        origins[j, 1], directions[j, 2], spans[j, 1] = places[j], ONE, side
        depths[j] = places
    for image in range(len(density)):
        for i in range(side):
            origins[:, 0] = places[i]
            n = locate(grid, image, origins, directions, depths, spans, offsets, rows, weights)
            gather(table, rows, weights, values, n)
            decode(values, layers, hidden, out, n)
            for j in range(side):
                for k in range(side):
                    p = j * side + k
                    density[image, i, j, k] = softplus(out[0, p] - ONE)
                    brightness[image, i, j, k] = out[1, p]
                    for c in range(2, len(out)):
                        brightness[image, i, j, k] = max(brightness[image, i, j, k], out[c, p])


@elementwise
def clip(cells: Any, side: int, cube: float, rays: Any, spans: Any) -> None:
    """``spans`` [b, r, 2]: the coarse samples that matter to each ray through a ``cube`` of ``cells`` [b, side³].

    From the first cell that is not empty (its light or its shade counts) to the last that is seen, and a sample more at
    either end; none where nothing is seen. Beyond the cube its outermost cells count.
    """
    origins, directions, coarse = rays
    batch, total, samples = coarse.shape
    scale, step = f32(side) / cube, cube / f32(side)
    for image in range(batch):
        for r in range(total):
            near, far = coarse[image, r, 0], coarse[image, r, samples - 1]
            first, last = far + step, near - step
            t = near
            while t < far + step:
                cell = side * side * side
                index = 0
                for axis in range(3):
                    x = (origins[image, r, axis] + t * directions[image, r, axis]) * scale + HALF * f32(side)
                    cell //= side
                    index += cell * int(min(max(x, ZERO), f32(side - 1)))
                if cells[image, index] >= 1:
                    first = min(first, t)
                if cells[image, index] == 2:
                    last = t
                t += step
            a, b = 0, samples
            while a < samples and coarse[image, r, a] <= first:
                a += 1
            while b > 0 and coarse[image, r, b - 1] >= last:
                b -= 1
            spans[image, r, 0], spans[image, r, 1] = max(a - 1, 0), min(b + 1, samples)
            if last < near:
                spans[image, r] = 0


@elementwise
def forward(
    table: Any, grid: Any, layers: Any, rays: Any, quantiles: Any, spans: Any, shaded: bool, written: Any
) -> None:
    """Render rays: origins, directions [b, r, 3], coarse depths [b, r, c]; fine ones at ``quantiles`` [b, r, f].

    ``table`` [rows, channels] holds the planes' texels as rows; ``grid`` is (height, width), the planes' axes, 2 / box
    side, and the share of each plane; ``layers`` are the decoder's weights and biases. ``quantiles`` are left sorted.
    ``spans`` [b, r, 2]: the coarse samples of each ray to look at, from and to before; beyond them space is empty.
    ``shaded``: neither look at fine samples where no light of the ray gets.
    Written: features [b, r, K], depth (not clamped) and opacity [b, r], depths of all samples [b, r, c + f].
    """
    w1, _, w2, _ = layers
    origins, directions, coarse = rays
    features, depth, opacity, depths = written
    batch, total, first = coarse.shape
    second = quantiles.shape[2]
    samples, outputs = first + second, len(w2)
    capacity = max(BLOCK, first, second)
    rows, weights = np.empty((capacity, 12), np.int64), np.empty((capacity, 12), f32)
    values, hidden = np.empty((len(w1[0]), capacity), f32), np.empty((len(w1), capacity), f32)
    out, parts = np.empty((2, outputs, capacity), f32), np.empty((2, capacity), f32)
    fine, order = np.empty((capacity, second), f32), np.empty(samples, np.int64)
    density, alpha, light = np.empty(samples, f32), np.empty(samples, f32), np.empty(samples, f32)
    held, offsets = np.empty((2, capacity, 2), np.int64), np.empty((2, capacity), np.int64)
    for image in range(batch):
        start = 0
        while start < total:
            count = points = 0
            while start + count < total and count < capacity:
                a, b = spans[image, start + count, 0], spans[image, start + count, 1]
                points += max(b - a, second) if b > a else 0
                if points > capacity:
                    break
                held[:, count, 0], held[:, count, 1] = a, b
                count += 1
            o, d = origins[image, start : start + count], directions[image, start : start + count]
            for turn in range(2 if second else 1):
                t = fine[:count] if turn else coarse[image, start : start + count]
                n = locate(grid, image, o, d, t, held[turn], offsets[turn], rows, weights)
                gather(table, rows, weights, values, n)
                decode(values, layers, hidden, out[turn], n)
                for r in range(count if turn == 0 and second else 0):
                    a, b = held[0, r, 0], held[0, r, 1]
                    if a == b:
                        continue
                    for s in range(first):
                        density[s] = out[0, 0, offsets[0, r] + s] if a <= s < b else NOTHING
                    composite(density, t[r], alpha, light)
                    for i in range(first - 1):
                        alpha[i] *= light[i]
                    resample(t[r], alpha, quantiles[image, start + r], fine[r])
                    held[1, r, 0], held[1, r, 1] = 0, second
                    while held[1, r, 0] < second and fine[r, held[1, r, 0]] < t[r, a]:
                        held[1, r, 0] += 1
                    # Behind what lets no light through, a sample more and no further.
                    while shaded and b - 2 > a and light[b - 2] < OPAQUE:
                        b -= 1
                    while held[1, r, 1] > held[1, r, 0] and fine[r, held[1, r, 1] - 1] > t[r, b - 1]:
                        held[1, r, 1] -= 1
            for r in range(count):
                a, b, t = held[0, r, 0], held[0, r, 1], depths[image, start + r]
                if a == b:
                    features[image, start + r] = -ONE
                    opacity[image, start + r], depth[image, start + r] = ZERO, np.nan
                    t[:] = coarse[image, start + r, first - 1]
                    continue
                merge(coarse[image, start + r], fine[r], t, order)
                for s in range(samples):
                    turn, k = (0, order[s]) if order[s] < first else (1, order[s] - first)
                    inside = held[turn, r, 0] <= k < held[turn, r, 1]
                    density[s] = out[turn, 0, offsets[turn, r] + k] if inside else NOTHING
                composite(density, t, alpha, light)
                before, weighted, light_sum = ZERO, ZERO, ZERO
                for s in range(samples):
                    w = alpha[s] * light[s] if s < samples - 1 else ZERO
                    turn, k = (0, order[s]) if order[s] < first else (1, order[s] - first)
                    if held[turn, r, 0] <= k < held[turn, r, 1]:
                        parts[turn, offsets[turn, r] + k] = before + w
                    if s < samples - 1:
                        weighted += w * HALF * (t[s] + t[s + 1])
                        light_sum += w
                    before = w
                opacity[image, start + r] = light_sum
                depth[image, start + r] = weighted / light_sum
                for k in range(1, outputs):
                    # Σ w·(c₀ + c₁)/2 over intervals is half of Σ (w before + w after)·c over samples, in any order.
                    colour = ZERO
                    for turn in range(2 if second else 1):
                        seen = slice(offsets[turn, r] + held[turn, r, 0], offsets[turn, r] + held[turn, r, 1])
                        colour += inner(parts[turn, seen], out[turn, k, seen])
                    features[image, start + r, k - 1] = f32(1.002) * colour - f32(0.002) * light_sum - ONE
            start += count


@elementwise
def backward(table: Any, grid: Any, layers: Any, rays: Any, gradients: Any, totals: Any) -> None:
    """Adds to ``totals`` (like table and layers) what the gradients of features, depth and opacity say of each.

    ``rays`` are origins, directions and the depths of all samples, ascending.
    """
    w1, _, w2, _ = layers
    origins, directions, depths = rays
    g_features, g_depth, g_opacity = gradients
    g_table, g_w1, g_b1, g_w2, g_b2 = totals
    batch, total, samples = depths.shape
    block = max(1, BLOCK // samples)
    outputs, wide, channels = len(w2), len(w1), len(w1[0])
    rows, weights = np.empty((block * samples, 12), np.int64), np.empty((block * samples, 12), f32)
    values, hidden = np.empty((channels, len(rows)), f32), np.empty((wide, len(rows)), f32)
    out, g_hidden = np.empty((outputs, len(rows)), f32), np.empty((wide, len(rows)), f32)
    alpha, light = np.empty((block, samples), f32), np.empty((block, samples), f32)
    score = np.empty(samples, f32)
    spans, offsets = np.zeros((block, 2), np.int64), np.empty(block, np.int64)
    spans[:, 1] = samples
    w1_t, w2_t = np.ascontiguousarray(w1.T), np.ascontiguousarray(w2.T)
    nothing = np.zeros(max(wide, channels), f32)
    for image in range(batch):
        for start in range(0, total, block):
            count = min(block, total - start)
            n = count * samples
            o, d = origins[image, start : start + count], directions[image, start : start + count]
            t = depths[image, start : start + count]
            locate(grid, image, o, d, t, spans, offsets, rows, weights)
            gather(table, rows, weights, values, n)
            decode(values, layers, hidden, out, n)
            for r in range(count):
                composite(out[0, r * samples : (r + 1) * samples], t[r], alpha[r], light[r])
                first = r * samples
                g = g_features[image, start + r]
                light_sum, weighted, slope = ZERO, ZERO, g_opacity[image, start + r] - f32(0.002) * g.sum()
                for i in range(samples - 1):
                    w = alpha[r, i] * light[r, i]
                    light_sum += w
                    weighted += w * HALF * (t[r, i] + t[r, i + 1])
                # What a unit of weight at each sample brings.
                score[:] = ZERO
                for k in range(1, outputs):
                    colour, factor = out[k], f32(2.004) * g[k - 1]
                    for s in range(samples):
                        score[s] += factor * colour[first + s]
                for k in range(1, outputs):
                    colour, factor, before = out[k], f32(1.002) * g[k - 1], ZERO
                    for s in range(samples):
                        after = alpha[r, s] * light[r, s] if s < samples - 1 else ZERO
                        c = colour[first + s]
                        colour[first + s] = factor * (before + after) * c * (ONE - c)
                        before = after
                per_depth = g_depth[image, start + r] / light_sum if light_sum > ZERO else ZERO
                mean = weighted / light_sum if light_sum > ZERO else ZERO
                # Backwards along the ray: ``later`` is the gradient of the light behind the interval.
                later, beyond = ZERO, ZERO
                for s in range(samples - 1, 0, -1):
                    i, delta = s - 1, t[r, s] - t[r, s - 1]
                    g_weight = HALF * (score[i] + score[s]) + slope + per_depth * (HALF * (t[r, i] + t[r, s]) - mean)
                    g_alpha = light[r, i] * (g_weight - later)
                    later = g_weight * alpha[r, i] + later * (ONE - alpha[r, i] + f32(1e-10))
                    middle = HALF * (out[0, first + i] + out[0, first + s]) - ONE
                    g_middle = HALF * g_alpha * (ONE - alpha[r, i]) * delta * sigmoid(middle)
                    out[0, first + s] = beyond + g_middle
                    beyond = g_middle
                out[0, first] = beyond
            add_outer(out, hidden, g_w2, n)
            add_sums(out, g_b2, n)
            affine(w2_t, nothing, out, g_hidden, n)
            for j in range(wide):
                x, y = g_hidden[j], hidden[j]
                for p in range(n):
                    x[p] *= ONE - exp(-y[p])  # softplus' = sigmoid = 1 − exp(−softplus)
            add_outer(g_hidden, values, g_w1, n)
            add_sums(g_hidden, g_b1, n)
            affine(w1_t, nothing, g_hidden, values, n)
            scatter(values, rows, weights, g_table, n)
