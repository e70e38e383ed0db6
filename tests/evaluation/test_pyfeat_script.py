"""The script that py-feat's own interpreter runs, with a module in py-feat's place.

The module has the names and the call signature of py-feat 2.1.5 that the script uses (``feat.Detectorv1(...)``,
``.detect(inputs, data_type, output_size, batch_size, …)``, ``feat.pretrained.AU_LANDMARK_MAP``, weights asked of
``huggingface_hub.hf_hub_download``), and what it returns has its columns.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evaluation.external.detections import PYFEAT_UNITS
from evaluation.external.pyfeat import WEIGHTS
from evaluation.pictures import digest, read_picture
from evaluation.readings import collect
from preprocessing.files import sha256

SCRIPT = Path(__file__).parents[2] / "evaluation" / "external" / "pyfeat.py"
FEAT = f"""
import numpy as np, pandas as pd
from PIL import Image
from huggingface_hub import hf_hub_download
__version__ = "2.1.5"
UNITS = {PYFEAT_UNITS!r}
class Detectorv1:
    def __init__(self, face_model="retinaface", landmark_model="mobilefacenet", au_model="xgb",
                 emotion_model="resmasknet", identity_model="arcface", gaze_model="l2cs", device="cpu"):
        assert (face_model, emotion_model, identity_model, gaze_model) == ("img2pose", None, None, None)
        for repository, file in (("img2pose", "config.json"), ("img2pose", "model.safetensors"),
                                 ("mobilefacenet", "mobilefacenet_model_best.pth.tar"),
                                 ("xgb_au", "xgb_au_classifier_v2.skops")):
            path = hf_hub_download(repo_id="py-feat/" + repository, filename=file, cache_dir="resources")
            assert open(path).read() == f"py-feat-{{repository}}-{{file}}"
    def detect(self, inputs, data_type="image", output_size=None, batch_size=1, num_workers=0, pin_memory=False,
               face_identity_threshold=0.8, face_detection_threshold=0.5, skip_frames=None, progress_bar=True,
               save=None, **kwargs):
        # As the real one: batches of one size, a row of NaN where there is no face, several rows where there are more.
        assert len({{Image.open(path).size for path in inputs}}) == 1
        rows = []
        for number, path in enumerate(inputs):
            value = np.asarray(Image.open(path))[0, 0, 0] / 255
            if value == 1:  # never so in the real one: a row is missing
                continue
            for score in (0.6, 0.9) if value else (0.0,):
                pose = dict.fromkeys(("Pitch", "Roll", "Yaw", "X", "Y", "Z"), score / 10 if value else np.nan)
                rows.append({{"FaceRectX": 1, "FaceScore": score}} | pose
                            | dict.fromkeys(UNITS, value or np.nan) | {{"input": path, "frame": number}})
        return pd.DataFrame(rows)
"""


@pytest.fixture
def run(tmp_path):
    """Run the script on a folder of pictures of these (side, first value): its result and the folder."""
    modules = tmp_path / "modules"
    (modules / "feat").mkdir(parents=True)
    (modules / "feat" / "__init__.py").write_text(FEAT)
    (modules / "feat" / "pretrained.py").write_text("from feat import UNITS\nAU_LANDMARK_MAP = {'Feat': UNITS}\n")
    (modules / "huggingface_hub.py").write_text("def hf_hub_download(*_, **__):\n    raise OSError('no network')\n")
    (tmp_path / "weights").mkdir()
    for name in WEIGHTS:
        (tmp_path / "weights" / name).write_text(name)
    (tmp_path / "pictures").mkdir()

    def script(*shown):
        for number, (side, value) in enumerate(shown):
            Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(tmp_path / "pictures" / f"{number}.png")
        names = ("pictures", "weights", "output")
        call = [word for name in names for word in (f"--{name}", str(tmp_path / name))]
        environment = {"PYTHONPATH": str(modules)}
        return subprocess.run([sys.executable, SCRIPT, *call], env=environment, capture_output=True, text=True)

    return script


def test_every_picture_has_a_row_and_the_files_are_named(run, tmp_path):
    done = run((8, 51), (16, 102), (8, 0))
    assert done.returncode == 0, done.stderr
    about = json.loads((tmp_path / "output.json").read_text())
    hashes = {name: sha256(tmp_path / "weights" / name) for name in WEIGHTS}
    assert about == {"version": "2.1.5", "weights": hashes}
    table = collect("py-feat", tmp_path / "pictures", [tmp_path / "output"], about).set_index("digest")
    names = [digest(read_picture(tmp_path / "pictures" / f"{i}.png")) for i in range(3)]
    assert table["found"].to_dict() == dict(zip(names, (True, True, False), strict=True))
    assert table["AU43"].tolist()[:2] == [0.2, 0.4]
    assert len(pd.read_csv(tmp_path / "output")) == 5  # two faces in each picture that has one
    assert not list(tmp_path.glob(".output*"))


def test_no_pictures_are_no_rows(run, tmp_path):
    assert run().returncode == 0
    assert collect("py-feat", tmp_path / "pictures", [tmp_path / "output"], {"version": "2.1.5"}).empty


def test_a_picture_without_a_row_is_an_error_and_leaves_nothing(run, tmp_path):
    done = run((8, 51), (8, 255))
    assert done.returncode == 1 and "returned no row for" in done.stderr and "1.png" in done.stderr
    assert not (tmp_path / "output").exists() and not list(tmp_path.glob(".output*"))


def test_missing_weights_are_named_before_anything_is_loaded(run, tmp_path):
    (tmp_path / "weights" / WEIGHTS[1]).unlink()
    done = run((8, 51))
    assert done.returncode == 1 and "img2pose-model.safetensors does not exist" in done.stderr
