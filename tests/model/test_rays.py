import torch

from model.cameras import FRONTAL, look_at
from model.rays import rays_of_pixels, sample_rays


def test_rays_pass_through_their_pixels():
    pose = look_at(torch.tensor([1.2, 1.9]), torch.tensor([1.4, 1.7]), 2.7, torch.tensor([0.0, 0.0, 0.2]))
    intrinsics = torch.tensor([[4.2647, 0.02, 0.48], [0, 4.1, 0.53], [0, 0, 1]]).expand(2, 3, 3)
    origins, directions = sample_rays(pose, intrinsics, 8)
    assert origins.shape == directions.shape == (2, 64, 3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(2, 64))
    local = (origins + 3.0 * directions - pose[:, None, :3, 3]) @ pose[:, :3, :3]
    image = local @ intrinsics.transpose(1, 2)
    image = image[..., :2] / image[..., 2:]
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    expected = torch.stack([(column + 0.5) / 8, (row + 0.5) / 8], dim=-1).reshape(64, 2)
    torch.testing.assert_close(image, expected.expand(2, 64, 2), atol=1e-5, rtol=0)


def test_frontal_centre_ray_points_at_the_origin():
    pose = look_at(torch.tensor([FRONTAL]), torch.tensor([FRONTAL]), 2.7, torch.zeros(3))
    intrinsics = torch.tensor([[[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]]])
    _, directions = sample_rays(pose, intrinsics, 3)
    torch.testing.assert_close(directions[0, 4], torch.tensor([0.0, 0.0, -1.0]), atol=1e-6, rtol=0)
    assert directions[0, 3, 0] < 0 < directions[0, 5, 0], "columns run to the right, +x"
    assert directions[0, 1, 1] > 0 > directions[0, 7, 1], "rows run downwards"


def test_chosen_pixels_are_the_same_rays():
    pose = look_at(torch.tensor([1.5]), torch.tensor([1.5]), 2.7, torch.zeros(3))
    intrinsics = torch.tensor([[[4.2647, 0, 0.5], [0, 4.2647, 0.5], [0, 0, 1]]])
    _, everything = sample_rays(pose, intrinsics, 16)
    pixels = torch.tensor([[0, 17, 255]])
    _, some = rays_of_pixels(pose, intrinsics, pixels, 16)
    torch.testing.assert_close(some, everything[:, pixels[0]])
