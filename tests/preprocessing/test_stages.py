"""All data stages in turn on forty frames of a real talking head and some files that are no such thing."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing import account, crop, faces, fetch, masks, samples, shards, sheets
from preprocessing.cameras import angles, split_label
from preprocessing.cli import InputError
from preprocessing.detectors.regions import BACKGROUND, MOUTH
from preprocessing.reader import ShardReader
from preprocessing.reasons import Dropped
from preprocessing.retries import waiting
from preprocessing.rows import Row, read_rows
from preprocessing.tars import TarFile, TarWriter

CROP = {"min_frames": 8, "min_size": 48, "allow_padding": True}


@dataclass(frozen=True)
class Data:
    """Where one dataset's stages write."""

    root: Path
    source: Path

    def rows(self, stage: str) -> Path:
        return self.root / "tiny" / stage / "00000.parquet"

    def run(self, crop_settings: dict[str, object] = CROP) -> "Data":
        """Run every stage."""
        dataset = json.dumps({"source": {"kind": "folder", "path": str(self.source)}})
        sheet = str(self.root / "tiny" / "sheets" / "clips.parquet")
        at = {stage: str(self.rows(stage)) for stage in ("fetch", "crop", "faces", "masks", "shards")}
        sheets.main(["--dataset", "tiny", "--output", sheet, "--settings", dataset])
        fetch.main(["--sheet", sheet, "--shard", "0", "--output", at["fetch"], "--settings", dataset])
        settings = ["--settings", json.dumps(crop_settings)]
        crop.main(["--sheet", sheet, "--shard", "0", "--fetch", at["fetch"], "--output", at["crop"], *settings])
        faces.main(["--crop", at["crop"], "--output", at["faces"]])
        masks.main(["--crop", at["crop"], "--faces", at["faces"], "--output", at["masks"]])
        shards.main(["--crop", at["crop"], "--faces", at["faces"], "--masks", at["masks"], "--output", at["shards"]])
        return self

    def reader(self) -> ShardReader:
        return ShardReader(self.rows("shards").parent)

    def account(self) -> dict[str, object]:
        output = self.root / "account.json"
        sheet = self.root / "tiny" / "sheets" / "clips.parquet"
        shard = str(self.rows("shards").parent)
        account.main(["--dataset", "tiny", "--sheet", str(sheet), "--shards", shard, "--output", str(output)])
        value: dict[str, object] = json.loads(output.read_text())
        return value


@pytest.fixture(scope="session")
def folder(carphone: Path, make_video) -> Path:
    """The talking head among files that cannot be used."""
    make_video(carphone / "pattern.mp4", frames=30, size="176x144")
    (carphone / "empty.mp4").touch()
    (carphone / "text.mp4").write_text("this is text\n")
    shutil.copy(carphone / "pattern.mp4", carphone / "pattern.mkv")
    return carphone


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Data:
    return Data(tmp_path_factory.mktemp("stages"), folder).run()


def test_the_shard_holds_what_the_contract_says(data: Data):
    reader = data.reader()
    (first, second) = reader.samples
    assert (first.key, first.clip, first.person, first.split) == ("man-in-car_00", "man in car", "man in car", "train")
    assert (second.key, second.split, second.frames, second.dataset) == ("man-in-car_01", "test", 8, "tiny")
    with TarFile(data.rows("shards").with_suffix(".tar")) as tar:
        names = list(tar.members)
    assert names == sorted(names)
    for sample in reader.samples:
        images = [f"{sample.key}.{i:05d}.{suffix}" for i in range(sample.frames) for suffix in ("jpg", "mask.png")]
        more = [f"{sample.key}.{name}" for name in ("cameras.npy", "landmarks.npy", "meta.json")]
        assert sorted(name for name in names if name.startswith(f"{sample.key}.")) == sorted(images + more)
        assert reader.cameras(sample.key).shape == (sample.frames, 25)
        assert reader.landmarks(sample.key).shape == (sample.frames, 478, 3)
        assert reader.cameras(sample.key).dtype == reader.landmarks(sample.key).dtype == np.float32
        assert reader.frames(sample.key, [0]).shape == (1, 256, 256, 3)


