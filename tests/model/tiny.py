"""The smallest model of every part but super-resolution, as settings: what the tests train and run untrained."""

from typing import Any

GROUPED = {"resolution": 32, "width": 4, "norm": "group"}
MODEL: dict[str, Any] = {
    "resolution": 32,
    "neural_rendering_resolution": 32,
    "superresolution": False,
    "identity_dim": 8,
    "motion_dim": 4,
    "encoder": GROUPED,
    "plane_channels": 4,
    "plane_resolution": 16,
    "num_bases": 3,
    "identity_generator": {"resolution": 8, "channel_base": 64, "channel_max": 8},
    "motion_generator": {"resolution": 8, "channel_base": 64, "channel_max": 8},
    "render": {"coarse_samples": 6, "fine_samples": 0, "hidden_channels": 8, "feature_channels": 3},
}
OWN = MODEL | {"motion_encoder": GROUPED, "relative_codes": True}
"""With a motion encoder of its own and relative codes, as the demo's."""
RELEASED = {
    "encoder": {"kind": "lia", "resolution": 32, "width": 4},
    "motion_fusion": "transformer",
    "canonical": "noise",
    "orthogonality": "pixel",
    "superresolution": True,
    "superresolution_channels": [8, 4],
    "neural_rendering_resolution": 16,
}
"""What the authors' code changes of it."""
