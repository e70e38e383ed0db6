"""What a model of the first-order family and its training cannot be together, said before anything is built."""

from model.baselines.firstorder.settings import DiscriminatorParams, FirstOrderModel, FirstOrderTraining
from preprocessing.cli import InputError

VGG19_STRIDE = 16
"""Pixels of an image that become one in VGG-19's last compared map."""
LOST = 6
"""Pixels that the keypoints' 7 × 7 convolution, which has no padding, takes off the side of their maps."""


def check_together(model: FirstOrderModel, training: FirstOrderTraining | None) -> None:
    """InputError where model and training cannot be together, or the model at its size; without training the latter."""
    coarsest = check_sizes(model)
    if training is None:
        return
    if training.batch_size * coarsest**2 == 1:
        raise InputError(
            "training: 'batch_size' = 1 leaves batch normalisation one value, where an hourglass of the model ends in"
            " one pixel: take two pairs, or fewer 'num_blocks'."
        )
    check_losses(model, training)


def check_sizes(model: FirstOrderModel) -> int:
    """The side in pixels where the hourglasses are narrowest; InputError where the resolution cannot be halved so."""
    detector, generator = model.kp_detector_params, model.generator_params
    dense, side, coarsest = generator.dense_motion_params, model.resolution, []
    for name, scale, halvings in (
        ("kp_detector_params", detector.scale_factor, detector.num_blocks),
        ("generator_params: dense_motion_params", dense.scale_factor, dense.num_blocks),
        ("generator_params", 1.0, generator.num_down_blocks),
    ):
        step = round(1 / scale) * 2**halvings
        if side % step:
            raise InputError(
                f"model: 'resolution' = {side} must be a multiple of {step}: '{name}' starts from {scale:g} of it and"
                f" halves that {halvings} times."
            )
        coarsest.append(side // step)
    if (seen := round(side * detector.scale_factor)) < LOST + 2:
        raise InputError(
            f"model: 'resolution' = {side} leaves the keypoint detector {seen} pixels: it needs {LOST + 2}, as its"
            f" last convolution takes off {LOST}."
        )
    return min(coarsest[:2])


def check_losses(model: FirstOrderModel, training: FirstOrderTraining) -> None:
    """InputError where a loss cannot be had of the model."""
    weights, side = training.loss_weights, min(training.scales) * model.resolution
    if not any(training.perceptual) and not weights.generator_gan:
        raise InputError(
            "training: 'loss_weights' needs a number above zero in 'perceptual' or 'generator_gan', or nothing teaches"
            " the generator."
        )
    if training.features == "vgg19" and any(training.perceptual) and side < VGG19_STRIDE:
        raise InputError(
            f"training: 'scales' has {min(training.scales)}, and of {model.resolution} pixels that leaves {side:g}: "
            f"VGG-19 needs {VGG19_STRIDE}."
        )
    if weights.equivariance_jacobian and not model.common_params.estimate_jacobian:
        raise InputError(
            "training: 'loss_weights: equivariance_jacobian' needs Jacobians, and the model has "
            "'common_params: estimate_jacobian' false."
        )
    if not weights.generator_gan:
        return
    judge = model.discriminator_params
    if len(weights.feature_matching) != judge.num_blocks:
        raise InputError(
            f"training: 'loss_weights: feature_matching' has {len(weights.feature_matching)} numbers for the "
            f"discriminator's {judge.num_blocks} blocks."
        )
    if not survives(judge, smallest := round(min(judge.scales) * model.resolution)):
        raise InputError(
            f"model: 'discriminator_params' are shown {smallest} pixels, of which {judge.num_blocks} blocks leave none:"
            " take fewer 'num_blocks', larger 'scales', or 'generator_gan' 0 in the training."
        )


def survives(params: DiscriminatorParams, side: int) -> bool:
    """Whether the discriminator's blocks leave something of a picture of ``side`` pixels.

    Each takes off three; those with instance normalisation, all but the first, need two; all but the last halve.
    """
    for number in range(params.num_blocks):
        side -= 3
        if side < (2 if number else 1):
            return False
        if number < params.num_blocks - 1:
            side //= 2
    return True
