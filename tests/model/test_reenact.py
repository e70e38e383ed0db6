"""The command, on scikit-image's astronaut (public domain) and an untrained model: what it writes, what it refuses."""

import json
import re
import subprocess
import wave

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data

from model.baselines.firstorder.settings import FirstOrderModel
from model.checkpoints import save_weights
from model.method import method_of
from model.planedict import PlaneDict
from model.reenact import main, parser
from preprocessing.cli import InputError, run_command
from preprocessing.files import sha256
from tests.model.baselines.tiny import TINY

RATE = 16000
TONE = (0.5, 0.6)
"""When the driver's only sound is heard, seconds."""
FIRST = 5
"""The driver's first frame with a face, of 25 a second."""


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def write_video(path, frames):
    writer = imageio_ffmpeg.write_frames(path, frames[0].shape[1::-1], fps=25)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


@pytest.fixture(scope="module")
def files(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("animate")
    portrait = np.ascontiguousarray(data.astronaut()[0:320, 60:380])
    Image.fromarray(portrait).save(folder / "photo.png")
    face = [np.roll(portrait, shift, axis=1) for shift in range(4)]
    grey = np.full_like(portrait, 128)
    write_video(folder / "video.mp4", face)
    write_video(folder / "grey.mp4", [grey] * 4)
    # No face, face, no face, face: 5 + 4 + 3 + 4 frames, and a tone while the second face is to be seen.
    write_video(folder / "silent.mp4", [grey] * FIRST + face + [grey] * 3 + face)
    seconds = np.arange(int(0.64 * RATE)) / RATE
    tone = np.sin(2 * np.pi * 440 * seconds) * ((seconds >= TONE[0]) & (seconds < TONE[1]))
    with wave.open(str(folder / "tone.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes((tone * 20000).astype("<i2").tobytes())
    ffmpeg(
        "-i", folder / "silent.mp4", "-i", folder / "tone.wav", "-c:v", "copy", "-metadata", "title=holiday",
        folder / "talking.mp4",
    )  # fmt: skip
    torch.manual_seed(0)
    save_weights(folder / "final.safetensors", PlaneDict(tiny_model), {"seed": "0", "method": "planedict", "step": "0"})
    paper = {"motion_encoder": None, "relative_codes": False, "motion": "generator", "superresolution": True}
    sizes = {"neural_rendering_resolution": 16, "superresolution_channels": (8, 4)}
    save_weights(folder / "paper.safetensors", PlaneDict(tiny_model.model_copy(update=paper | sizes)), {"step": "0"})
    save_file({"weight": torch.zeros(2)}, folder / "others.safetensors", metadata={"model": "ResNet"})
    torch.save({"weight": torch.zeros(2)}, folder / "others.pth")
    return folder


def run(files, *more: str, **changed: str) -> None:
    named = {
        "checkpoint": "final.safetensors",
        "source": "photo.png",
        "driving": "video.mp4",
        "output": "out.mp4",
    } | changed
    arguments = [part for name, value in named.items() for part in (f"--{name}", str(files / value))]
    main(parser().parse_args([*arguments, *more]))


def tags(path) -> dict[str, str]:
    """Tags of a media file, FFmpeg's escapes undone."""
    lines = ffmpeg("-i", path, "-f", "ffmetadata", "-").decode().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name: re.sub(r"\\(.)", r"\1", value) for name, _, value in pairs}


@pytest.mark.parametrize(
    ("view", "size"),
    [
        ((), (32, 32)),
        (("--motion", "absolute"), (32, 32)),
        (("--yaw", "0.3"), (32, 32)),
        (("--orbit",), (32, 32)),
        (("--grid", "2x3"), (96, 64)),
        (("--side-by-side",), (768, 278)),
    ],
)
def test_every_driving_frame_becomes_one_frame(files, view, size):
    run(files, *view)
    reader = imageio_ffmpeg.read_frames(files / "out.mp4")
    meta = next(reader)
    assert meta["size"] == size and meta["fps"] == 25
    assert sum(1 for _ in reader) == 4


def test_one_encoder_and_superresolution_animate_too(files):
    run(files, "--depth", str(files / "small.mp4"), "--mesh", str(files / "small.ply"), checkpoint="paper.safetensors")
    for name in ("out.mp4", "small.mp4"):
        assert next(imageio_ffmpeg.read_frames(files / name))["size"] == (32, 32)


def test_time_and_sound_stay_the_drivers(files):
    run(files, driving="talking.mp4")
    reader = imageio_ffmpeg.read_frames(files / "out.mp4")
    next(reader)
    assert sum(1 for _ in reader) == 11, "from the first face to the last one, the gap between them included"
    sound = np.frombuffer(ffmpeg("-i", files / "out.mp4", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"), np.float32)
    heard = np.flatnonzero(np.abs(sound) > 0.1) / RATE
    begins, ends = np.array(TONE) - FIRST / 25
    assert heard[0] == pytest.approx(begins, abs=0.01) and heard[-1] == pytest.approx(min(ends, 11 / 25), abs=0.01)


def test_outputs_say_that_they_are_synthetic_and_how_they_were_made(files):
    run(files, "--depth", str(files / "depth.mp4"), "--mesh", str(files / "mesh.ply"), driving="talking.mp4")
    for name in ("out.mp4", "depth.mp4"):
        found = tags(files / name)
        assert found["title"].startswith("Synthetic"), "and not the driver's title"
        made = json.loads(found["comment"])
        assert made["synthetic"] is True and made["view"] == "relative" and made["method"] == "planedict"
        for role, file in (("checkpoint", "final.safetensors"), ("source", "photo.png"), ("driver", "talking.mp4")):
            assert made[role] == {"file": file, "sha256": sha256(files / file)}
    assert json.loads(re.search(rb"comment (.*)\n", (files / "mesh.ply").read_bytes())[1]) == made
    with pytest.raises(subprocess.CalledProcessError):
        ffmpeg("-i", files / "depth.mp4", "-map", "0:a", "-f", "null", "-")


@pytest.mark.parametrize(
    ("more", "changed", "words"),
    [
        ((), {"output": "out.gif"}, r"--output must end in \.mp4"),
        (("--mesh", "mesh.obj"), {}, r"--mesh must end in \.ply"),
        ((), {"output": "nowhere/out.mp4"}, r"folder .*nowhere of --output does not exist"),
        ((), {"output": "video.mp4"}, r"--output would overwrite the file of --driving"),
        (("--orbit", "--pitch", "0.1"), {}, "leave --yaw and --pitch out"),
        (("--grid", "--yaw", "0.1"), {}, "leave --yaw and --pitch out"),
        ((), {"checkpoint": "none.safetensors"}, r"none\.safetensors does not exist"),
        ((), {"checkpoint": "."}, "is not a file"),
        ((), {"checkpoint": "video.mp4"}, r"Cannot read the checkpoint .*video\.mp4"),
        ((), {"checkpoint": "others.pth"}, r"Cannot read the checkpoint .*others\.pth"),
        ((), {"checkpoint": "others.safetensors"}, r"others\.safetensors is .*not a checkpoint of this project"),
        ((), {"source": "video.mp4"}, r"Cannot read the photo .*video\.mp4: it is not an image"),
        ((), {"driving": "photo.pth"}, r"photo\.pth does not exist"),
        ((), {"driving": "others.pth"}, r"The video .*others\.pth cannot be used"),
        ((), {"driving": "grey.mp4"}, r"The video .*grey\.mp4 cannot be used: no face"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(files, more, changed, words):
    output = files / changed.get("output", "refused.mp4")
    before = output.read_bytes() if output.is_file() else None
    with pytest.raises(InputError, match=words) as refused:
        run(files, *more, **{"output": "refused.mp4"} | changed)
    assert len(str(refused.value).splitlines()) == 1
    assert (output.read_bytes() if output.is_file() else None) == before


@pytest.fixture(scope="module")
def first_order(files):
    """An untrained FOMM beside the other files."""
    torch.manual_seed(0)
    method = method_of("fomm")
    network = method.build(FirstOrderModel.model_validate(TINY | {"resolution": 64}))
    save_weights(files / "fomm.safetensors", network, {"seed": "0", "method": "first", "step": "0"}, "fomm")
    return network.settings.resolution


@pytest.mark.parametrize("motion", ["absolute", "relative", "relative_best"])
def test_methods_of_other_kinds_animate_too(files, first_order, motion):
    run(files, "--motion", motion, checkpoint="fomm.safetensors")
    reader = imageio_ffmpeg.read_frames(files / "out.mp4")
    assert next(reader)["size"] == (first_order, first_order) and sum(1 for _ in reader) == 4
    found = tags(files / "out.mp4")
    made = json.loads(found["comment"])
    assert (made["kind"], made["view"], made["method"]) == ("fomm", motion, "first") and "fomm" in found["title"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--orbit",), "fomm.safetensors holds a method of the kind fomm: --orbit is for a planedict only"),
        (("--yaw", "0.1", "--fit", "5"), "kind fomm: --yaw, --fit are for a planedict only"),
        (("--depth", "depth.mp4"), "--depth is for"),
    ],
)
def test_what_a_method_without_cameras_has_not_got_is_refused(files, first_order, more, words):
    with pytest.raises(InputError, match=words):
        run(files, *more, checkpoint="fomm.safetensors", output="refused.mp4")


def test_motion_that_a_method_does_not_offer_is_refused(files):
    with pytest.raises(InputError, match="kind planedict, which offers --motion absolute, relative, not relative_best"):
        run(files, "--motion", "relative_best", output="refused.mp4")


def test_photo_without_a_face_is_refused(files, tmp_path):
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(InputError, match=r"No face was found in the photo .*wall\.png"):
        run(files, source=str(tmp_path / "wall.png"))


def test_the_log_says_how_long_each_part_took(files, tmp_path):
    given = {"checkpoint": "final.safetensors", "source": "photo.png", "driving": "video.mp4", "output": "out.mp4"}
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(files / value))]
    run_command(main, parser(), [*arguments, "--log", str(tmp_path / "log.txt")])
    log = (tmp_path / "log.txt").read_text()
    assert "preparation: 4 frames in" in log and "rendering on" in log and "wrote" in log


def test_a_grid_is_rows_by_columns(files, capsys):
    with pytest.raises(SystemExit):
        run(files, "--grid", "3by5")
    assert "not ROWSxCOLUMNS" in capsys.readouterr().err


def test_fitting_changes_the_person_and_is_told(files):
    run(files)
    plain = (files / "out.mp4").read_bytes()
    run(files, "--fit", "3")
    assert (files / "out.mp4").read_bytes() != plain
    assert json.loads(tags(files / "out.mp4")["comment"])["fitted_steps"] == 3
    run(files, "--fit", "2", checkpoint="paper.safetensors")
    with pytest.raises(InputError, match="--fit -1 is not a number of steps"):
        run(files, "--fit", "-1")
