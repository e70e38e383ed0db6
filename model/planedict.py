"""The whole model: canonical planes + identity deformations + motion, rendered and super-resolved (paper, Fig. 2)."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from model.cameras import REFERENCE_RADIUS, split_label
from model.decoder import TriplaneDecoder
from model.encoder import build_encoder
from model.occupancy import find_occupancy
from model.plane_dictionary import PlaneDictionary, combine
from model.rays import rays_of_pixels
from model.renderer import Occupancy, RenderConfig, Rendering, look_up, plane_rows, render_rays
from model.settings import FUSION_HEADS, GeneratorSettings, ModelSettings
from model.stylegan2 import SynthesisNetwork
from model.superresolution import SuperResolution


class Output(NamedTuple):
    """A rendered view: image and raw image in [−1, 1], depth in world units, opacity in [0, 1]."""

    image: Float[Tensor, "b 3 r r"]
    raw: Float[Tensor, "b 3 s s"]
    depth: Float[Tensor, "b 1 s s"]
    opacity: Float[Tensor, "b 1 s s"]


class PlaneGenerator(nn.Module):
    """A StyleGAN2 synthesis network driven by one code, upsampled bilinearly to the planes' resolution."""

    def __init__(self, settings: GeneratorSettings, code_dim: int, channels: int, plane_resolution: int) -> None:
        super().__init__()
        self.network = SynthesisNetwork(
            code_dim, settings.resolution, channels, settings.channel_base, settings.channel_max
        )
        self.plane_resolution = plane_resolution

    def forward(self, code: Float[Tensor, "b d"]) -> Float[Tensor, "b channels r r"]:
        maps = self.network(code[:, None].expand(-1, self.network.num_ws, -1), noise="none")
        if maps.shape[-1] == self.plane_resolution:
            return maps
        return F.interpolate(maps, (self.plane_resolution, self.plane_resolution), mode="bilinear", align_corners=False)


def full_precision(planes: Tensor) -> Tensor:
    """Planes that mixed precision left in half precision, as float32."""
    return planes.float() if planes.dtype.itemsize < 4 else planes


HEAD_CENTRE, HEAD_RADII = (0.0, 0.02, 0.05), (0.21, 0.30, 0.25)
"""A head in world units, seen by no one in particular: where density starts."""


def ellipsoid(channels: int, side: int, box_side: float) -> Float[Tensor, "planes side side"]:
    """Canonical planes [3·channels, side, side] whose first channels sum to 1 − |(x − c)/r|², noise in the rest.

    A quadratic form without mixed terms is a sum over planes, so a tri-plane holds it exactly: x² + y² in (x, y), z² in
    the others. Without it, training from nearly frontal views begins with a billboard.
    """
    axis = ((torch.arange(side) + 0.5) / side - 0.5) * box_side
    x, y, z = (((axis - c) / r).square() for c, r in zip(HEAD_CENTRE, HEAD_RADII, strict=True))
    planes = 0.05 * torch.randn(3, channels, side, side)
    planes[0, 0] = 1 - y[:, None] - x[None, :]
    planes[1, 0] = -z[:, None] / 2
    planes[2, 0] = -z[None, :] / 2
    return planes.flatten(0, 1)


