"""Settings that change while a model trains, as pure functions of progress."""

import math


def rays_per_side(progress: float, start: int, full: int) -> int:
    """Rays per side of a training image: ``start``, growing linearly to ``full`` while ``progress`` goes 0 → 1.

    Whole rays, rounded down; constant beyond both ends. The authors' code goes from 64 to 128 in 9,600 optimiser
    steps: progress = step / 9,600 is one more ray per side every 150 steps.
    """
    return start + math.floor(min(max(progress, 0.0), 1.0) * (full - start))
