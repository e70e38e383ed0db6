"""Where videos come from: each kind of source lists its clips for the sheet and brings their files for fetch."""

from pathlib import Path
from typing import Protocol

from preprocessing.embedded import EmbeddedSource
from preprocessing.entries import Entry
from preprocessing.settings import SourceSettings


class Source(Protocol):
    """What every kind of dataset offers."""

    def entries(self) -> list[Entry]:
        """One entry per input file, in a fixed order, without downloading any media."""

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """Path of the clip's media, copied into ``directory`` unless it is the user's own; raises Dropped."""


def open_source(settings: SourceSettings) -> Source:
    """The source of ``settings``; raises :class:`InputError` for settings that do not fit together."""
    if settings.kind == "embedded":
        return EmbeddedSource(settings)
    from preprocessing.folder import FolderSource  # its table reader costs every other job a second

    return FolderSource(settings)