class PlaneDict(nn.Module):
    """P = P_c + G_id(ω_id of the source) + PlaneDict(G_m(ω_m of the driver); B), Eqs. 1–4.

    The pieces are public so that a driving video does the source's work once: :meth:`codes`,
    :meth:`identity_planes`, then per frame :meth:`motion_code`, :meth:`driving_code`, :meth:`motion_planes`,
    :meth:`render`.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        channels, side = 3 * settings.plane_channels, settings.plane_resolution
        own = settings.motion_encoder is not None
        self.encoder = build_encoder(settings.encoder, 3, settings.identity_dim + (0 if own else settings.motion_dim))
        if settings.motion_encoder is not None:
            self.motion_encoder = build_encoder(settings.motion_encoder, 1, settings.motion_dim)
        from_ellipsoid = settings.canonical == "ellipsoid"
        self.canonical = nn.Parameter(
            ellipsoid(settings.plane_channels, side, settings.render.box_side)
            if from_ellipsoid
            else torch.randn(channels, side, side)
        )
        self.identity_generator = PlaneGenerator(settings.identity_generator, settings.identity_dim, channels, side)
        with_dictionary = settings.motion == "dictionary"
        self.motion_generator = PlaneGenerator(
            settings.motion_generator, settings.motion_dim, settings.num_bases if with_dictionary else channels, side
        )
        if with_dictionary:
            self.dictionary = PlaneDictionary(settings.num_bases, channels, side, side, settings.orthogonality)
        self.decoder = TriplaneDecoder(
            settings.plane_channels,
            settings.render.hidden_channels,
            settings.render.feature_channels,
            direction_channels=3 if settings.render.view_direction else 0,
        )
        if from_ellipsoid:
            self._start_from_ellipsoid()
        if settings.superresolution:
            self.superresolution = SuperResolution(
                settings.render.feature_channels,
                settings.identity_dim + settings.motion_dim,
                settings.resolution,
                settings.superresolution_channels,
            )
        if settings.motion_fusion == "transformer":
            self.motion_fusion = nn.TransformerDecoderLayer(
                settings.motion_dim, FUSION_HEADS, settings.motion_dim, batch_first=True
            )

    @torch.no_grad()
    def _start_from_ellipsoid(self) -> None:
        """Let the ellipsoid's channel carry the density, so that rendering starts from a head-sized blob."""
        self.decoder.fc1.weight[0].zero_()
        self.decoder.fc1.weight[0, 0] = 4 / self.decoder.fc1.weight_gain
        self.decoder.fc2.weight[0, 0] = 6 / self.decoder.fc2.weight_gain
        self.decoder.fc2.bias[0] = -4
        # Deformations begin small beside it.
        for block in self.identity_generator.network.children():
            block.get_parameter("torgb.weight").mul_(0.1)
        for block in self.motion_generator.network.children():
            block.get_parameter("torgb.weight").mul_(0.3)

    @property
    def driver_resolution(self) -> int:
        """Side of the images :meth:`motion_code` takes."""
        return (self.settings.motion_encoder or self.settings.encoder).resolution

    def codes(self, image: Float[Tensor, "b 3 r r"]) -> tuple[Tensor, Tensor | None]:
        """ω_id [b, identity] and, unless motion has an encoder of its own, ω_m [b, motion] of faces: one pass of E."""
        code = self.encoder(image)
        identity, motion = code[:, : self.settings.identity_dim], code[:, self.settings.identity_dim :]
        return identity, motion if self.settings.motion_encoder is None else None

    def identity_code(self, image: Float[Tensor, "b 3 r r"]) -> Float[Tensor, "b identity"]:
        """ω_id of a face in [−1, 1], black background, at the encoder's resolution."""
        return self.codes(image)[0]

    def motion_code(self, driver: Float[Tensor, "b c r r"]) -> Float[Tensor, "b motion"]:
        """ω_m of a driving frame: the image in [−1, 1], or, with an encoder of its own, the aligned grey face."""
        if self.settings.motion_encoder is not None:
            return self.motion_encoder(driver)
        return self.encoder(driver)[:, self.settings.identity_dim :]

    def driving_code(
        self, driver: Float[Tensor, "b motion"], source: Float[Tensor, "#b motion"] | None
    ) -> Float[Tensor, "b motion"]:
        """The code that moves the planes: the driver's ω_m, where ``motion_fusion`` says so fused with its source's.

        The fusion is a transformer decoder layer (Vaswani et al. 2017) in which the source's token asks the driver's.
        Every pair is a sequence of its own; the authors' code takes the batch for the sequence, so that there a
        result depends on the other pairs. One pair at a time, the two agree. Relative codes are fused as they are.
        """
        if self.settings.motion_fusion == "none":
            return driver
        if source is None:
            raise ValueError("this model fuses the driver's motion code with the source's and needs both")
        return self.motion_fusion(source.expand_as(driver)[:, None], driver[:, None])[:, 0]

    def identity_planes(self, identity: Float[Tensor, "b d"]) -> Float[Tensor, "b channels r r"]:
        """ΔP_id, Eq. 3."""
        return self.identity_generator(identity)

    def scaled_bases(self) -> Tensor | None:
        """The dictionary's scaled bases, computed once for many frames; None without a dictionary."""
        return self.dictionary.scaled_bases() if self.settings.motion == "dictionary" else None

    def motion_planes(self, motion: Float[Tensor, "b d"], scaled: Tensor | None) -> Float[Tensor, "b channels r r"]:
        """ΔP_m, Eq. 4, with :meth:`scaled_bases`. Coefficients are divided by √N: the scale does not depend on N."""
        maps = self.motion_generator(motion)
        if scaled is None:
            return maps
        return combine(maps / math.sqrt(len(scaled)), scaled)

    def planes(
        self, identity_planes: Float[Tensor, "b channels r r"], motion_planes: Float[Tensor, "b channels r r"]
    ) -> Float[Tensor, "b 3 c r r"]:
        """P of Eq. 2."""
        total = self.canonical + identity_planes + motion_planes
        return total.unflatten(1, (3, self.settings.plane_channels))

    @property
    def render_config(self) -> RenderConfig:
        """The renderer's conventions as the settings say; depths are jittered in training."""
        r = self.settings.render
        return RenderConfig(
            near=r.near,
            far=r.far,
            coarse_samples=r.coarse_samples,
            fine_samples=r.fine_samples,
            box_side=r.box_side,
            aggregate=r.aggregate,
            plane_axes=r.plane_axes,
            jitter=self.training,
            rays_at_once=r.rays_at_once,
        )

    def query(
        self, planes: Float[Tensor, "b 3 c r r"], points: Float[Tensor, "b n 3"]
    ) -> tuple[Float[Tensor, "b n 1"], Float[Tensor, "b n features"]]:
        """Raw density (before the marcher's softplus) and colour features at ``points`` in world units.

        They are looked at from the front, where the decoder asks for a direction.
        """
        with torch.autocast(planes.device.type, enabled=False):
            features = look_up(plane_rows(full_precision(planes)), planes.shape, points, self.render_config)
            density, colour = self.decoder(features, points.new_tensor([0, 0, -1]).expand_as(points))
            return density, colour

    def density(self, planes: Float[Tensor, "b 3 c r r"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n 1"]:
        """The raw density of :meth:`query`."""
        return self.query(planes, points)[0]

    def occupancy(self, planes: Float[Tensor, "b 3 c r r"], rays: int) -> Occupancy | None:
        """Where ``planes`` hold anything to see, for ``rays`` per image (:func:`find_occupancy`)."""
        return find_occupancy(planes, self.decoder, self.render_config, rays)

    def render_pixels(
        self,
        planes: Float[Tensor, "b 3 c r r"],
        label: Float[Tensor, "b 25"],
        pixels: Tensor,
        resolution: int,
        skip_empty: bool = False,
    ) -> Rendering:
        """Render the rays of ``pixels`` [b, n] (row-major in a ``resolution``² image) from the cameras ``label``.

        ``skip_empty``, without gradients: leave out empty space (:func:`find_occupancy`).
        """
        # Half precision would move rays and samples: the renderer leaves mixed precision.
        with torch.autocast(planes.device.type, enabled=False):
            planes, config = full_precision(planes), self.render_config
            cam2world, intrinsics = split_label(label)
            origins, directions = rays_of_pixels(cam2world, intrinsics, pixels, resolution)
            shift = torch.linalg.vector_norm(cam2world[:, :3, 3], dim=1) - REFERENCE_RADIUS
            occupancy = self.occupancy(planes, pixels.shape[1]) if skip_empty else None
            return render_rays(
                planes, self.decoder, origins, directions, config, depth_shift=shift, occupancy=occupancy
            )

    def render(
        self,
        planes: Float[Tensor, "b 3 c r r"],
        label: Float[Tensor, "b 25"],
        identity: Float[Tensor, "b d"],
        motion: Float[Tensor, "b d"],
        resolution: int | None = None,
        skip_empty: bool = False,
    ) -> Output:
        """Render whole images with ``resolution`` rays per side (``neural_rendering_resolution`` unless given).

        With super-resolution fewer rays are repeated up to that size, as in the authors' code while theirs grows.
        ``skip_empty``, without gradients: leave out empty space (:func:`find_occupancy`).
        """
        side = resolution or self.settings.neural_rendering_resolution
        pixels = torch.arange(side * side, device=planes.device).expand(len(planes), -1)
        rendering = self.render_pixels(planes, label, pixels, side, skip_empty)
        maps = [x.transpose(1, 2).unflatten(2, (side, side)) for x in rendering]
        full = self.settings.neural_rendering_resolution
        if self.settings.superresolution and side < full:
            maps = [F.interpolate(x, (full, full), mode="nearest") for x in maps]
        features, depth, opacity = maps
        raw = features[:, :3]
        image = raw
        if self.settings.superresolution:
            image = self.superresolution(raw, features, torch.cat([identity, motion], dim=1))
        return Output(image, raw, depth, opacity)

    def forward(
        self,
        source: Float[Tensor, "b 3 r r"],
        driver: Float[Tensor, "b c r r"],
        label: Float[Tensor, "b 25"],
        neutral: Float[Tensor, "b c r r"] | None = None,
    ) -> Output:
        """One source, one driver and its camera per row; ``neutral`` is the driver's reference for relative codes."""
        identity, source_motion = self.codes(source)
        motion = self.motion_code(driver)
        if neutral is not None:
            motion = motion - self.motion_code(neutral)
        motion = self.driving_code(motion, source_motion)
        return self.render(
            self.planes(self.identity_planes(identity), self.motion_planes(motion, self.scaled_bases())),
            label,
            identity,
            motion,
        )
