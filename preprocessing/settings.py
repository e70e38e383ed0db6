"""Typed settings of the data stages; each stage's command takes its own block as ``--settings``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from preprocessing.cli import Block


class DecodeSettings(Block):
    """Limits on the child process that decodes one video."""

    wall_seconds: float = Field(default=900, gt=0, description="longest time to wait for one video, in seconds")
    stall_seconds: float = Field(default=60, gt=0, description="longest silence of the decoder, in seconds")
    memory_mb: int = Field(default=2048, ge=256, description="address space of the decoder, in MiB")


class ScanSettings(DecodeSettings):
    """Limits when a video is first looked into, which decide whether it is used at all."""

    max_frames: int = Field(default=500_000, ge=1, description="frames after which a video counts as endless")
    max_damaged: float = Field(
        default=0.1, ge=0, le=1, description="largest share of frames that are lost after the first broken one"
    )


class DownloadSettings(Block):
    """How media are downloaded that a list names by their addresses."""

    attempts: int = Field(default=5, ge=1, description="runs that try a clip whose failure may pass")
    wall_seconds: float = Field(default=1800, gt=0, description="longest time for one download in one run, in seconds")
    stall_seconds: float = Field(default=30, gt=0, description="longest silence of a server, in seconds")
    tries: int = Field(default=5, ge=1, description="requests or broken transfers after which a run gives a file up")
    pause_seconds: float = Field(
        default=1,
        ge=0,
        description="pause before the second try, doubled each time; a server's Retry-After comes first",
    )
    throttle_seconds: float = Field(
        default=5, ge=0, description="least time between the starts of two downloads from one site, on one machine"
    )
    request_seconds: float = Field(
        default=1, ge=0, description="pause between the requests that one YouTube video takes, in seconds"
    )
    kib_per_second: float | None = Field(default=None, gt=0, description="fastest transfer of one job; null: no limit")
    refusals: int = Field(
        default=3, ge=1, description="answers 403, or missing connections, in a row that end requests"
    )
    cooling_seconds: float = Field(
        default=3600,
        ge=0,
        description="how long this machine leaves a site alone that blocked it or is out of reach, in s",
    )
    lines: int = Field(
        default=1080, ge=144, description="wanted height of a YouTube video: the next one not above it, else the lowest"
    )
    max_mb: int = Field(default=16384, ge=1, description="size in MiB above which a download counts as endless")


WANTED = ("lines", "max_mb")
"""What decides which downloads come; the other settings say how patiently and how fast."""


class _SourceSettings(Block):
    """What the settings of every kind of source share."""

    scan: ScanSettings = Field(default_factory=ScanSettings, description="limits of the first look into a video")


LISTS = "your own copy of the dataset's lists: a file, or the folder that holds them; null: fetched"


class EmbeddedSettings(_SourceSettings):
    """Four clips of three people out of registry packages."""

    kind: Literal["embedded"] = Field(description="the clips that registry packages carry")
    frames: dict[str, PositiveInt] = Field(
        default_factory=dict, description="use only the first so many frames of these clips; empty: whole clips"
    )


class FolderSettings(_SourceSettings):
    """A folder of your own videos, with an optional clips.csv."""

    kind: Literal["folder"] = Field(description="a folder of your own videos")
    path: Path = Field(description="the folder of videos")


class ListSettings(_SourceSettings):
    """A table of your own clips, each a YouTube video, a file behind an address, or a file of yours."""

    kind: Literal["list"] = Field(description="a table of your own clips")
    path: Path = Field(description="the CSV file; files that it names are relative to its folder")


class VoxCeleb1Settings(_SourceSettings):
    """VoxCeleb1: lists of clips in YouTube's videos."""

    kind: Literal["voxceleb1"] = Field(description="VoxCeleb1, by its lists")
    clips: Literal["fomm", "utterances"] = Field(
        default="fomm", description="fomm: the clips of FOMM's sheet; utterances: those of the authors' own files"
    )
    lists: Path | None = Field(default=None, description=LISTS)


class VoxCeleb2Settings(_SourceSettings):
    """VoxCeleb2: your copy of its mp4 parts, or its utterance files, whose clips are in YouTube's videos."""

    kind: Literal["voxceleb2"] = Field(description="VoxCeleb2, by your copy")
    path: Path | None = Field(default=None, description="folder that holds dev/mp4/id…/… and test/mp4/id…/…")
    lists: Path | None = Field(default=None, description="folder or zip of utterance files, instead of `path`")

    @model_validator(mode="after")
    def _one_of_both(self) -> "VoxCeleb2Settings":
        if (self.path is None) == (self.lists is None):
            but = "" if self.path is None else ", not both"
            raise ValueError(
                f"kind 'voxceleb2' needs path (your copy of the mp4 parts) or lists (utterance files){but}"
            )
        return self


