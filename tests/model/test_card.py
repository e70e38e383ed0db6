"""The model card says what the checkpoint's header says, and nothing that nobody measured."""

import json

import pytest
import torch

from model.card import card, main, parser
from model.checkpoints import save_weights
from model.planedict import PlaneDict
from model.planedict_method import METHOD
from preprocessing.cli import InputError

FACTS = {
    "method": "planedict-5",
    "step": "3100",
    "seed": "7",
    "clips": "8",
    "people": "3",
    "training": '{"recipe": "robust"}',
}


def test_a_card_states_the_facts(tiny_model):
    text = card(METHOD, tiny_model, FACTS)
    for words in ("# Model card: planedict-5", "| steps | 3100 |", "| seed | 7 |", "8 samples of 3 people", "robust"):
        assert words in text
    assert "3 learned, orthogonal planes" in text and "trained on 3 people" in text and "32² pixels" in text
    assert "Held-out" not in text, "no figures without figures"
    for heading in ("Limits", "Use", "Responsible use", "Licence"):
        assert f"\n## {heading}\n" in text
    settings = json.loads(text.split("```json\n")[1].split("```")[0])
    assert settings == {"model": tiny_model.model_dump(mode="json"), "training": {"recipe": "robust"}}


def test_what_was_taken_or_has_no_recipe_claims_no_training_of_that_sort(tiny_model):
    taken = card(METHOD, tiny_model, {"method": "x", "weights": "official: v.tar:0123", "step": "0"})
    assert "| weights | official: v.tar:0123 |" in taken and "| steps |" not in taken and "people |" not in taken
    assert "| recipe |" not in card(METHOD, tiny_model, FACTS | {"training": "{}"})


def test_figures_are_shown_where_given(tiny_model):
    health = {
        "psnr_gain_db": {"ann": 1.0, "bob": 2.0},
        "mouth_correlation": 0.876,
        "yaw_correlation": None,
        "seeds": [0],
    }
    text = card(METHOD, tiny_model, FACTS, health)
    assert "mean over people (dB) | 1.50 |" in text and "self | 0.88 |" in text and "yaw of output" not in text


def test_a_large_training_has_no_small_limits(tiny_model):
    large = tiny_model.model_copy(update={"resolution": 256, "motion": "generator"})
    text = card(METHOD, large, FACTS | {"people": "7000"})
    assert "blend of them" not in text and "blurred" not in text and "without the plane dictionary" in text


def test_the_command_reads_a_checkpoint(tiny_model, tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "final.safetensors", PlaneDict(tiny_model), FACTS)
    given = ["--checkpoint", str(tmp_path / "final.safetensors"), "--output", str(tmp_path / "card.md")]
    main(parser().parse_args(given))
    assert (tmp_path / "card.md").read_text() == card(METHOD, tiny_model, FACTS)
    for broken, words in (("{", "not valid JSON"), ("[]", "must hold the figures")):
        (tmp_path / "health.json").write_text(broken)
        with pytest.raises(InputError, match=words):
            main(parser().parse_args([*given, "--health", str(tmp_path / "health.json")]))


def test_a_fine_tuned_model_tells_both_trainings(tiny_model):
    assert "| steps | 400, then 30 adversarial |" in card(METHOD, tiny_model, {"step": "30", "pretrained_step": "400"})
    assert "| steps | 30 |" in card(METHOD, tiny_model, {"step": "30"})
