"""Photos without their background, for the adversarial fine-tune."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.adversarial.real_images import RealImages
from preprocessing import photos
from preprocessing.rows import read_rows
from tests.preprocessing.sources.test_ffhq import CAMERA

SIDE = 16


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos with cameras, a damaged one and one without a face; what is left of x = 8 is the person."""
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png", "c.png", "dark.png"]
    for name in names:
        pixels = rng.integers(1, 256, (SIDE, SIDE, 3), np.uint8) if name != "dark.png" else np.zeros((SIDE, SIDE, 3))
        (tmp_path / "source").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "source" / name)
    (tmp_path / "source/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    labels = [[name, [*CAMERA[:3], float(number), *CAMERA[4:]]] for number, name in enumerate([*names, "broken.png"])]
    (tmp_path / "source/dataset.json").write_text(json.dumps({"labels": [*labels, ["gone.png", CAMERA]]}))
    monkeypatch.setattr(photos, "matting", lambda settings: lambda pixels: left(pixels) if pixels.any() else None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left(pixels: np.ndarray) -> np.ndarray:
    person = np.zeros(pixels.shape[:2], bool)
    person[:, :8] = True
    return person


DATASET = '{"source": {"kind": "ffhq", "path": "source"}, "shards": 2}'


def run() -> None:
    from preprocessing import sheets

    sheets.main(["--dataset", "faces", "--output", "sheet.parquet", "--settings", DATASET])
    for shard in (0, 1):
        matte = ["matte", "--sheet", "sheet.parquet", "--shard", str(shard), "--output", f"photos/0000{shard}.parquet"]
        photos.main([*matte, "--dataset", DATASET, "--settings", "{}"])
    photos.main(["gather", "--rows", "photos", "--output", "photos/dataset.json", "--dataset", DATASET])


def test_training_reads_what_comes_out(project: Path) -> None:
    run()
    images = RealImages(Path("photos"), SIDE, mirror=False)
    assert len(images) == 3
    batch = images.batch(3, 0, 0)
    for picture, camera, name in zip(batch.images, batch.cameras, batch.names, strict=True):
        number = int(camera[3])
        assert Path(name).stem == "abc"[number] + "-png"  # cameras go by name
        original = np.asarray(Image.open(f"source/{'abc'[number]}.png"))
        expected = np.where(np.arange(SIDE)[None, :, None] < 8, original, 0)
        shown = ((picture.permute(1, 2, 0).numpy() + 1) * 127.5).round()
        assert np.abs(shown - expected).max() <= 1


def test_rows_of_a_run_with_more_shards_are_noticed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    shutil.copy("photos/00001.parquet", "photos/00002.parquet")
    with pytest.raises(SystemExit):
        photos.main(["gather", "--rows", "photos", "--output", "photos/dataset.json", "--dataset", DATASET])
    assert "is in the rows of two shards" in capsys.readouterr().err


def test_every_photo_is_accounted_for(project: Path) -> None:
    run()
    account = json.loads(Path("photos/account.json").read_text())
    assert (account["clips"], account["kept"]) == (6, 3)
    assert account["dropped"] == {"corrupt": 1, "missing": 1, "no-face": 1}


def test_what_is_there_is_not_made_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    before = {path: path.stat().st_mtime_ns for path in Path("photos").rglob("*.png")}
    assert len(before) == 3
    gone = sorted(before)[0]
    gone.unlink()
    (changed,) = [Path("source") / f"{path.stem.removesuffix('-png')}.png" for path in sorted(before)[1:2]]
    Image.fromarray(np.full((SIDE, SIDE, 3), 9, np.uint8)).save(changed)
    run()
    after = {path: path.stat().st_mtime_ns for path in Path("photos").rglob("*.png")}
    assert set(after) == set(before)
    assert [after[path] == before[path] for path in sorted(before)] == [False, False, True]


def test_a_dataset_of_videos_has_no_photos(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings = '{"source": {"kind": "embedded"}}'
        photos.main(["gather", "--rows", "photos", "--output", "x.json", "--dataset", settings])
    assert "A dataset of kind 'embedded' has no photos" in capsys.readouterr().err


def test_a_photo_of_a_person_is_matted() -> None:
    """The embedded matting on a frame of a real clip, where there is one in the cache."""
    from preprocessing.settings import MasksSettings
    from preprocessing.sources.embedded import cache_directory
    from preprocessing.video import frames

    path = cache_directory() / "franck.mp4"
    if not path.is_file():
        pytest.skip("the embedded clips are not in the cache")
    _, frame = next(iter(frames(path, spans=[(0, 1)])))
    person = photos.matting(MasksSettings())(frame)
    assert person is not None and 0.1 < person.mean() < 0.9
    assert photos.matting(MasksSettings())(np.zeros_like(frame)) is None


def test_rows_name_their_files(project: Path) -> None:
    run()
    rows = [row for shard in (0, 1) for row in read_rows(Path(f"photos/0000{shard}.parquet"), photos.PhotoRow)]
    assert {row.file: (Path("photos") / row.path).is_file() for row in rows if row.kept} == dict.fromkeys(
        ("a.png", "b.png", "c.png"), True
    )