def test_the_disk_is_written_once(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def again(_: TarWriter) -> None:
        raise AssertionError("the members came out of order")

    monkeypatch.setattr(TarWriter, "_sort", again)
    inputs = [part for stage in ("crop", "faces", "masks") for part in (f"--{stage}", str(data.rows(stage)))]
    shards.main([*inputs, "--output", str(tmp_path / "00000.parquet")])
    masks.main([*inputs[:4], "--output", str(tmp_path / "masks.parquet")])
    assert (tmp_path / "00000.tar").read_bytes() == data.rows("shards").with_suffix(".tar").read_bytes()


def test_meta_says_where_a_sample_comes_from(data: Data):
    sample = data.reader().samples[0]
    meta = data.reader().meta(sample.key)
    assert (meta["clip"], meta["source"], meta["person"]) == ("man in car", "man in car.mp4", "man in car")
    assert len(meta["frames"]) == len(meta["window"]["centers"]) == sample.frames
    assert {"crop", "fps", "scale", "backends", "software", "split", "framing", "padded"} <= meta.keys()
    assert meta["backends"] == {
        "boxes": "mediapipe-0.10.21-full-range",
        "window": "mediapipe-0.10.21-facemesh-478",
        "landmarks": "mediapipe-0.10.21-facemesh-478",
        "camera": "pnp-reference-face",
        "masks": "mediapipe-0.10.21-selfie-general",
    }
    assert "/" not in json.dumps(meta["source"])


def test_cameras_look_at_the_face_from_eg3ds_distance(data: Data):
    reader = data.reader()
    cameras = np.concatenate([reader.cameras(sample.key) for sample in reader.samples])
    poses, matrices = split_label(cameras)
    assert np.median(np.linalg.norm(poses[:, :3, 3], axis=1)) == pytest.approx(2.7, abs=1e-3)
    assert np.allclose(matrices, [[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]], atol=1e-4)
    assert np.allclose(poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.abs(np.degrees(angles(cameras))).max() < 60


def test_the_window_has_eg3ds_framing(data: Data):
    reader = data.reader()
    landmarks = np.concatenate([reader.landmarks(sample.key) for sample in reader.samples])
    canthi = np.linalg.norm(landmarks[:, 33, :2] - landmarks[:, 263, :2], axis=1) / 256
    assert 0.34 < np.median(canthi) < 0.45
    assert np.abs(np.median(landmarks[:, 4, :2] / 256, axis=0) - 0.5).max() < 0.12


def test_masks_lie_on_their_frames(data: Data):
    reader = data.reader()
    key = reader.samples[0].key
    mask, landmarks = reader.masks(key, [3])[0], reader.landmarks(key)[3]
    assert set(np.unique(mask)) <= set(range(7))
    x, y = landmarks[[13, 14], :2].mean(0).astype(int)
    assert mask[y, x] == MOUTH
    assert mask[0, 0] == BACKGROUND
    assert 0.2 < (mask > 0).mean() < 0.95


def test_every_file_is_accounted_for(data: Data):
    value = data.account()
    assert value["clips_in"] == 5
    assert value["kept"] == 1
    assert value["dropped"] == {"corrupt": 1, "duplicate": 1, "empty-file": 1, "no-face": 1}
    clips = {(clip["clip"], clip["status"], clip["stage"], clip["reason"]) for clip in value["clips"]}
    assert clips == {
        ("empty", "dropped", "fetch", "empty-file"),
        ("man in car", "kept", "", ""),
        ("pattern", "dropped", "crop", "no-face"),
        ("pattern", "dropped", "sheets", "duplicate"),
        ("text", "dropped", "fetch", "corrupt"),
    }
    assert value["passed"] == {"sheets": 4, "fetch": 2, "crop": 1, "faces": 1, "masks": 1, "shards": 1}
    page = (data.root / "account.html").read_text()
    assert "man in car" in page
    assert "<script" not in page
    for stage in ("fetch", "crop", "faces", "masks", "shards"):
        assert len(read_rows(data.rows(stage), fetch.FetchRow if stage == "fetch" else Row)) == 5


def test_a_second_run_gives_the_same_bytes(data: Data, folder: Path):
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in data.root.rglob("*.*") if path.is_file()}
    Data(data.root, folder).run()
    data.account()
    after = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in data.root.rglob("*.*") if path.is_file()}
    assert {path for path in before if after[path] != before[path]} == set()
    assert not [path for path in after if path.name.startswith(".")]


