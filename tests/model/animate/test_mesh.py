"""The mesh of a density that is known: the head-shaped ellipsoid an untrained model begins with."""

import numpy as np
import pytest
import torch

from model.animate.mesh import SURFACE, Mesh, extract, query, write_ply
from model.planedict import HEAD_CENTRE, HEAD_RADII, PlaneDict


@pytest.fixture(scope="module")
def model(tiny_model):
    torch.manual_seed(0)
    return PlaneDict(tiny_model.model_copy(update={"plane_resolution": 64})).eval()


def planes(model: PlaneDict) -> torch.Tensor:
    return model.canonical.detach()[None].unflatten(1, (3, -1))


def test_the_surface_is_the_ellipsoid(model):
    mesh = extract(model, planes(model), side=96)
    radius = np.linalg.norm((mesh.vertices - HEAD_CENTRE) / HEAD_RADII, axis=1)
    assert radius.std() / radius.mean() < 0.02, "one level of a quadratic form"
    assert len(np.unique(mesh.faces)) == len(mesh.vertices) and mesh.colours.shape == mesh.vertices.shape
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), "closed: each edge has two triangles"
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    expected = 4 / 3 * np.pi * np.prod(HEAD_RADII) * radius.mean() ** 3
    assert volume == pytest.approx(expected, rel=0.03), "triangles face outwards, in world units"


def test_only_the_largest_part_stays(model):
    small = planes(model).clone()
    # A cube of 6 texels in a corner of the three planes, nothing before and behind it.
    small[0, 1, 0, :, 2:8] = -5
    small[0, 0, 0, 2:8, 2:8] = 1.5
    small[0, 1:, 0, 2:8, 2:8] = 0
    corner = torch.full((1, 3), (5 / 64 - 0.5))
    assert query(model, small, corner)[0] > SURFACE
    assert extract(model, small, side=48).vertices.min(0)[0] > -0.3


def test_empty_space_is_an_empty_mesh(model, tmp_path):
    mesh = extract(model, planes(model) * 0 - 5, side=16)
    assert len(mesh.vertices) == len(mesh.faces) == 0
    write_ply(tmp_path / "empty.ply", mesh, "nothing")


def test_ply_reads_back(tmp_path):
    mesh = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
        np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8),
        np.array([[0, 1, 2]], np.int32),
    )
    write_ply(tmp_path / "a.ply", mesh, "Synthetic: é")
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\ncomment Synthetic: \\xe9\nelement vertex 3\n")
    vertices = np.frombuffer(body[:45], [("p", "<f4", 3), ("c", "u1", 3)])
    np.testing.assert_array_equal(vertices["p"], mesh.vertices)
    np.testing.assert_array_equal(vertices["c"], mesh.colours)
    assert body[45:] == b"\x03" + np.array([0, 1, 2], "<i4").tobytes()
