import torch

from model.animate.fitting import fit
from model.animator import Animator
from model.data import open_store, to_tensor
from model.planedict import PlaneDict


def test_a_fitted_source_is_nearer_to_its_photo_and_moves_as_before(synthetic_shards, tiny_model):
    torch.manual_seed(0)
    model = PlaneDict(tiny_model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    animator, store = Animator(model), open_store([synthetic_shards], "train", tiny_model.frames)
    frame = [("ann_00", 0)]
    image, label, still = store.sources(frame), store.labels(frame), torch.zeros(1, tiny_model.motion_dim)
    target = to_tensor(store.images(frame))

    def error(source):
        return (to_tensor(animator.drive(source, still, label)) - target).square().mean().item()

    fitted = fit(animator, image, target, label, still, steps=40)
    assert error(fitted) < 0.5 * error(animator.source(image))
    again = fit(animator, image, target, label, still, steps=40)
    assert torch.equal(again.planes, fitted.planes), "the same photo gives the same person"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "the model stays"
    assert torch.equal(fit(animator, image, target, label, still, steps=0).planes, animator.source(image).planes)