@pytest.mark.parametrize("stage", [crop, faces, masks, shards])
def test_a_decoder_that_was_late_is_tried_again_once(data: Data, tmp_path: Path, folder: Path, monkeypatch, stage):
    """Whichever stage it was, the rows lie beside those of crop, where the first that decodes finds them."""
    shutil.copytree(data.root, tmp_path / "copy")
    copy = Data(tmp_path / "copy", folder)
    assert not waiting(copy.rows("crop").parent)
    name = {crop: "follow", faces: "find_faces", masks: "add_masks", shards: "add_clip"}[stage]

    def late(*_: object) -> None:
        raise Dropped("timeout", "the decoder was silent")

    monkeypatch.setattr(stage, name, late)
    for _ in range(2):
        copy.run()
        row = next(row for row in read_rows(copy.rows("shards"), Row) if row.clip == "man in car")
        assert (row.stage, row.reason) == (stage.__name__.rpartition(".")[2], "timeout")
        assert waiting(copy.rows("crop").parent) == {"00000": copy.rows("crop").with_suffix(".again1.parquet")}
    assert copy.account()["clips_in"] == 5
    monkeypatch.undo()
    assert (
        copy.run().rows("shards").with_suffix(".tar").read_bytes()
        == data.rows("shards").with_suffix(".tar").read_bytes()
    )


def test_fomms_framing_gives_the_same_poses(data: Data, tmp_path: Path, folder: Path):
    shutil.copytree(data.root, tmp_path / "copy")
    fomm = Data(tmp_path / "copy", folder).run(CROP | {"framing": "fomm"}).reader()
    eg3d = data.reader()
    for sample in fomm.samples:
        a, b = eg3d.cameras(sample.key), fomm.cameras(sample.key)
        assert np.abs(np.degrees(angles(a) - angles(b))).max() < 12
        assert np.median(np.abs(np.degrees(angles(a) - angles(b)))) < 3
        radius = np.linalg.norm(b[:, [3, 7, 11]], axis=1)
        assert 2.2 < radius.min() < radius.max() < 3.3


def test_a_contact_sheet_shows_every_stage(data: Data, tmp_path: Path):
    output = tmp_path / "samples.png"
    shard = str(data.rows("shards").parent)
    crops = str(data.rows("crop").parent)
    samples.main(["--shards", shard, "--crop", crops, "--per-clip", "3", "--side", "64", "--output", str(output)])
    assert Image.open(output).size == (3 * (64 + samples.GAP) - samples.GAP, 3 * (64 + samples.GAP) - samples.GAP)
    with pytest.raises(SystemExit):
        samples.main(["--shards", shard, "--clips", "nobody", "--output", str(output)])


def test_a_shard_in_which_nothing_survives_is_legal(tmp_path: Path, make_video):
    source = tmp_path / "videos"
    source.mkdir()
    make_video(source / "pattern.mp4", frames=30, size="176x144")
    data = Data(tmp_path, source).run()
    assert data.reader().samples == []
    sheet = tmp_path / "samples.png"
    samples.main(["--shards", str(data.rows("shards").parent), "--first", "1", "--output", str(sheet)])
    assert Image.open(sheet).size == (384, 192)  # later shards may hold some: not an error
    value = data.account()
    assert (value["kept"], value["dropped"], value["hours"]) == (0, {"no-face": 1}, 0)


def test_a_missing_stage_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        faces.main(["--crop", str(tmp_path / "00000.parquet"), "--output", str(tmp_path / "o.parquet")])
    assert "run preprocessing.crop first" in capsys.readouterr().err


def test_the_account_notices_rows_of_another_sheet():
    with pytest.raises(InputError, match="do not list the clips of the sheet"):
        account.account([sheets.SheetRow("a", "a")], [Row("b", "b")], [])
