"""VoxCeleb1 and VoxCeleb2: the clips of FOMM's sheet, of the authors' utterance files, and of a copy of the mp4 parts.

The sheet ``vox-metadata.csv`` is of AliaksandrSiarohin/video-preprocessing: first frame, frame after the last, and box
(l-t-r-b) of each clip, in frames at ``fps`` and pixels of a ``width`` × ``height`` frame of YouTube's video. Utterance
files are those of the datasets' ``txt`` zips.
"""

import os
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from preprocessing import lists
from preprocessing.cli import InputError
from preprocessing.settings import VoxCeleb1Settings, VoxCeleb2Settings
from preprocessing.sources import clips
from preprocessing.sources.entries import Entry
from preprocessing.sources.utterances import read_utterances

TEST_PEOPLE = [f"id{number}" for number in range(10270, 10310)]
"""VoxCeleb1's test identities, as its authors' verification split and FOMM have them."""

_FOMM = pa.DataFrameSchema(
    {
        "video_id": pa.Column(str, clips.youtube_id),
        "start": pa.Column(str, clips.whole),
        "end": pa.Column(str, clips.whole),
        "bbox": pa.Column(str, pa.Check.str_matches(r"^\d{1,5}-\d{1,5}-\d{1,5}-\d{1,5}$", error="l-t-r-b in pixels")),
        "fps": pa.Column(str, clips.number),
        "width": pa.Column(str, clips.whole),
        "height": pa.Column(str, clips.whole),
        "partition": pa.Column(str, pa.Check.isin(["train", "test"], error="train or test")),
        "person_id": pa.Column(str, pa.Check.str_matches(r"^id\d{5}$", error="an id of VoxCeleb (id and 5 digits)")),
    }
)
# NaN: rows that the schema above has told already.
_FOMM_RANGES = pa.DataFrameSchema(
    {
        "fps": pa.Column(float, pa.Check.in_range(1, 1000, error="a frame rate")),
        "width": pa.Column(float, pa.Check.in_range(1, 65_536, error="a width in pixels")),
        "height": pa.Column(float, pa.Check.in_range(1, 65_536, error="a height in pixels")),
    },
    checks=[clips.after("start", "end"), clips.after("left", "right"), clips.after("top", "bottom")],
)


def fomm_clips(path: Path) -> pd.DataFrame:
    """The table of clips of FOMM's sheet; clips are named as FOMM names its files."""
    table = clips.checked(clips.read_csv(path, list(_FOMM.columns)), _FOMM)
    box = table["bbox"].str.split("-", expand=True).reindex(columns=range(4))
    table = clips.numbers(
        table.assign(**{name: box[number] for number, name in enumerate(clips.BOX)}),
        ["start", "end", "fps", "width", "height", *clips.BOX],
    ).astype({"fps": float, "width": float, "height": float})
    table = clips.checked(table, _FOMM_RANGES)
    name = table["person_id"] + "#" + table["video_id"]
    for column in ("start", "end"):
        name += "#" + table[column].fillna(0).astype(int).astype(str).str.zfill(6)
    of = {"left": "width", "top": "height", "right": "width", "bottom": "height"}
    return table.assign(
        clip=name,
        person=table["person_id"],
        split=table["partition"].mask(table["person_id"].isin(TEST_PEOPLE), "test"),
        rate=table["fps"],
        **clips.youtube(table["video_id"]),
        **{side: table[side] / table[size] for side, size in of.items()},
    )


class VoxCeleb1Source:
    """Clips in YouTube's videos, by FOMM's sheet or the authors' utterance files."""

    def __init__(self, settings: VoxCeleb1Settings) -> None:
        self.settings = settings

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`."""
        own = self.settings.lists
        if self.settings.clips == "fomm":
            table = fomm_clips(lists.find(lists.FOMM_SHEET, own))
        else:
            table = read_utterances([own] if own else [lists.find(name, None) for name in lists.UTTERANCES])
            table = table.assign(split=table["person"].isin(TEST_PEOPLE).map({True: "test", False: "train"}), lines=360)
        return clips.entries(clips.held_out_together(table))

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """Nothing lies here: every clip has an address."""
        return clips.local(None, file)


# The release's files: …/{person}/{video}/{number}.mp4.
_PARTS = pa.DataFrameSchema(
    {
        "person": pa.Column(str, pa.Check.str_matches(r"^id\d{5}$", error="a folder of VoxCeleb (id and 5 digits)")),
        "video": pa.Column(str, clips.youtube_id),
        "number": pa.Column(str, pa.Check.str_matches(r"^\d{5}$", error="five digits")),
    }
)


class VoxCeleb2Source:
    """The user's copy of the mp4 parts, or clips in YouTube's videos by the utterance files."""

    def __init__(self, settings: VoxCeleb2Settings) -> None:
        self.folder, self.lists = settings.path, settings.lists
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder of VoxCeleb2's mp4 parts (dev/mp4/id…, test/mp4/id…).")

    def entries(self) -> list[Entry]:
        """See :class:`preprocessing.sources.Source`; the split is that of the release, by folder or zip."""
        if self.folder is None:
            assert self.lists is not None
            table = read_utterances([self.lists])
        else:
            table = self._copy(self.folder)
        return clips.entries(clips.held_out_together(table.rename(columns={"part": "split"})))

    def bring(self, file: str, digest: str, directory: Path) -> Path:
        """The user's own file, in place."""
        return clips.local(self.folder, file)

    @staticmethod
    def _copy(folder: Path) -> pd.DataFrame:
        """The table of clips of a copy of the mp4 parts: each file is a clip."""
        files = sorted(
            Path(where, name).relative_to(folder).as_posix()
            for where, _, names in os.walk(folder, followlinks=True)
            for name in names
            if name.endswith(".mp4") and not name.startswith(".")
        )
        if not files:
            raise InputError(f"{folder} holds no mp4 files.")
        parts = pd.Series(files).str.removesuffix(".mp4").str.split("/")
        table = pd.DataFrame(
            {name: parts.str[place] for name, place in (("person", -3), ("video", -2), ("number", -1))}
        )
        table = table.fillna("").astype(str)
        # A file too far up has the name of a folder, or none, where its video should be.
        astray = ~table["video"].str.fullmatch(r"[A-Za-z0-9_-]{11}") & table["video"].str.fullmatch(r"id\d{5}")
        words = "is not in …/" + table["video"] + "/{video}/"
        table = clips.checked(table.assign(problem=words.where(astray, "")), _PARTS)
        test = pd.Series(files).str.contains(r"(?:^|/)test/")
        return table.assign(
            clip=table["person"] + "#" + table["video"] + "#" + table["number"],
            file=files,
            list=files,
            part=test.map({True: "test", False: "train"}),
        )
