"""Settings of the first-order family. The model's keys are those of the authors' own YAML files (``model_params``), the
defaults those of FOMM's vox-256, so that a configuration of theirs can be pasted."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from model.kinds import OFFICIAL, LoopSettings, MethodModel
from model.settings import VGG19
from preprocessing.cli import Block


def _one_over_whole(scale: float) -> float:
    if (1 / scale) % 1:
        raise ValueError(f"{scale} is not one over a whole number")
    return scale


Scale = Annotated[float, Field(gt=0, le=1), AfterValidator(_one_over_whole)]
"""A share of a picture's side, one over a whole number, since every n-th pixel is kept."""
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class CommonParams(Block):
    """What the networks have in common."""

    num_kp: int = Field(10, ge=1, description="keypoints")
    num_channels: int = Field(3, ge=3, le=3, description="channels of an image")
    estimate_jacobian: bool = Field(True, description="a Jacobian at every keypoint; else motion is translation only")


class KpDetectorParams(Block):
    """The keypoint detector."""

    temperature: float = Field(0.1, gt=0, description="of the softmax over a keypoint's map")
    block_expansion: int = Field(
        32, ge=1, description="channels of the hourglass's first level; doubled level by level"
    )
    max_features: int = Field(1024, ge=1, description="upper bound of the channels")
    scale_factor: Scale = Field(0.25, description="size of the image it sees")
    num_blocks: int = Field(5, ge=1, description="halvings of the hourglass")


class DenseMotionParams(Block):
    """The network that joins the keypoints' motions to one for every pixel."""

    block_expansion: int = Field(64, ge=1, description="channels of the hourglass's first level")
    max_features: int = Field(1024, ge=1, description="upper bound of the channels")
    num_blocks: int = Field(5, ge=1, description="halvings of the hourglass")
    scale_factor: Scale = Field(0.25, description="size of the image it sees")


class GeneratorParams(Block):
    """The network that warps the source's features and draws the picture."""

    block_expansion: int = Field(64, ge=1, description="channels of the first level; doubled level by level")
    max_features: int = Field(512, ge=1, description="upper bound of the channels")
    num_down_blocks: int = Field(2, ge=1, description="halvings before features are warped")
    num_bottleneck_blocks: int = Field(6, ge=0, description="residual blocks after warping")
    estimate_occlusion_map: bool = Field(True, description="predict what the source does not show")
    dense_motion_params: DenseMotionParams = Field(default_factory=DenseMotionParams, description="dense motion")

    @property
    def features(self) -> int:
        """Channels of the features that are warped."""
        return min(self.max_features, self.block_expansion * 2**self.num_down_blocks)


class DiscriminatorParams(Block):
    """The discriminator of the adversarial losses: its blocks, on whole pictures."""

    scales: list[Scale] = Field([1], min_length=1, description="sizes of the picture that are judged")
    block_expansion: int = Field(32, ge=1, description="channels before the first block, which doubles them")
    max_features: int = Field(512, ge=1, description="upper bound of the channels")
    num_blocks: int = Field(4, ge=1, description="blocks")
    sn: bool = Field(False, description="spectral normalisation of every convolution")
    use_kp: bool = Field(False, description="the driver's keypoints are shown to it as well")


class FirstOrderModel(MethodModel):
    """A model of the first-order family; the defaults are FOMM's for vox-256."""

    common_params: CommonParams = Field(default_factory=CommonParams, description="keypoints and channels")
    kp_detector_params: KpDetectorParams = Field(default_factory=KpDetectorParams, description="keypoint detector")
    generator_params: GeneratorParams = Field(default_factory=GeneratorParams, description="generator")
    discriminator_params: DiscriminatorParams = Field(
        default_factory=lambda: DiscriminatorParams(sn=True), description="discriminator, in training only"
    )
    align_corners: bool = Field(
        False,
        description="how pictures are read in warping: false as in torch from 1.3 on, true as in FOMM's first torch",
    )
    adapt_movement_scale: bool = Field(
        False, description="relative motion is scaled by the ratio of the keypoints' hulls (the demos' --adapt_scale)"
    )


class LossWeights(Block):
    """Weights of the losses; one number per feature map where there are several."""

    generator_gan: float = Field(
        0, ge=0, description="least squares, generator; 0: no discriminator, no feature matching"
    )
    discriminator_gan: float = Field(1, ge=0, description="least squares, discriminator")
    feature_matching: list[Weight] = Field([10, 10, 10, 10], description="L1 of the discriminator's maps")
    perceptual: list[Weight] = Field(
        [10, 10, 10, 10, 10], description="L1 of VGG-19's maps, or of pixels (first number)"
    )
    equivariance_value: float = Field(10, ge=0, description="keypoints move with a warped frame")
    equivariance_jacobian: float = Field(10, ge=0, description="so do their Jacobians")