class TalkingHead1KHSettings(_SourceSettings):
    """TalkingHead-1KH: lists of clips in YouTube's videos."""

    kind: Literal["talkinghead1kh"] = Field(description="TalkingHead-1KH, by its lists")
    parts: list[Literal["train", "val"]] = Field(
        default=["train", "val"], min_length=1, description="which of its lists are used; val is the test part"
    )
    lists: Path | None = Field(default=None, description=LISTS)


class FFHQSettings(_SourceSettings):
    """Real photos with cameras in EG3D's layout, for the adversarial fine-tune; not a dataset of videos."""

    kind: Literal["ffhq"] = Field(description="photos with cameras, for the adversarial fine-tune only")
    path: Path = Field(description="the folder of photos with EG3D's dataset.json")


SourceSettings = Annotated[
    EmbeddedSettings
    | FolderSettings
    | ListSettings
    | VoxCeleb1Settings
    | VoxCeleb2Settings
    | TalkingHead1KHSettings
    | FFHQSettings,
    Field(discriminator="kind"),
]
"""Where a dataset's videos come from: one block for each kind."""


class DatasetSettings(Block):
    """One dataset: its source and into how many shards its clips are divided."""

    source: SourceSettings = Field(description="where the videos come from")
    shards: int = Field(default=1, ge=1, le=100_000, description="number of shards; 256 to 1,024 clips each work well")
    download: DownloadSettings = Field(
        default_factory=DownloadSettings, description="how media with an address are downloaded"
    )


class CropSettings(Block):
    """Tubes by FOMM's rule and the window that becomes the frame."""

    backend: Literal["mediapipe", "sfd"] = Field(default="mediapipe", description="face detector")
    every: int = Field(default=5, ge=1, le=100, description="detect on every so many frames, interpolate in between")
    confidence: float = Field(default=0.5, ge=0, le=1, description="lowest score of a detection")
    iou: float = Field(default=0.25, ge=0, le=1, description="a tube is cut below this overlap with its first box")
    increase: float = Field(default=0.1, ge=0, le=2, description="share of the box added on each side")
    min_frames: int = Field(default=64, ge=1, description="shortest tube")
    max_frames: int = Field(default=1024, ge=1, description="longest tube; longer ones are cut")
    min_size: int = Field(default=256, ge=1, description="smallest longer side of the face box, in pixels")
    allow_padding: bool = Field(default=False, description="keep tubes whose enlarged box leaves the frame, padded")
    framing: Literal["eg3d", "fomm"] = Field(default="eg3d", description="window that follows the face, or FOMM's crop")
    size: int = Field(default=256, ge=32, le=1024, description="side of a frame in the shards, in pixels")
    smoothing: float = Field(default=0.2, ge=0, le=5, description="smoothing of the window's centre, in seconds")
    decode: DecodeSettings = Field(default_factory=DecodeSettings, description="limits on the decoder")

    @model_validator(mode="after")
    def _lengths_agree(self) -> "CropSettings":
        if self.min_frames > self.max_frames:
            raise ValueError("min_frames must not exceed max_frames")
        return self


class FacesSettings(Block):
    """Landmarks and cameras."""

    landmarks: Literal["facemesh", "fan"] = Field(default="facemesh", description="landmark detector")
    camera: Literal["pnp", "deep3dfacerecon"] = Field(default="pnp", description="how the camera is found")
    confidence: float = Field(default=0.5, ge=0, le=1, description="lowest score at which a face counts as found")
    radius: float = Field(default=2.7, gt=0, description="median distance of the camera after the clip's world scale")
    max_error: float = Field(default=8.0, gt=0, description="largest reprojection error of a frame, in pixels")


class MasksSettings(Block):
    """Region masks."""

    backend: Literal["selfie", "bisenet"] = Field(default="selfie", description="what finds the regions")
    threshold: float = Field(default=0.5, gt=0, lt=1, description="foreground probability from which a pixel counts")


class ShardsSettings(Block):
    """WebDataset shards."""

    quality: int = Field(default=95, ge=1, le=100, description="JPEG quality of the frames")
