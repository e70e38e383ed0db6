"""Formulas of the paper's nine metrics, and the detectors that feed them."""

from evaluation.metrics.formulas import (
    action_unit_consistency,
    cosine_identity,
    eye_tracking_error,
    frechet_distance,
    pose_rmse,
    vertex_distance,
)
from evaluation.metrics.pixels import l1, psnr, ssim

__all__ = [
    "action_unit_consistency",
    "cosine_identity",
    "eye_tracking_error",
    "frechet_distance",
    "l1",
    "pose_rmse",
    "psnr",
    "ssim",
    "vertex_distance",
]