class Augmentation(Block):
    """What happens to a source and its driver alike; FOMM's numbers."""

    flip: bool = Field(True, description="swap source and driver (one half); else flip both horizontally (one half)")
    brightness: float = Field(0.1, ge=0, description="factor up to this much from 1")
    contrast: float = Field(0.1, ge=0, description="factor up to this much from 1")
    saturation: float = Field(0.1, ge=0, description="factor up to this much from 1")
    hue: float = Field(0.1, ge=0, le=0.5, description="turn of the colour circle, up to")


class FirstOrderTraining(LoopSettings):
    """How a model of the first-order family is trained; FOMM's vox-256 by default."""

    batch_size: int = Field(40, ge=1, description="pairs of frames per device and micro-batch")
    lr_generator: float = Field(2e-4, gt=0, description="Adam, generator")
    lr_discriminator: float = Field(2e-4, gt=0, description="Adam, discriminator")
    lr_kp_detector: float = Field(2e-4, gt=0, description="Adam, keypoint detector")
    adam_betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's decay rates")
    milestones: list[Share] = Field([0.6, 0.9], description="shares of the training after which rates fall to a tenth")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights; 0, as in FOMM: the last ones")
    scales: list[Scale] = Field([1, 0.5, 0.25, 0.125], min_length=1, description="sizes at which pictures are compared")
    features: Literal["vgg19", "pixels"] = Field(
        "vgg19", description="what the pyramid compares: VGG-19's maps (torchvision's weights), or pixels"
    )
    sigma_affine: float = Field(0.05, ge=0, description="equivariance: deviation of the random affine map")
    sigma_tps: float = Field(0.005, ge=0, description="equivariance: deviation of the thin plate's weights")
    points_tps: int = Field(5, ge=2, description="equivariance: the thin plate's points per side")
    loss_weights: LossWeights = Field(default_factory=LossWeights, description="losses")
    augmentation: Augmentation = Field(default_factory=Augmentation, description="of the pairs")

    @model_validator(mode="after")
    def _numbers(self) -> "FirstOrderTraining":
        if self.features == "vgg19" and len(self.loss_weights.perceptual) != 5:
            raise ValueError("loss_weights.perceptual needs five numbers, one for each map of VGG-19")
        return self

    @property
    def images(self) -> int:
        return self.batch_size

    @property
    def perceptual(self) -> list[float]:
        """The weights of the maps that are compared: five, or that of pixels alone."""
        weights = self.loss_weights.perceptual
        return weights[:1] if self.features == "pixels" else weights

    def decay(self, done: float) -> float:
        """Factor of every learning rate: a tenth after each milestone, and what every kind's training has."""
        passed = sum(done >= share for share in self.milestones)
        return super().decay(done) * 0.1**passed

    def registered_weights(self) -> list[str]:
        return [VGG19] if self.features == "vgg19" and any(self.perceptual) else []


LOSSES = {
    "generator_gan": "adversarial losses",
    "perceptual": "perceptual loss",
    "equivariance_value": "equivariance of keypoints",
    "equivariance_jacobian": "equivariance of Jacobians",
}
"""Losses whose absence a row of a table names."""


def claim(model: FirstOrderModel, training: FirstOrderTraining | None, *lacking: str) -> str:
    """What a row of a table may say: "mini, trained here, without …".

    It is a miniature where a size is below the authors', which are the defaults of the kind's model. What of their
    losses is left out follows, after ``lacking``, the words of a kind for what else is not theirs. Without training the
    weights are the authors'.
    """
    if training is None:
        return ", ".join((OFFICIAL, *lacking))
    words = ["mini"] if _below(model.model_dump(exclude={"discriminator_params"}), type(model)().model_dump()) else []
    words += ["trained here", *lacking]
    if training.features == "pixels":
        words.append("without VGG-19's features")
    if not model.common_params.estimate_jacobian:
        words.append("without Jacobians")
    if not model.generator_params.estimate_occlusion_map:
        words.append("without an occlusion map")
    theirs = type(training)()
    for name, loss in LOSSES.items():
        if _any(getattr(theirs.loss_weights, name)) and not _any(getattr(training.loss_weights, name)):
            words.append(f"without {loss}")
    if training.scales != theirs.scales:
        words.append(f"pictures compared at {len(training.scales)} of {len(theirs.scales)} sizes")
    if training.augmentation != theirs.augmentation:
        words.append("other augmentation")
    return ", ".join(words)


def _below(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return any(_below(value, theirs[key]) for key, value in ours.items())
    return isinstance(ours, int) and not isinstance(ours, bool) and isinstance(theirs, int) and ours < theirs


def _any(weight: float | list[float]) -> bool:
    return any(weight) if isinstance(weight, list) else bool(weight)
