"""FOMM's networks once more, from the paper and the published key names: NumPy in float64, loops where they are clear.

Nothing here is shared with the code under test; ``weights`` is a state dict as arrays.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Weights = dict[str, np.ndarray]


def part(weights: Weights, prefix: str) -> Weights:
    return {key.removeprefix(f"{prefix}."): value for key, value in weights.items() if key.startswith(f"{prefix}.")}


def conv(x: np.ndarray, weights: Weights, pad: int = 0) -> np.ndarray:
    kernel = weights["weight"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows, kernel, optimize=True) + weights["bias"][:, None, None]


def norm(x: np.ndarray, weights: Weights) -> np.ndarray:
    scale = weights["weight"] / np.sqrt(weights["running_var"] + 1e-5)
    return (x - weights["running_mean"][:, None, None]) * scale[:, None, None] + weights["bias"][:, None, None]


def same(x: np.ndarray, weights: Weights, pad: int = 1) -> np.ndarray:
    return np.maximum(norm(conv(x, part(weights, "conv"), pad), part(weights, "norm")), 0)


def down(x: np.ndarray, weights: Weights) -> np.ndarray:
    y = same(x, weights)
    return (y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]) / 4


def up(x: np.ndarray, weights: Weights) -> np.ndarray:
    return same(x.repeat(2, axis=2).repeat(2, axis=3), weights)


def count(weights: Weights, stem: str) -> int:
    return len({key.split(".")[stem.count(".") + 1] for key in weights if key.startswith(f"{stem}.")})


def hourglass(x: np.ndarray, weights: Weights) -> np.ndarray:
    levels = [x]
    blocks = count(weights, "encoder.down_blocks")
    for i in range(blocks):
        levels.append(down(levels[-1], part(weights, f"encoder.down_blocks.{i}")))
    y = levels.pop()
    for i in range(blocks):
        y = np.concatenate([up(y, part(weights, f"decoder.up_blocks.{i}")), levels.pop()], axis=1)
    return y


def reduced(x: np.ndarray, scale: float) -> np.ndarray:
    """Every 1/scale-th pixel of the picture blurred by the Gaussian of the spec."""
    step = int(1 / scale)
    sigma = (step - 1) / 2
    size = 2 * round(4 * sigma) + 1
    at = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-(at[:, None] ** 2 + at**2) / (2 * sigma**2))
    half = size // 2
    windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (half, half), (half, half))), (size, size), axis=(2, 3))
    return np.einsum("bchwij,ij->bchw", windows, kernel / kernel.sum())[:, :, ::step, ::step]


def grid(h: int, w: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.linspace(-1, 1, w), np.linspace(-1, 1, h)), axis=-1)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def detected(image: np.ndarray, weights: Weights, scale: float, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and their Jacobians."""
    features = hourglass(reduced(image, scale), part(weights, "predictor"))
    logits = conv(features, part(weights, "kp"))
    b, k, h, w = logits.shape
    heat = softmax(logits.reshape(b, k, h * w) / temperature, 2).reshape(b, k, h, w)
    value = np.einsum("bkhw,hwc->bkc", heat, grid(h, w))
    maps = conv(features, part(weights, "jacobian")).reshape(b, k, 2, 2, h, w)
    return value, np.einsum("bkhw,bkijhw->bkij", heat, maps)


def sampled(image: np.ndarray, at: np.ndarray, aligned: bool) -> np.ndarray:
    """image [c, h, w] at (x, y) [..., 2] in [−1, 1]: bilinear, zeros outside; [c, ...]."""
    c, h, w = image.shape
    sizes = np.array([w, h])
    pixels = (at + 1) / 2 * (sizes - 1) if aligned else ((at + 1) * sizes - 1) / 2
    low = np.floor(pixels).astype(int)
    total = np.zeros((c, *at.shape[:-1]))
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[..., 0] + dx, low[..., 1] + dy
            share = (1 - abs(pixels[..., 0] - x)) * (1 - abs(pixels[..., 1] - y))
            inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
            total += image[:, y.clip(0, h - 1), x.clip(0, w - 1)] * share * inside
    return total


