"""Where videos come from: each kind of source lists its clips for the sheet and brings their files for fetch."""

from pathlib import Path
from typing import Protocol

from preprocessing.settings import SourceSettings
from preprocessing.sources.embedded import EmbeddedSource
from preprocessing.sources.entries import Entry


class Source(Protocol):
    """What every kind of dataset offers."""

    def entries(self) -> list[Entry]:
        """One entry per input file, in a fixed order, without downloading any media."""

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """Path of the clip's media, copied into ``directory`` unless it is the user's own; raises Dropped."""


def open_source(settings: SourceSettings) -> Source:
    """The source of ``settings``; raises :class:`InputError` for settings that do not fit together."""
    # Imported where they are used: their table readers cost every other job a second.
    match settings.kind:
        case "embedded":
            return EmbeddedSource(settings)
        case "folder":
            from preprocessing.sources.folder import FolderSource

            return FolderSource(settings)
        case "list":
            from preprocessing.sources.cliplist import ListSource

            return ListSource(settings)
        case "voxceleb1":
            from preprocessing.sources.voxceleb import VoxCeleb1Source

            return VoxCeleb1Source(settings)
        case "voxceleb2":
            from preprocessing.sources.voxceleb import VoxCeleb2Source

            return VoxCeleb2Source(settings)
        case "talkinghead1kh":
            from preprocessing.sources.talkinghead import TalkingHeadSource

            return TalkingHeadSource(settings)
        case "ffhq":
            from preprocessing.sources.ffhq import FFHQSource

            return FFHQSource(settings)
