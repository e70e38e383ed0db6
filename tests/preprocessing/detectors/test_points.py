"""The correspondence of FaceMesh's points to the 68 of iBUG."""

import numpy as np
import pytest
import torch
from face_alignment.utils import shuffle_lr

from preprocessing.cli import InputError
from preprocessing.detectors.points import IBUG, IBUG_ON_MESH, MESH, as_ibug, layout_of
from preprocessing.reference_face import reference_face


def test_left_and_right_correspond_as_face_alignment_flips_them():
    """The mirror image of a point of the symmetric reference face is the point that face-alignment swaps it with."""
    face = as_ibug(reference_face())
    partner = shuffle_lr(torch.arange(68)[None])[0].numpy()
    assert np.abs(face[partner] * (-1, 1, 1) - face).max() < 1e-4


def test_each_point_is_where_its_number_says():
    x, y, z = as_ibug(reference_face()).T
    assert len(set(IBUG_ON_MESH)) == 68
    assert y.argmin() == 8 and z.argmax() == 30  # chin and tip of the nose
    assert x[:17].argmin() in (0, 1) and x[:17].argmax() in (15, 16)
    assert y[17:27].min() > y[36:48].max() > y[36:48].min() > y[31:36].max() > y[48:68].max() > y[8]
    assert np.all(np.diff(x[[36, 39, 42, 45]]) > 0) and x[48] < x[51] < x[54]


def test_the_five_points_are_the_same_of_both():
    face = reference_face()
    assert IBUG.five_points(as_ibug(face)) == pytest.approx(MESH.five_points(face), abs=0.03)
    assert layout_of(face) is MESH and layout_of(as_ibug(face)) is IBUG
    with pytest.raises(InputError, match="not 5"):
        layout_of(np.zeros((5, 3)))
