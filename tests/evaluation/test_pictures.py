"""Pictures as users have them: transparent parts are black, whatever colour hides there."""

import cv2
import numpy as np
import pytest
from PIL import Image

from evaluation.pictures import decode_picture, digest, read_picture
from preprocessing.cli import InputError

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_png_is_read_on_black(tmp_path, mode):
    picture = Image.fromarray(RANDOM.integers(0, 256, (9, 7, 4), np.uint8), "RGBA").convert(mode)
    picture.save(tmp_path / "a.png")
    colour = np.asarray(picture.convert("RGB"), np.float64)
    alpha = np.asarray(picture.convert("RGBA"), np.float64)[..., 3:] / 255
    assert np.abs(read_picture(tmp_path / "a.png") - colour * alpha).max() <= 0.5


def test_sixteen_bits_and_alpha(tmp_path):
    deep = RANDOM.integers(0, 65536, (5, 6, 4), np.uint16)
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep)
    expected = (deep[..., 2::-1] / 65535 * 255) * (deep[..., 3:] / 65535)
    assert np.abs(read_picture(tmp_path / "deep.png") - expected).max() <= 0.5 + 1e-9


def test_unreadable_pictures_are_named(tmp_path):
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in ("b.png", "absent.png"):
        with pytest.raises(InputError, match=name):
            read_picture(tmp_path / name)
    with pytest.raises(InputError, match=r"frames\.tar:x"):
        decode_picture(b"", "frames.tar:x")


def test_a_digest_is_of_pixels_and_shape():
    picture = RANDOM.integers(0, 256, (4, 6, 3), np.uint8)
    assert digest(picture) == digest(picture.copy(order="F")) != digest(picture.reshape(6, 4, 3))
