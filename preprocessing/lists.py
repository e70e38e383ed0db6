"""The datasets' own lists: the registry, and how a list gets into the cache.

``python -m preprocessing.lists`` says which are here; with ``--fetch`` it downloads what is missing. Where a
list cannot be fetched, a copy of your own may be named in the configuration: ``source.lists``, the file or its folder.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, PositiveInt

from preprocessing.cli import Block, InputError, read_mapping, validated
from preprocessing.registered import RegisteredFile, command_line
from preprocessing.settings import SourceSettings, TalkingHead1KHSettings, VoxCeleb1Settings

# Files of the registry that sources read.
FOMM_SHEET = "vox-metadata.csv"
UTTERANCES = ("vox1_dev_txt.zip", "vox1_test_txt.zip")
TALKING_HEAD = "data_list.zip"
REGISTRY = Path(__file__).parents[1] / "workflow" / "config" / "datasets.yaml"


@dataclass(frozen=True)
class ListFile(RegisteredFile):
    """A registered list of clips; see :class:`RegisteredFile`."""

    FOLDER = "lists"
    COMMAND = "preprocessing.lists"
    ELSEWHERE = "; or name a copy of yours as source.lists in the configuration"


class ListRecord(Block):
    """A list as the registry names it."""

    url: str = Field(description="where it is; of a repository's file, at a commit")
    sha256: str = Field(description="whole, git:… (git's digest of the file), or unverified")
    bytes: PositiveInt | None = Field(default=None, description="its size")
    licence: str = Field(description="what its publisher states")
    gated: bool = Field(default=False, description="whether it has to be fetched by hand")


class DatasetRecord(Block):
    """A dataset as the registry describes it, under the name of its kind of source."""

    title: str = Field(description="its name")
    page: str = Field(description="where it is described, and where to register")
    media: str = Field(description="how its media arrive")
    licence: str = Field(description="of the media and of the lists")
    use: str = Field(description="what it is used for here")
    citation: str = Field(description="what to cite")
    lists: dict[str, ListRecord] = Field(default_factory=dict, description="its lists by file name")


class DatasetRegistry(Block):
    """The whole registry."""

    datasets: dict[str, DatasetRecord] = Field(description="by kind of source")


@functools.cache
def _registry(path: Path) -> dict[str, DatasetRecord]:
    return validated(DatasetRegistry, read_mapping(path), str(path)).datasets


def registry() -> dict[str, DatasetRecord]:
    """The registry by kind of source; a malformed file raises InputError."""
    return _registry(REGISTRY)


def lists() -> dict[str, ListFile]:
    """Every registered list by its file name."""
    return {
        name: ListFile(name, entry.url, entry.sha256, entry.bytes, entry.licence, entry.gated)
        for record in registry().values()
        for name, entry in record.lists.items()
    }


def registered(name: str) -> ListFile:
    """The list ``name``; InputError names those there are."""
    try:
        return lists()[name]
    except KeyError:
        raise InputError(f"No list '{name}' is registered: there are {', '.join(lists())}.") from None


def needed(source: SourceSettings) -> tuple[str, ...]:
    """The registered lists that a source reads; none where the user's own copy is named."""
    match source:
        case VoxCeleb1Settings(lists=None):
            return (FOMM_SHEET,) if source.clips == "fomm" else UTTERANCES
        case TalkingHead1KHSettings(lists=None):
            return (TALKING_HEAD,)
    return ()


def find(name: str, own: Path | None) -> Path:
    """The list ``name``: the user's ``own`` copy (the file, or a folder that holds it), or the one in the cache.

    Raises InputError where it is not there.
    """
    if own is None:
        return registered(name).require()
    path = own / name if own.is_dir() else own
    if not path.is_file():
        raise InputError(f"source.lists: there is no {name} at {own}.")
    return path


def main(argv: list[str] | None = None) -> None:
    """Command line: say which lists are here, or fetch what is missing."""
    command_line(argv, __doc__, lambda: lists().values(), registered)


if __name__ == "__main__":
    main()
