"""What every command shares: settings from JSON or a file, and one sentence for what is wrong."""

import argparse
from pathlib import Path

import pytest

from preprocessing.cli import InputError, add_common, load_settings, run_command
from preprocessing.settings import CropSettings


def test_settings_come_from_json_a_block_or_a_whole_configuration(tmp_path: Path):
    assert load_settings(None, CropSettings, "crop") == CropSettings()
    assert load_settings('{"min_frames": 8}', CropSettings, "crop").min_frames == 8
    (tmp_path / "block.yaml").write_text("min_frames: 9\n")
    assert load_settings(str(tmp_path / "block.yaml"), CropSettings, "crop").min_frames == 9
    (tmp_path / "run.yaml").write_text("run: demo\ncrop: {min_frames: 10}\n")
    assert load_settings(str(tmp_path / "run.yaml"), CropSettings, "crop").min_frames == 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{"min_frame": 8}', "crop: unknown key 'min_frame'"),
        ('{"min_frames": "many"}', "'min_frames' = 'many' is wrong"),
        ('{"decode": {"memory_mb": 1}}', "'decode.memory_mb' = 1 is wrong"),
        ('{"min_frames"', "not valid JSON"),
        ("nowhere.yaml", "Cannot read settings from nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_named(given: str, words: str):
    with pytest.raises(InputError) as error:
        load_settings(given, CropSettings, "crop")
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_input_errors_end_with_their_sentence_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    add_common(parser)

    def fail(_: argparse.Namespace) -> None:
        raise InputError("The key is wrong.")

    with pytest.raises(SystemExit) as end:
        run_command(fail, parser, ["--log", str(tmp_path / "logs" / "a.log")])
    assert end.value.code == 2
    assert capsys.readouterr().err == "The key is wrong.\n"
    assert (tmp_path / "logs" / "a.log").exists()


def test_paths_that_cannot_be_written_end_in_one_sentence_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    add_common(parser)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SystemExit) as end:
        run_command(lambda _: None, parser, ["--log", str(blocked / "a.log")])
    words = capsys.readouterr().err
    assert end.value.code == 2 and words.startswith(str(blocked)) and len(words.splitlines()) == 1
