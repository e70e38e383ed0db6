"""Settings of the model and of its training: sizes, conventions, recipe. The paper's numbers are the defaults."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from model.kinds import PLANEDICT, FrameFormat, Kind, LoopSettings, MethodModel
from preprocessing.cli import Block, InputError

FUSION_HEADS = 4
"""Attention heads of ``motion_fusion: transformer``."""
VGG19 = "vgg19-dcbb9e9d.pth"
"""The registered weights of the recipe ``released``'s perceptual loss."""


class EncoderSettings(Block):
    """The network that turns a face into a code."""

    kind: Literal["resnet10", "lia"] = Field(
        "resnet10", description="ResNet-10 (paper), or LIA's residual encoder with low-pass filters (authors' code)"
    )
    resolution: int = Field(256, ge=16, description="side in pixels of the image the encoder sees")
    width: int = Field(64, ge=4, description="channels of the first stage; doubled stage by stage up to 8 x width")
    norm: Literal["batch", "group"] = Field(
        "batch", description="ResNet-10's normalisation layers; group suits small batches"
    )

    @model_validator(mode="after")
    def _power_of_two(self) -> "EncoderSettings":
        if self.kind == "lia" and self.resolution & (self.resolution - 1):
            raise ValueError("the resolution of a lia encoder must be a power of two")
        return self


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


class ModelSettings(MethodModel):
    """The whole model. The defaults are the paper's sizes."""

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
    motion_fusion: Literal["none", "transformer"] = Field(
        "none", description="fuse the driver's motion code with its source's by a transformer layer (authors' code)"
    )
    plane_channels: int = Field(32, ge=1, description="channels of each of the three planes")
    plane_resolution: int = Field(256, ge=8, description="texels per side of each plane")
    canonical: Literal["ellipsoid", "noise"] = Field(
        "ellipsoid", description="where the canonical planes begin: a head-sized blob, or noise (authors' code)"
    )
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

    @property
    def frames(self) -> FrameFormat:
        own = self.motion_encoder
        return FrameFormat(self.resolution, self.encoder.resolution, None if own is None else own.resolution)

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
        if self.motion_fusion == "transformer":
            if self.motion_encoder is not None:
                raise ValueError("motion_fusion needs the source's motion code from E: motion_encoder must be null")
            if self.motion_dim % FUSION_HEADS:
                raise ValueError(f"motion_fusion has {FUSION_HEADS} heads: motion_dim must be a multiple")
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
    "released": {
        "learning_rate": 0.75e-4,
        "plane_learning_rate": 0.75e-4,
        "adam_betas": (0.0, 0.99**0.75),
        "sources": 8,
        "ema": 0.0,
        "released": {},
    },
}
"""What a recipe changes from the defaults below; a value given in the configuration wins over both."""


class ReleasedLosses(Block):
    """Weights of the losses in the authors' code, and how its renderings grow (docs/training.md)."""

    image: float = Field(10.0, ge=0, description="L1 of the output")
    raw: float = Field(10.0, ge=0, description="L1 of the rendering before super-resolution")
    mask: float = Field(2000.0, ge=0, description="L1 inside the eye + mouth mask, averaged over the whole image")
    perceptual: float = Field(0.02, ge=0, description="VGG-19 features")
    vgg19: Path | None = Field(None, description="weights of a VGG-19; null: torchvision's, of the registry")
    density: float = Field(0.25, ge=0, description="smoothness of the density")
    identity: float = Field(50.0, ge=0, description="self pairs: identity codes of source and driver alike")
    identity_cross: float = Field(10.0, ge=0, description="cross pairs: identity code of the output like the source's")
    triplet: float = Field(1.0, ge=0, description="cross pairs: identity codes of two people apart")
    start_rays: int = Field(64, ge=8, description="rays per side at the start")
    growth_steps: int = Field(9600, ge=1, description="steps until the rays per side are the model's")


class AdversarialSettings(Block):
    """The fine-tune that follows the training: a dual discriminator against real images (docs/training.md)."""

    iterations: int = Field(100_000, ge=1, description="optimiser steps, from the trained model on")
    weight: float = Field(0.1, gt=0, description="weight of the generator's adversarial loss beside the others")
    learning_rate: float = Field(2.5e-5, gt=0, description="Adam, all of the model")
    real: Path = Field(description="folder or zip of real images with EG3D's dataset.json, background matted")
    discriminator: Path | None = Field(None, description="EG3D's public network pickle to start the discriminator from")
    discriminator_rate: float = Field(0.002, gt=0, description="Adam, discriminator")
    r1_gamma: float = Field(1.0, ge=0, description="weight of R1")
    channel_base: int = Field(32768, ge=16, description="discriminator's channels at resolution r are channel_base / r")
    channel_max: int = Field(512, ge=4, description="upper bound of the discriminator's channels")


