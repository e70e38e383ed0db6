"""The committed reference face keeps what the docs say of it, and the script makes it from shapes."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from preprocessing.cli import InputError
from preprocessing.reference_face import (
    CANTHI,
    CHIN,
    FOREHEAD,
    RIGID,
    TEMPLATE,
    build,
    five_points,
    reference_face,
    reference_world,
)


def test_the_committed_face():
    face = reference_face()
    assert face.shape == (478, 3)
    assert np.linalg.norm(face[CANTHI[1]] - face[CANTHI[0]]) == pytest.approx(0.9, abs=1e-4)
    assert face[CANTHI[0], 0] == pytest.approx(-face[CANTHI[1], 0], abs=1e-4)
    assert face[FOREHEAD, 1] > face[CHIN, 1]  # y up
    assert face[4, 2] > face[RIGID, 2].mean()  # the nose points out, along z
    assert np.abs(five_points(face) - TEMPLATE).max() < 0.06  # half a centimetre
    assert not face.flags.writeable


def test_it_is_symmetric():
    face = reference_face()
    mirrored = face * (-1, 1, 1)
    nearest = np.linalg.norm(mirrored[:, None] - face[None], axis=-1).min(1)
    assert nearest.max() < 2e-4


def test_its_world_is_eg3ds():
    assert np.allclose(reference_world(), reference_face() * 0.27 + (0, 0.006, 0.161))
    assert np.abs(reference_world()).max() < 0.5  # inside the box of side 1


def test_build_finds_the_face_again_from_turned_noisy_copies():
    rng = np.random.default_rng(3)
    image_axes = reference_face() * (1, -1, -1)
    shapes = np.stack(
        [
            rng.uniform(50, 200) * image_axes @ Rotation.from_rotvec(rng.normal(size=3) * 0.2).as_matrix().T
            + rng.normal(size=3) * 50
            for _ in range(15)
        ]
    )
    shapes += rng.normal(size=shapes.shape) * 0.3
    assert np.abs(build(shapes) - reference_face()).max() < 0.01


def test_a_lopsided_mean_is_refused():
    shapes = np.random.default_rng(4).normal(size=(10, 478, 3))
    with pytest.raises(InputError, match="lopsided"):
        build(shapes)
