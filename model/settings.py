"""Settings of the model and of its training: sizes, conventions, recipe. The paper's numbers are the defaults."""

from typing import Literal

from pydantic import Field, model_validator

from preprocessing.cli import Block


class EncoderSettings(Block):
    """The ResNet-10 that turns a face into a code."""

    resolution: int = Field(256, ge=16, description="side in pixels of the image the encoder sees")
    width: int = Field(64, ge=4, description="channels of the first stage; doubled at each of the four stages")
    norm: Literal["batch", "group"] = Field("batch", description="normalisation layers; group suits small batches")


class GeneratorSettings(Block):
    """A StyleGAN2 synthesis network; its output is upsampled bilinearly where it is smaller than the planes."""

    resolution: int = Field(256, ge=4, description="side of the generator's own output; a power of two")
    channel_base: int = Field(32768, ge=16, description="channels at resolution r are channel_base / r")
    channel_max: int = Field(512, ge=4, description="upper bound of the channels")

    @model_validator(mode="after")
    def _power_of_two(self) -> "GeneratorSettings":
        if self.resolution & (self.resolution - 1):
            raise ValueError("the generator's resolution must be a power of two")
        return self


class RenderSettings(Block):
    """Volume rendering (EG3D's conventions, see docs/model.md)."""

    near: float = Field(2.25, gt=0, description="first depth for a camera at distance 2.7; moves with the camera")
    far: float = Field(3.3, gt=0, description="last depth for a camera at distance 2.7; moves with the camera")
    coarse_samples: int = Field(48, ge=2, description="stratified samples per ray")
    fine_samples: int = Field(48, ge=0, description="importance samples per ray")
    box_side: float = Field(1.0, gt=0, description="side of the cube the planes span, world units")
    aggregate: Literal["sum", "mean"] = Field("sum", description="how the features of the three planes are joined")
    plane_axes: Literal["yz", "eg3d"] = Field("yz", description="third plane: (z, y), or EG3D's (z, x)")
    hidden_channels: int = Field(64, ge=1, description="width of the tri-plane decoder")
    feature_channels: int = Field(32, ge=3, description="rendered channels; the first three are the raw image")
    rays_at_once: int | None = Field(
        None, ge=1, description="GPU: rays per image whose samples are in memory in training; null: all"
    )
    view_direction: bool = Field(False, description="give the decoder the viewing direction, as the paper's text does")

    @model_validator(mode="after")
    def _depths_ascend(self) -> "RenderSettings":
        if self.near >= self.far:
            raise ValueError("near must be less than far")
        return self


class ModelSettings(Block):
    """The whole model. The defaults are the paper's sizes."""

    resolution: int = Field(256, ge=16, description="side of the output image")
    neural_rendering_resolution: int = Field(128, ge=8, description="rays per side; equals resolution without SR")
    superresolution: bool = Field(True, description="two StyleGAN-modulated blocks after the renderer")
    superresolution_channels: tuple[int, int] = Field((128, 64), description="channels of the two blocks")
    identity_dim: int = Field(512, ge=1, description="size of the identity code")
    motion_dim: int = Field(512, ge=1, description="size of the motion code")
    encoder: EncoderSettings = Field(default_factory=EncoderSettings, description="E")
    motion_encoder: EncoderSettings | None = Field(
        None, description="an encoder of its own for motion, fed with the aligned grey driver; null: E gives both codes"
    )
    relative_codes: bool = Field(False, description="the motion code is taken relative to the driver's neutral frame")
    plane_channels: int = Field(32, ge=1, description="channels of each of the three planes")
    plane_resolution: int = Field(256, ge=8, description="texels per side of each plane")
    identity_generator: GeneratorSettings = Field(default_factory=GeneratorSettings, description="G_id")
    motion_generator: GeneratorSettings = Field(default_factory=GeneratorSettings, description="G_m")
    motion: Literal["dictionary", "generator"] = Field(
        "dictionary", description="PlaneDict, or a generator like G_id (ablation: without PlaneDict)"
    )
    num_bases: int = Field(20, ge=1, description="N, the bases of the plane dictionary")
    orthogonality: Literal["channel", "pixel"] = Field(
        "channel", description="orthonormal per channel (paper) or per pixel (authors' code)"
    )
    render: RenderSettings = Field(default_factory=RenderSettings, description="renderer")

    @model_validator(mode="after")
    def _consistent(self) -> "ModelSettings":
        if not self.superresolution and self.neural_rendering_resolution != self.resolution:
            raise ValueError("without superresolution, neural_rendering_resolution must equal resolution")
        if self.superresolution and self.resolution % 2:
            raise ValueError("superresolution needs an even resolution")
        for name in ("identity_generator", "motion_generator"):
            if getattr(self, name).resolution > self.plane_resolution:
                raise ValueError(f"{name}.resolution must not exceed plane_resolution")
        if self.orthogonality == "pixel" and self.num_bases > 3 * self.plane_channels:
            raise ValueError("pixel orthogonality allows at most 3 x plane_channels bases")
        return self


