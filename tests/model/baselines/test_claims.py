"""What a row of a table may say of a first-order method follows from its settings."""

import pytest

from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining, claim
from model.kinds import kind_of
from tests.model.baselines.tiny import TINY

WITHOUT = {"loss_weights": {"equivariance_value": 0, "perceptual": [0, 0, 0, 0, 0]}}


@pytest.mark.parametrize(
    ("model", "training", "words"),
    [
        ({}, {}, "trained here"),
        ({"align_corners": True, "discriminator_params": {"block_expansion": 4}}, {}, "trained here"),
        ({"resolution": 64}, {}, "mini, trained here"),
        ({"generator_params": {"estimate_occlusion_map": False}}, {}, "trained here, without an occlusion map"),
        (TINY, {"features": "pixels"}, "mini, trained here, without VGG-19's features"),
        (
            {},
            {"scales": [1], "augmentation": {"hue": 0}},
            "trained here, pictures compared at 1 of 4 sizes, other augmentation",
        ),
        ({}, WITHOUT, "trained here, without perceptual loss, without equivariance of keypoints"),
    ],
)
def test_a_claim_names_what_is_not_the_authors(model, training, words):
    given = FirstOrderModel.model_validate(model), FirstOrderTraining.model_validate(training)
    assert claim(*given) == words == kind_of("fomm").claim(*given)
