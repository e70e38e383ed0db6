"""The public command: folders, subfolders and videos in; values, counts, reasons and errors out."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import imageio
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from evaluation.metrics.catalogue import CONTRACT
from evaluation.score import main


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in this process: the JSON, or the message of a refusal."""
    monkeypatch.setenv("PLANEDICT_CACHE", str(tmp_path / "cache"))

    def command(*arguments, metrics=("l1", "psnr", "ssim"), code=0):
        output = tmp_path / "scores.json"
        call = ["--output", output, "--metrics", *metrics, *arguments]
        if code == 0:
            main([str(part) for part in call])
            return json.loads(output.read_text())
        with pytest.raises(SystemExit) as stopped:
            main([str(part) for part in call])
        assert stopped.value.code == code
        return capsys.readouterr().err

    return command


@pytest.fixture
def folders(tmp_path, turned):
    """Four generated frames, their targets, and one source photo."""
    for index in range(4):
        save(tmp_path / "target" / f"{index:05d}.png", turned(index))
        save(tmp_path / "generated" / f"{index:05d}.png", turned(index + 1))
    save(tmp_path / "source" / "photo.png", turned(0))
    return ["--generated", tmp_path / "generated", "--target", tmp_path / "target", "--source", tmp_path / "source"]


def test_every_metric_of_the_contract(run, tmp_path, folders, turned):
    document = run(*folders, metrics=CONTRACT)
    assert set(document) == {"metrics", "per_image", "about"} and set(document["metrics"]) == set(CONTRACT)
    for entry in document["metrics"].values():
        assert (
            set(entry) == {"value", "ci95", "n_used", "n_attempted", "backend", "reason"} and entry["n_attempted"] == 4
        )
    metrics = document["metrics"]
    assert metrics["lpips"]["value"] is None and "alexnet-owt-7be5be79.pth" in metrics["lpips"]["reason"]
    assert metrics["fid"]["value"] is None and "pt_inception" in metrics["fid"]["reason"]
    expected = np.mean([peak_signal_noise_ratio(turned(i), turned(i + 1), data_range=255) for i in range(4)])
    assert metrics["psnr"]["value"] == pytest.approx(expected)
    assert metrics["csim"]["value"] > 0.97 and metrics["csim"]["n_used"] == 4
    assert metrics["prmse"]["value"] == pytest.approx(1 / np.sqrt(3), abs=0.35)  # one degree of roll each
    assert document["per_image"]["00000.png"]["psnr"] == pytest.approx(
        peak_signal_noise_ratio(turned(0), turned(1), data_range=255)
    )


def test_frames_without_a_face_are_left_out_and_counted(run, tmp_path, folders):
    save(tmp_path / "generated" / "00002.png", np.zeros((256, 256, 3), np.uint8))
    document = run(*folders, metrics=("prmse", "csim"))
    entry = document["metrics"]["prmse"]
    assert (entry["n_used"], entry["n_attempted"]) == (3, 4) and "1 left out: no face found" in entry["reason"]
    assert document["per_image"]["00002.png"]["prmse"] is None


def test_metrics_of_the_source_need_a_source(run, tmp_path, folders):
    entry = run(*folders[:4], metrics=("csim",))["metrics"]["csim"]
    assert entry["value"] is None and "source" in entry["reason"]


def test_a_backend_that_is_not_here_gives_null_and_a_reason(run, tmp_path, folders):
    metrics = run(*folders, "--backend", "standard", metrics=("csim", "psnr"))["metrics"]
    assert metrics["csim"]["value"] is None and "vggface2" in metrics["csim"]["reason"]
    assert metrics["psnr"]["value"] > 10


def test_identical_folders(run, tmp_path, folders):
    folders[1] = folders[3]
    metrics = run(*folders[:4])["metrics"]
    assert metrics["ssim"]["value"] == 1 and metrics["l1"]["value"] == 0
    assert metrics["psnr"]["value"] is None and "infinite" in metrics["psnr"]["reason"]


def test_ten_clips_are_resampled_as_clips(run, tmp_path):
    random = np.random.default_rng(0)
    for clip in range(10):
        for frame in range(2):
            save(tmp_path / "a" / f"clip{clip}" / f"{frame}.png", random.integers(0, 255, (16, 16, 3), np.uint8))
            save(tmp_path / "b" / f"clip{clip}" / f"{frame}.png", random.integers(0, 255, (16, 16, 3), np.uint8))
    document = run("--generated", tmp_path / "a", "--target", tmp_path / "b", metrics=("l1",))
    entry = document["metrics"]["l1"]
    assert entry["reason"] == "" and document["about"]["l1"]["interval_over"] == "20 images of 10 clips"
    assert entry["ci95"][0] < entry["value"] < entry["ci95"][1]
    assert "clip3/1.png" in document["per_image"]