class TrainingSettings(LoopSettings):
    """How one model is trained: the paper's text by default; ``recipe: robust`` is what works (docs/training.md)."""

    recipe: Literal["paper", "robust", "released"] = Field(
        "paper", description="named set of defaults for the fields below"
    )
    sources: int = Field(4, ge=1, description="source images per device and micro-batch")
    drivers: int = Field(1, ge=1, description="driving frames per source")
    learning_rate: float = Field(1e-4, gt=0, description="Adam, networks")
    plane_learning_rate: float = Field(1e-4, gt=0, description="Adam, canonical planes and bases")
    rays: int | None = Field(None, ge=2, description="rays per image, half in the eye + mouth mask; null: whole images")
    eye_rays: float | None = Field(
        None, ge=0, le=1, description="share of the mask's rays that falls on the eyes; null: their share of the area"
    )
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
    weight_dis: float = Field(1.0, ge=0, description="weight of L_dis, on self and cross pairs")
    dis_start: float = Field(
        0.0, ge=0, le=1, description="share of the training after which cross pairs and their losses set in"
    )
    dis_ramp: float = Field(0.1, gt=0, le=1, description="share of the training over which those losses grow")
    released: ReleasedLosses | None = Field(None, description="the authors' code's losses, in place of all others")
    adversarial: AdversarialSettings | None = Field(None, description="fine-tune afterwards; null: none")
    weight_cycle: float = Field(
        0.0,
        ge=0,
        description="weight of L_recons on the driver's frame, rendered with the motion read off a cross output",
    )
    weight_contrastive: float = Field(
        0.0, ge=0, description="weight of telling a cross output's motion from that of the batch's other drivers"
    )
    stratified_drivers: float = Field(0.0, ge=0, le=1, description="share of drivers drawn evenly over mouth opening")
    stratified_eyes: float = Field(0.0, ge=0, le=1, description="share of drivers drawn evenly over eye opening")
    flip: float = Field(0.0, ge=0, le=1, description="probability of flipping a source and its drivers horizontally")

    def stage(self, finetune: bool) -> Self:
        """The settings of the training, or of the adversarial fine-tune that starts from it (else InputError)."""
        if not finetune:
            return self.model_copy(update={"adversarial": None})
        if self.adversarial is None:
            raise InputError(
                "training: --start is where an adversarial fine-tune begins, and 'adversarial' is not set."
            )
        rate = self.adversarial.learning_rate
        rates = {"learning_rate": rate, "plane_learning_rate": rate, "final_decay": 0.0}
        # What the training phased in or out by its end stays so.
        ends = {"dis_start": 0.0, "dis_ramp": 1e-9, "mask_squared_until": 0.0}
        return self.model_copy(update={**rates, **ends, "iterations": self.adversarial.iterations})

    @property
    def images(self) -> int:
        return self.sources * self.drivers

    def registered_weights(self) -> list[str]:
        losses = self.released
        return [VGG19] if losses is not None and losses.perceptual and losses.vgg19 is None else []

    @property
    def uses_cross(self) -> bool:
        """Whether some loss is taken on cross pairs."""
        ours = self.weight_dis > 0 or self.weight_cycle > 0 or self.weight_contrastive > 0
        return ours or self.released is not None

    @model_validator(mode="after")
    def _shares(self) -> "TrainingSettings":
        if self.stratified_drivers + self.stratified_eyes > 1:
            raise ValueError("stratified_drivers and stratified_eyes must not exceed 1 together")
        return self

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return {**RECIPES.get(str(values.get("recipe", "paper")), {}), **values}


def check_together(model: ModelSettings, training: TrainingSettings) -> None:
    """What no block can see alone; raises InputError."""
    if training.rays is not None and model.superresolution:
        raise InputError("training: 'rays' must be null with superresolution, which needs whole images.")
    if training.adversarial is not None and model.resolution & (model.resolution - 1):
        raise InputError(f"training: 'adversarial' needs a resolution that is a power of two, not {model.resolution}.")
    losses = training.released
    if losses is None:
        return
    own = model.motion_encoder is not None or model.relative_codes
    if own or training.rays is not None or not model.superresolution:
        raise InputError(
            "training: 'released' needs whole images (rays: null), superresolution, and a model whose encoder gives"
            " both codes (motion_encoder: null, relative_codes: false)."
        )


KIND = Kind(
    name=PLANEDICT,
    model=ModelSettings,
    training=TrainingSettings,
    method="model.planedict_method",
    motions={"absolute": "neutral", "relative": "neutral"},
    views=True,
    claim=lambda model, training: "trained here",
    check=check_together,
)
