"""Settings of FNeVR. Keys and defaults are those of the authors' ``vox-256.yaml``; widths that their code fixes are
settings of their own here."""

from pydantic import Field, model_validator

from model.baselines.firstorder.checks import check_together
from model.baselines.firstorder.settings import (
    FirstOrderModel,
    FirstOrderTraining,
    GeneratorParams,
    LossWeights,
)
from model.baselines.firstorder.settings import claim as firstorder_claim
from model.kinds import Kind
from preprocessing.cli import Block


class RenderParams(Block):
    """Face volume rendering."""

    simpled_channel_rgb: int = Field(128, ge=1, description="channels of all floors' colour features together")
    simpled_channel_sigma: int = Field(128, ge=1, description="channels of all floors' density features together")
    floor_num: int = Field(8, ge=1, description="samples along a pixel's ray")
    hidden_size: int = Field(128, ge=4, description="units of the layers that read a sample")
    render_channels: int = Field(256, ge=1, description="channels that are rendered; 256 in the authors' code")
    mini_channels: int = Field(64, ge=1, description="channels on the way to the rendered picture; 64 there")

    @model_validator(mode="after")
    def _divisible(self) -> "RenderParams":
        for name in ("simpled_channel_rgb", "simpled_channel_sigma"):
            if getattr(self, name) % self.floor_num:
                raise ValueError(f"{name} is no multiple of floor_num ({self.floor_num})")
        return self


class SpadeParams(Block):
    """The decoder's modulation."""

    label_channels: int = Field(128, ge=1, description="channels of the label map; 128 in the authors' code")
    hidden_channels: int = Field(128, ge=1, description="channels that scale and shift share; 128 there")


class FnevrGeneratorParams(GeneratorParams):
    """The generator: FOMM's without bottleneck and up blocks, then rendering and the decoder."""

    num_down_blocks: int = Field(2, ge=2, le=2, description="halvings; the decoder doubles twice")
    num_bottleneck_blocks: int = Field(6, ge=0, description="in the authors' file; FNeVR has none")
    render_params: RenderParams = Field(default_factory=RenderParams, description="face volume rendering")
    spade_params: SpadeParams = Field(default_factory=SpadeParams, description="decoder")

    @model_validator(mode="after")
    def _quarters(self) -> "FnevrGeneratorParams":
        if self.features + self.render_params.render_channels < 16:
            raise ValueError("warped and rendered features need 16 channels together, which the decoder quarters twice")
        return self


class FnevrModel(FirstOrderModel):
    """FNeVR's networks at 256²."""

    generator_params: FnevrGeneratorParams = Field(default_factory=FnevrGeneratorParams, description="generator")
    adapt_movement_scale: bool = Field(
        True, description="relative motion is scaled by the ratio of the keypoints' hulls, as in animate_params"
    )


class FnevrLossWeights(LossWeights):
    """Weights of FNeVR's losses; ``pose_edit`` is not among them, as there is no pose editor."""

    generator_gan: float = Field(1, ge=0, description="least squares, generator")
    perceptual_l1: float = Field(5, ge=0, description="the rendered picture against the driver's frame")


class FnevrTraining(FirstOrderTraining):
    """FNeVR's schedule, which is FOMM's but for its adversary and its batches."""

    batch_size: int = Field(20, ge=1, description="pairs of frames per device and micro-batch")
    loss_weights: FnevrLossWeights = Field(default_factory=FnevrLossWeights, description="losses")


def claim(model: FnevrModel, training: FnevrTraining | None) -> str:
    """What a row of a table may say; what needs DECA, and what the authors did not publish, is missing in training."""
    if training is None:
        return firstorder_claim(model, None)
    lacking = ["without the DECA vertex term and the pose editor"]
    if not training.loss_weights.perceptual_l1:
        lacking.append("without a loss of the rendered picture")
    return firstorder_claim(model, training, *lacking)


KIND = Kind(
    name="fnevr",
    model=FnevrModel,
    training=FnevrTraining,
    method="model.baselines.fnevr.method",
    motions={"absolute": "first", "relative": "first", "relative_best": "best"},
    self_motions=("absolute",),
    views=False,
    claim=claim,
    check=check_together,
    outputs=("prediction", "deformed"),
    official=True,
)