def resized(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """maps [c, h, w] at ``size``, bilinear, pixels' centres kept apart evenly, the border repeated."""
    for axis, n in zip((1, 2), size, strict=True):
        m = maps.shape[axis]
        at = ((np.arange(n) + 0.5) * m / n - 0.5).clip(0, m - 1)
        low = np.floor(at).astype(int)
        shape = [1, 1, 1]
        shape[axis] = n
        share = (at - low).reshape(shape)
        high = np.minimum(low + 1, m - 1)
        maps = maps.take(low, axis) * (1 - share) + maps.take(high, axis) * share
    return maps


def motion(
    source: np.ndarray, driving_kp: tuple, source_kp: tuple, weights: Weights, scale: float, aligned: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deformation [b, h, w, 2], mask and occlusion map."""
    small = reduced(source, scale)
    b, _, h, w = small.shape
    z = grid(h, w)
    motions, seen = [], []
    for n in range(b):
        groups, channels = [z], [np.zeros((1, h, w)), sampled(small[n], z, aligned)]
        keypoints = [values[n] for values in (*driving_kp, *source_kp)]
        for p_d, j_d, p_s, j_s in zip(*keypoints, strict=True):
            there = (z - p_d) @ (j_s @ np.linalg.inv(j_d)).T + p_s
            heat = [np.exp(-((z - p) ** 2).sum(-1) / (2 * 0.01)) for p in (p_d, p_s)]
            groups.append(there)
            channels += [(heat[0] - heat[1])[None], sampled(small[n], there, aligned)]
        motions.append(np.stack(groups))
        seen.append(np.concatenate(channels))
    features = hourglass(np.stack(seen), part(weights, "hourglass"))
    mask = softmax(conv(features, part(weights, "mask"), 3), 1)
    deformation = np.einsum("bkhw,bkhwc->bhwc", mask, np.stack(motions))
    return deformation, mask, sigmoid(conv(features, part(weights, "occlusion"), 3))


def warped(images: np.ndarray, deformation: np.ndarray, aligned: bool) -> np.ndarray:
    made = []
    for image, field in zip(images, deformation, strict=True):
        size = image.shape[1:]
        full = field if field.shape[:2] == size else resized(field.transpose(2, 0, 1), size).transpose(1, 2, 0)
        made.append(sampled(image, full, aligned))
    return np.stack(made)


def generated(
    source: np.ndarray, driving_kp: tuple, source_kp: tuple, weights: Weights, scale: float, aligned: bool
) -> dict[str, np.ndarray]:
    """What FOMM's generator gives, by the names of the contract."""
    features = same(source, part(weights, "first"), 3)
    for i in range(count(weights, "down_blocks")):
        features = down(features, part(weights, f"down_blocks.{i}"))
    dense = part(weights, "dense_motion_network")
    deformation, mask, occlusion = motion(source, driving_kp, source_kp, dense, scale, aligned)
    seen = occlusion
    if occlusion.shape[2:] != features.shape[2:]:
        seen = np.stack([resized(one, features.shape[2:]) for one in occlusion])
    features = warped(features, deformation, aligned) * seen
    for i in range(count(weights, "bottleneck")):
        block = part(weights, f"bottleneck.r{i}")
        y = conv(np.maximum(norm(features, part(block, "norm1")), 0), part(block, "conv1"), 1)
        features = features + conv(np.maximum(norm(y, part(block, "norm2")), 0), part(block, "conv2"), 1)
    for i in range(count(weights, "up_blocks")):
        features = up(features, part(weights, f"up_blocks.{i}"))
    prediction = sigmoid(conv(features, part(weights, "final"), 3))
    deformed = warped(source, deformation, aligned)
    return {"mask": mask, "occlusion_map": occlusion, "deformed": deformed, "prediction": prediction}


def judged(image: np.ndarray, keypoints: np.ndarray, weights: Weights) -> list[np.ndarray]:
    """The maps of a discriminator that is shown keypoints, its verdict last."""
    z = grid(*image.shape[2:])
    heat = np.exp(-((z - keypoints[:, :, None, None]) ** 2).sum(-1) / (2 * 0.01))
    x, maps = np.concatenate([image, heat], axis=1), []
    blocks = count(weights, "down_blocks")
    for i in range(blocks):
        block = part(weights, f"down_blocks.{i}")
        x = conv(x, part(block, "conv"))
        if i:
            mean, variance = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
            x = (x - mean) / np.sqrt(variance + 1e-5)
            x = x * block["norm.weight"][:, None, None] + block["norm.bias"][:, None, None]
        x = np.where(x > 0, x, 0.2 * x)
        if i < blocks - 1:
            x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
            x = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
        maps.append(x)
    return [*maps, conv(x, part(weights, "conv"))]
