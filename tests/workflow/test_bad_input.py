"""A folder of the user's own videos in which almost everything is wrong: the run ends, and each file has its reason."""

import json
import shutil

import imageio.v2 as imageio
import numpy as np
import pandas as pd
import pytest
import yaml

from preprocessing.sources.embedded import cache_directory

pytestmark = [pytest.mark.chain, pytest.mark.timeout(1800)]
REASONS = {
    "empty": "empty-file",
    "truncated": "corrupt",
    "noise": "corrupt",
    "words": "corrupt",
    "no face": "no-face",
    "single": "too-short",
}


def write_video(path, frames):
    """Encode frames [n, h, w, 3] uint8 at 25 frames a second."""
    with imageio.get_writer(path, fps=25, macro_block_size=8) as writer:
        for frame in frames:
            writer.append_data(frame)


@pytest.fixture
def folder(tmp_path):
    """One clip that is fine, under two awkward names, among files that are not."""
    folder = tmp_path / "my clips"
    folder.mkdir()
    media = cache_directory()
    fine = media / "carphone_pristine.mp4"
    shutil.copy(fine, folder / "-dash.mp4")
    shutil.copy(fine, folder / "two words.mp4")
    (folder / "empty.mp4").touch()
    whole = (media / "franck.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 3])
    random = np.random.default_rng(0)
    (folder / "noise.mp4").write_bytes(random.bytes(50_000))
    (folder / "words.mp4").write_text("not a video\n" * 100)
    ramp = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)
    write_video(folder / "no face.mp4", np.stack([np.stack([ramp + i] * 3, axis=-1) for i in range(40)]))
    first = next(iter(imageio.get_reader(fine)))
    write_video(folder / "single.mp4", first[None])
    return folder


def test_every_bad_file_is_a_row_and_the_run_ends(project, folder):
    config = yaml.safe_load((project.folder / "workflow/config/mini.yaml").read_text(encoding="utf-8"))
    config["ablation"] = {}
    config["training"] |= {"iterations": 4, "checkpoint_every": 4}
    (project.folder / "run.yaml").write_text(yaml.safe_dump(config))
    project.config = "run.yaml"
    project.run(options=("--config", f"clips={folder}"))
    results = project.folder / "results" / "mini-my-clips"
    account = json.loads((results / "dataset/my-clips.json").read_text(encoding="utf-8"))
    rows = {row["clip"]: row for row in account["clips"]}
    assert set(rows) == {path.stem for path in folder.iterdir()}
    assert rows["-dash"]["status"] == rows["two words"]["status"] == "kept"
    for clip, reason in REASONS.items():
        assert (rows[clip]["status"], rows[clip]["reason"]) == ("dropped", reason), rows[clip]
        assert rows[clip]["stage"]
    assert account["kept"] == 2 and account["clips_in"] == 8
    table = pd.read_csv(results / "tables/table1.csv", dtype=str, keep_default_na=False)
    assert "my-clips" in set(table["dataset"])
    assert (results / "report.html").stat().st_size > 10_000
