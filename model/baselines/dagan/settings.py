"""Settings of DaGAN. The model's keys are those of the authors' YAML files, the defaults their vox-adv-256 with the 15
keypoints of their checkpoints; what they write into their code is a setting here, of the same value."""

from typing import Literal

from pydantic import Field, model_validator

from model.baselines.firstorder.checks import check_together
from model.baselines.firstorder.settings import (
    CommonParams,
    DiscriminatorParams,
    FirstOrderModel,
    FirstOrderTraining,
    LossWeights,
    Share,
)
from model.baselines.firstorder.settings import claim as firstorder_claim
from model.kinds import Kind
from preprocessing.cli import Block, InputError

COARSEST = 32
"""The depth network's coarsest features have one pixel for so many of the image's; it needs two of them a side."""
NARROWING = 8
"""The attention's queries and keys have so many times fewer channels than the features."""


class DaganCommonParams(CommonParams):
    """FOMM's, with the keypoints of the published checkpoints (the authors' YAML says 10, their command line 15)."""

    num_kp: int = Field(15, ge=1, description="keypoints")


class DepthParams(Block):
    """The network that estimates a face's disparity, monodepth2's (Godard et al., ICCV 2019)."""

    layers: Literal[18, 50] = Field(18, description="the encoder's ResNet; the authors' checkpoints go with 18")
    width: int = Field(64, ge=4, multiple_of=4, description="channels of the encoder's first level")
    near: float = Field(2.4, gt=0, description="depth at disparity 1, where the camera is 2.7 from the head's centre")
    far: float = Field(2.9, gt=0, description="depth at disparity 0, likewise; both count where it is trained here")
    encoder: str | None = Field(
        None, description="the authors' encoder.pth, a registered name or a path; null: depth is trained here"
    )
    decoder: str | None = Field(None, description="the authors' depth.pth, likewise")

    @model_validator(mode="after")
    def _consistent(self) -> "DepthParams":
        if self.near >= self.far:
            raise ValueError("near must be less than far")
        if (self.encoder is None) != (self.decoder is None):
            raise ValueError("encoder and decoder are given together or not at all")
        return self


class SpadeParams(Block):
    """Channels in the decoder of the SPADE generator."""

    compress: int = Field(4, ge=1, description="of the features that modulate, beside the warped source")
    fc: int = Field(512, ge=1, description="of the three blocks at the features' size")
    up: int = Field(256, ge=1, description="at twice that size")
    out: int = Field(64, ge=1, description="at the image's size")
    hidden: int = Field(128, ge=1, description="between what modulates and its scales and shifts")


class DaganModel(FirstOrderModel):
    """A model of DaGAN; the defaults are the authors'."""

    common_params: DaganCommonParams = Field(default_factory=DaganCommonParams, description="keypoints and channels")
    kp_num_channels: int = Field(4, ge=4, le=4, description="what keypoints are detected in: RGB and disparity")
    generator: Literal["depth", "spade"] = Field("depth", description="depth-aware generator, or the one with SPADE")
    spade: SpadeParams = Field(default_factory=SpadeParams, description="channels of the generator with SPADE")
    discriminator_params: DiscriminatorParams = Field(
        default_factory=lambda: DiscriminatorParams(use_kp=True), description="discriminator, in training only"
    )
    depth: DepthParams | None = Field(
        default_factory=DepthParams, description="depth network; null: the disparity is one half everywhere (no depth)"
    )

    @model_validator(mode="after")
    def _sizes(self) -> "DaganModel":
        if self.depth is not None and (self.resolution % COARSEST or self.resolution < 2 * COARSEST):
            raise ValueError(f"the depth network needs a resolution that is a multiple of {COARSEST}, 64 or more")
        if self.generator_params.features < NARROWING:
            raise ValueError(f"generator_params: the attention needs features of {NARROWING} channels or more")
        if self.generator == "spade" and self.generator_params.num_down_blocks != 2:
            raise ValueError("the generator with SPADE doubles its features' size twice: num_down_blocks must be 2")
        return self

    def foreign_weights(self) -> list[str]:
        """The authors' depth network."""
        files = (self.depth.encoder, self.depth.decoder) if self.depth is not None else ()
        return [name for name in files if name is not None]


class DaganLossWeights(LossWeights):
    """Weights of the losses; the defaults are the authors'."""

    generator_gan: float = Field(
        1, ge=0, description="least squares, generator; 0: no discriminator, no feature matching"
    )
    kp_distance: float = Field(
        10, ge=0, description="keypoints nearer than .2 to each other, counted; a figure without gradient"
    )


class DaganTraining(FirstOrderTraining):
    """How DaGAN is trained: the authors' schedule, after a depth network of our own where theirs is not given."""

    batch_size: int = Field(12, ge=1, description="pairs of frames per device and micro-batch")
    milestones: list[Share] = Field([], description="shares of the training after which rates fall to a tenth")
    loss_weights: DaganLossWeights = Field(default_factory=DaganLossWeights, description="losses")
    depth_iterations: int = Field(
        20_000, ge=1, description="the first steps, which train the depth network alone; none where its files are given"
    )
    lr_depth: float = Field(1e-4, gt=0, description="Adam, depth network")
    depth_smoothness: float = Field(1e-3, ge=0, description="depth: weight of its edge-aware smoothness")
    depth_background: float = Field(
        0.1, ge=0, description="depth: weight of the black background's disparity, which has to be 0"
    )

    def depth_steps(self, model: DaganModel) -> int:
        """How many steps come first that train the depth network."""
        return self.depth_iterations if model.depth is not None and model.depth.encoder is None else 0


def check(model: DaganModel, training: DaganTraining | None) -> None:
    """What the family needs; that the depth network's steps leave some to the rest, or where it is from without them.

    Raises InputError.
    """
    check_together(model, training)
    if training is None:
        if model.depth is not None and model.depth.encoder is None:
            raise InputError("DaGAN's checkpoints have no depth network: 'depth: encoder' and 'decoder' must name it.")
    elif training.iterations and training.depth_steps(model) >= training.iterations:
        raise InputError(
            f"training: 'iterations' = {training.iterations} must be more than 'depth_iterations' ="
            f" {training.depth_iterations}, which train the depth network alone."
        )


def claim(model: DaganModel, training: DaganTraining | None) -> str:
    """What a row of a table may say: besides what the family says, where depth is from, and SPADE."""
    depth = "no depth"
    if model.depth is not None:
        depth = "depth trained here with known cameras" if model.depth.encoder is None else "authors' depth"
    return firstorder_claim(model, training, depth, *(["SPADE generator"] if model.generator == "spade" else []))


KIND = Kind(
    name="dagan",
    model=DaganModel,
    training=DaganTraining,
    method="model.baselines.dagan.method",
    motions={"absolute": "first", "relative": "first", "relative_best": "best"},
    self_motions=("absolute",),
    views=False,
    claim=claim,
    check=check,
    outputs=("prediction", "deformed"),
    official=True,
)
