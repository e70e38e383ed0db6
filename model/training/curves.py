"""Training curves as a table (step, metric, value) and as a picture."""

from pathlib import Path

import matplotlib
import pandas as pd

from preprocessing.files import atomic

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# What a metric is called, in the order of the plots; others follow under their own names.
TITLES = {
    "loss": "total loss",
    "reconstruction": "L_recons (Eq. 7)",
    "l1": "L1, all pixels",
    "deformed_l1": "L1, warped source",
    "perceptual": "perceptual, pyramid",
    "equivariance_value": "equivariance, keypoints",
    "equivariance_jacobian": "equivariance, Jacobians",
    "mask_rmse": "error in eyes + mouth",
    "disentanglement": "L_dis (Eq. 6)",
    "contrastive": "contrastive, cross pairs",
    "cycle": "cycle, cross pairs",
    "adversarial": "adversarial, model",
    "discriminator": "adversarial, discriminator",
    "feature_matching": "feature matching",
    "r1": "R1",
    "identity_spread": "spread of ω_id",
    "motion_spread": "spread of ω_m",
    "motion_planes": "mean |ΔP_m|",
}


def write_curves(rows: list[dict[str, object]], table: Path, title: str) -> None:
    """Write ``rows`` (step, metric, value) as parquet, and the plots beside it as PNG."""
    frame = pd.DataFrame(rows, columns=["step", "metric", "value"]).astype(
        {"step": "int64", "metric": "str", "value": "float64"}
    )
    seen = dict.fromkeys(frame["metric"])
    metrics = [m for m in TITLES if m in seen] + [m for m in seen if m not in TITLES]
    rows_of_plots = max(1, -(-len(metrics) // 4))
    figure, axes = plt.subplots(rows_of_plots, 4, figsize=(12, 2.5 * rows_of_plots), constrained_layout=True)
    for axis, metric in zip(axes.flat, metrics, strict=False):
        curve = frame[frame["metric"] == metric]
        axis.plot(curve["step"], curve["value"], color="#2b6cb0", linewidth=0.8, alpha=0.4)
        smooth = curve["value"].rolling(9, center=True, min_periods=1).mean()
        axis.plot(curve["step"], smooth, color="#1a365d", linewidth=1.6)
        axis.set_title(TITLES.get(metric, metric.replace("_", " ")), fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=11)
    with atomic(table.with_suffix(".png")) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)
    with atomic(table) as temporary:
        frame.to_parquet(temporary, index=False)