def test_it_is_a_command(tmp_path, folders):
    output = tmp_path / "scores.json"
    command = [sys.executable, "-m", "evaluation.score", *map(str, folders), "--metrics", "l1", "--output", str(output)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(output.read_text())["metrics"]["l1"]["n_used"] == 4


def test_it_says_what_it_measured(run, tmp_path, folders, capsys):
    run(*folders[:4], metrics=("psnr", "csim", "ffd"))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("PSNR     ") and "dB  [" in printed[0] and printed[0].endswith("4/4 by numpy")
    assert printed[1].endswith("—  CSIM compares with the source, which was not given")
    assert "needs 129 images on each side: 4 real, 4 generated" in printed[2]
    assert printed[3] == f"written to {tmp_path / 'scores.json'}"


@pytest.mark.parametrize("kind", ["file", "folder", "per clip"])
def test_source_photos_of_any_size(run, tmp_path, turned, kind):
    """One photo for all frames, or one in a subfolder for each clip: each clip is compared with its own."""
    for clip, way in (("ann", 1), ("bob", -1)):
        for name in ("generated", "target"):
            save(tmp_path / name / clip / "0.png", turned(0)[:, ::way])
            save(tmp_path / name / clip / "1.png", turned(1)[:, ::way])
        save(tmp_path / "photos" / clip / "any name.png", turned(0)[::2, ::way][:, ::2])
    save(tmp_path / "one" / "photo.png", turned(0)[::2, ::2])
    places = {"file": "one/photo.png", "folder": "one", "per clip": "photos"}
    call = ["--generated", tmp_path / "generated", "--target", tmp_path / "target"]
    values = run(*call, "--source", tmp_path / places[kind], metrics=("csim_l2",))["per_image"]
    other = {name: entry["csim_l2"] for name, entry in values.items()}
    assert set(other) == {"ann/0.png", "ann/1.png", "bob/0.png", "bob/1.png"}
    # A face is nearer to its own half-sized picture (.13, .15) than to its mirror image's (.20).
    assert (other["bob/0.png"] < 0.17) == (kind == "per clip") and other["ann/0.png"] < 0.17
    (tmp_path / "photos" / "bob" / "any name.png").unlink()
    save(tmp_path / "photos" / "cid" / "x.png", turned(0))
    if kind == "per clip":
        assert "none for 'bob'" in run(*call, "--source", tmp_path / "photos", metrics=("csim",), code=2)


def test_readings_that_nothing_would_read_are_refused(run, folders):
    assert "--readings" in run(*folders, "--backend", "embedded", "--readings", "x.parquet", code=2)


def test_one_image_has_no_interval(run, tmp_path, turned):
    for name in ("a", "b"):
        save(tmp_path / name / "x.png", turned(0 if name == "a" else 2))
    document = run("--generated", tmp_path / "a", "--target", tmp_path / "b", metrics=("l1",))
    assert document["metrics"]["l1"]["ci95"] == [None, None] and document["about"]["l1"]["interval_over"] == ""


def test_a_folder_is_no_output(run, tmp_path, folders):
    (tmp_path / "scores.json").mkdir()
    assert "is a folder" in run(*folders, code=2)


def test_videos_are_compared_frame_by_frame(run, tmp_path, turned):
    for name, shift in (("a", 1), ("b", 0)):
        frames = [turned(i + shift) for i in range(3)]
        imageio.mimwrite(tmp_path / f"{name}.mp4", frames, fps=5, macro_block_size=1)
    metrics = run("--generated", tmp_path / "a.mp4", "--target", tmp_path / "b.mp4", metrics=("psnr",))["metrics"]
    assert metrics["psnr"]["n_used"] == 3 and 15 < metrics["psnr"]["value"] < 40


def test_hidden_folders_are_no_clips(run, tmp_path, folders, turned):
    save(tmp_path / "generated" / ".thumbnails" / "00000.png", turned(9))
    assert run(*folders[:4], metrics=("l1",))["metrics"]["l1"]["n_attempted"] == 4


def damage_extra(tmp_path):
    save(tmp_path / "generated" / "00009.png", np.zeros((256, 256, 3), np.uint8))
    return "00009.png"


def damage_unreadable(tmp_path):
    (tmp_path / "target" / "00001.png").write_bytes(b"\x89PNG nothing")
    return "00001.png"


def damage_size(tmp_path):
    save(tmp_path / "generated" / "00003.png", np.zeros((128, 256, 3), np.uint8))
    return "00003.png"


def damage_empty(tmp_path):
    for path in (tmp_path / "target").iterdir():
        path.unlink()
    return "target"


def damage_source(tmp_path):
    for i in range(3):
        save(tmp_path / "source" / f"{i:05d}.png", np.zeros((256, 256, 3), np.uint8))
    return f"00003.png has no counterpart in {tmp_path / 'source'}"


def damage_single(tmp_path):
    for path in sorted((tmp_path / "target").iterdir())[1:]:
        path.unlink()
    return "00001.png"


@pytest.mark.parametrize(
    "damage", [damage_extra, damage_unreadable, damage_size, damage_empty, damage_source, damage_single]
)
def test_wrong_input_ends_in_one_sentence_that_names_the_file(run, tmp_path, folders, damage):
    named = damage(tmp_path)
    message = run(*folders, code=2)
    assert named in message.strip().splitlines()[-1] and not (tmp_path / "scores.json").exists()
