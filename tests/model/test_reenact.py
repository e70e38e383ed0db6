import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from model.checkpoints import save_weights
from model.planedict import PlaneDict
from model.reenact import main, parser
from preprocessing.cli import InputError


@pytest.fixture(scope="module")
def files(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("animate")
    portrait = np.ascontiguousarray(data.astronaut()[0:320, 60:380])
    Image.fromarray(portrait).save(folder / "photo.png")
    writer = imageio_ffmpeg.write_frames(folder / "video.mp4", (320, 320), fps=25)
    writer.send(None)
    for shift in range(4):
        writer.send(np.ascontiguousarray(np.roll(portrait, shift, axis=1)))
    writer.close()
    torch.manual_seed(0)
    save_weights(folder / "final.safetensors", PlaneDict(tiny_model), {"seed": "0", "method": "planedict", "step": "0"})
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


@pytest.mark.parametrize("view", [(), ("--motion", "absolute"), ("--yaw", "0.3"), ("--orbit",)])
def test_every_driving_frame_becomes_one_frame(files, view):
    run(files, *view)
    reader = imageio_ffmpeg.read_frames(files / "out.mp4")
    meta = next(reader)
    assert meta["size"] == (32, 32) and meta["fps"] == 25
    assert sum(1 for _ in reader) == 4
    assert b"Synthetic" in (files / "out.mp4").read_bytes(), "the file says that it is synthetic"


def test_wrong_input_is_one_sentence(files):
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        run(files, output="out.gif")
    with pytest.raises(InputError, match="leave --yaw and --pitch out"):
        run(files, "--orbit", "--pitch", "0.1")
    with pytest.raises(InputError, match=r"Cannot read the checkpoint .*video\.mp4"):
        run(files, checkpoint="video.mp4")
    with pytest.raises(InputError, match=r"Cannot read the photo"):
        run(files, source="video.mp4")