RECIPES: dict[str, dict[str, object]] = {
    "paper": {},
    "robust": {
        "learning_rate": 1e-3,
        "plane_learning_rate": 5e-3,
        "sources": 3,
        "drivers": 2,
        "rays": 512,
        "lambda_mask": 1.0,
        "squared": 8.0,
        "mask_squared": 12.0,
        "mask_margin": 0.03,
        "weight_dis": 0.0,
        "motion_penalty": 0.1,
        "stratified_drivers": 0.5,
        "flip": 0.5,
        "final_decay": 0.4,
        "ema": 0.99,
    },
}
"""What a recipe changes from the defaults below; a value given in the configuration wins over both."""


class TrainingSettings(Block):
    """How one model is trained: the paper's text by default; ``recipe: robust`` is what works (docs/training.md)."""

    recipe: Literal["paper", "robust"] = Field("paper", description="named set of defaults for the fields below")
    iterations: int = Field(400_000, ge=0, description="optimiser steps")
    sources: int = Field(4, ge=1, description="source images per step")
    drivers: int = Field(1, ge=1, description="driving frames per source")
    learning_rate: float = Field(1e-4, gt=0, description="Adam, networks")
    plane_learning_rate: float = Field(1e-4, gt=0, description="Adam, canonical planes and bases")
    final_decay: float = Field(
        0.0, ge=0, lt=1, description="last share of the training, in which the rates fall to zero"
    )
    rays: int | None = Field(None, ge=2, description="rays per image, half in the eye + mouth mask; null: whole images")
    lambda_recons: float = Field(1.0, ge=0, description="λ1 of Eq. 5")
    lambda_motion: float = Field(1.5, ge=0, description="λ2 of Eq. 6")
    lambda_mask: float = Field(10.0, ge=0, description="λ3 of Eq. 7")
    mask_margin: float = Field(
        0.0, ge=0, le=0.2, description="growth of the eye + mouth mask in training, share of the image's side"
    )
    mask_squared: float = Field(0.0, ge=0, description="weight of the squared error in the eye + mouth mask")
    mask_squared_until: float = Field(0.75, ge=0, le=1, description="share of the training that uses it")
    squared: float = Field(0.0, ge=0, description="weight of the squared error over all pixels")
    motion_penalty: float = Field(0.0, ge=0, description="weight of mean |ΔP_m|")
    weight_dis: float = Field(
        1.0, ge=0, description="weight of L_dis; 0: neither it nor cross pairs (they have no other loss)"
    )
    dis_start: float = Field(
        0.0, ge=0, le=1, description="share of the training after which L_dis and cross pairs set in"
    )
    dis_ramp: float = Field(0.1, gt=0, le=1, description="share of the training over which L_dis grows to its weight")
    stratified_drivers: float = Field(0.0, ge=0, le=1, description="share of drivers drawn evenly over mouth opening")
    flip: float = Field(0.0, ge=0, le=1, description="probability of flipping a source and its drivers horizontally")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are what is exported")
    checkpoint_every: int = Field(5_000, ge=1, description="steps between checkpoints; two are kept")
    log_every: int = Field(50, ge=1, description="steps between rows of the curves")
    cache_frames: bool = Field(False, description="keep the decoded frames in memory (small datasets)")
    threads: int = Field(1, ge=1, description="CPU threads of the training job")

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {**RECIPES.get(str(values.get("recipe", "paper")), {}), **values}
