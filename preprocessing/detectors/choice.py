"""Which detector the settings name, and which registered weights it needs. Loads none before it is asked for one."""

from preprocessing import weights
from preprocessing.detectors.backends import (
    BoxDetector,
    CameraFinder,
    FaceMesh,
    LandmarkDetector,
    MediapipeBoxes,
    RegionParser,
)
from preprocessing.settings import CropSettings, FacesSettings, MasksSettings
from preprocessing.weights import BISENET, DEEP3D_LANDMARKS, DEEP3D_NETWORK, FAN, S3FD

FILES: dict[str, tuple[str, ...]] = {
    "sfd": (S3FD,),
    "fan": (FAN, S3FD),
    "deep3dfacerecon": (DEEP3D_NETWORK, DEEP3D_LANDMARKS),
    "bisenet": (BISENET,),
}
"""The registered files of the backends that need any."""


FAMILIES: dict[str, tuple[CropSettings, FacesSettings, MasksSettings]] = {
    "embedded": (CropSettings(), FacesSettings(), MasksSettings()),
    "standard": (
        CropSettings(backend="sfd"),
        FacesSettings(landmarks="fan", camera="deep3dfacerecon"),
        MasksSettings(backend="bisenet"),
    ),
}
"""The two families of detectors, with the settings' defaults."""


Detecting = CropSettings | FacesSettings | MasksSettings
"""Settings that name detectors."""


def files(*settings: Detecting) -> list[str]:
    """The registered files without which the detectors of these settings cannot run, each once."""
    names = [value for block in settings for value in block.model_dump().values() if isinstance(value, str)]
    return list(dict.fromkeys(file for name in names for file in FILES.get(name, ())))


def boxes(settings: CropSettings) -> BoxDetector:
    """The detector of face boxes; missing weights raise :class:`~preprocessing.cli.InputError`, here and below."""
    if settings.backend == "mediapipe":
        return MediapipeBoxes(settings.confidence)
    path = weights.require(S3FD)
    from preprocessing.detectors.sfd import SfdBoxes

    return SfdBoxes(path, settings.confidence)


def landmarks(settings: FacesSettings) -> LandmarkDetector:
    """The detector of landmarks."""
    if settings.landmarks == "facemesh":
        return FaceMesh(settings.confidence)
    fan, sfd = (weights.require(name) for name in FILES["fan"])
    from preprocessing.detectors.fan import FanLandmarks

    return FanLandmarks(fan, sfd, settings.confidence)


def cameras(settings: FacesSettings) -> CameraFinder:
    """What finds the cameras."""
    if settings.camera == "pnp":
        from preprocessing.detectors.pose import PnpCameras

        return PnpCameras()
    network, standard = (weights.require(name) for name in FILES["deep3dfacerecon"])
    from preprocessing.detectors.deep3dcameras import Deep3dCameras

    return Deep3dCameras(network, standard)


def regions(settings: MasksSettings) -> RegionParser:
    """What tells the parts of a person."""
    if settings.backend == "selfie":
        from preprocessing.detectors.regions import SelfieRegions

        return SelfieRegions(settings.threshold)
    path = weights.require(BISENET)
    from preprocessing.detectors.regions import ParsedRegions

    return ParsedRegions(path)
