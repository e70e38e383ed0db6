"""Read a folder of pictures with py-feat: one CSV row per face, and a row without numbers where there is none.

Run as a file by the interpreter of ``workflow/envs/py-feat.lock``, which has nothing of the project:
it imports only py-feat, what py-feat needs anyway, and the standard library.

The detectors are py-feat's modular ones as the paper's time had them: img2pose (faces and head pose, regressed and not
derived from landmarks), MobileFaceNet's landmarks and the XGBoost classifiers of 20 action units. Nothing is
downloaded: ``--weights`` holds the hub's ``{repository}/{file}`` with ``-`` for every ``/``.
"""

import argparse
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

# In the weights folder: py-feat/img2pose's model.safetensors is py-feat-img2pose-model.safetensors.
WEIGHTS = (
    "py-feat-img2pose-config.json",
    "py-feat-img2pose-model.safetensors",
    "py-feat-mobilefacenet-mobilefacenet_model_best.pth.tar",
    "py-feat-xgb_au-xgb_au_classifier_v2.skops",
)
AT_ONCE = 512  # pictures per call of py-feat, which keeps a call's results in memory


def use_local_weights(folder: Path) -> None:
    """Let py-feat find its weights in ``folder`` where it would ask the hub; called before it is imported."""
    import huggingface_hub

    def local(repo_id: str, filename: str, **_: Any) -> str:
        path = folder / f"{repo_id}/{filename}".replace("/", "-")
        if not path.is_file():
            raise SystemExit(f"{path} does not exist: py-feat asks for a file beyond {', '.join(WEIGHTS)}.")
        return str(path)

    huggingface_hub.hf_hub_download = local


def alike(pictures: list[Path]) -> Iterator[list[str]]:
    """The pictures in groups of one size (py-feat's batches need that), at most :data:`AT_ONCE` in each."""
    from PIL import Image

    def size(path: Path) -> tuple[int, int]:
        with Image.open(path) as picture:
            return picture.size

    sized = sorted((size(path), str(path)) for path in pictures)
    for _, group in itertools.groupby(sized, key=lambda pair: pair[0]):
        names = [name for _, name in group]
        yield from (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))


def read(pictures: list[Path], batch: int, device: str, stream: TextIO) -> str:
    """Write the faces of all pictures as CSV into an open file; returns py-feat's version."""
    import feat
    from feat.pretrained import AU_LANDMARK_MAP

    columns = ["input", "FaceScore", "Pitch", "Roll", "Yaw", *AU_LANDMARK_MAP["Feat"]]
    detector = feat.Detectorv1(
        face_model="img2pose",
        landmark_model="mobilefacenet",
        au_model="xgb",
        emotion_model=None,
        identity_model=None,
        gaze_model=None,
        device=device,
    )
    stream.write(",".join(columns) + "\n")
    for names in alike(pictures):
        faces = detector.detect(names, data_type="image", batch_size=batch, progress_bar=False)
        if missing := sorted(set(names) - set(faces["input"])):
            raise SystemExit(f"py-feat returned no row for {missing[0]} and {len(missing) - 1} more.")
        faces[columns].to_csv(stream, index=False, header=False)
    return str(feat.__version__)


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, metavar="DIR", help="folder of PNG pictures")
    parser.add_argument("--weights", type=Path, required=True, metavar="DIR", help=f"holds {', '.join(WEIGHTS)}")
    parser.add_argument("--output", type=Path, required=True, metavar="CSV", help="faces; CSV.json says what read them")
    parser.add_argument("--batch", type=int, default=16, help="pictures at once (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto (default)")
    arguments = parser.parse_args()
    if not arguments.pictures.is_dir():
        raise SystemExit(f"{arguments.pictures} is not a folder.")
    if absent := [name for name in WEIGHTS if not (arguments.weights / name).is_file()]:
        raise SystemExit(f"{arguments.weights / absent[0]} does not exist: py-feat's weights are needed.")
    use_local_weights(arguments.weights)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and renamed: a killed run leaves no half file. The CSV comes last.
    temporary = arguments.output.with_name(f".{arguments.output.name}.{os.getpid()}")
    about = arguments.output.with_name(f"{arguments.output.name}.json")
    pictures = sorted(arguments.pictures.glob("*.png"))
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            version = read(pictures, arguments.batch, arguments.device, stream)
        weights = {name: sha256(arguments.weights / name) for name in WEIGHTS}
        about.write_text(json.dumps({"version": version, "weights": weights}, indent=2) + "\n", encoding="utf-8")
        temporary.replace(arguments.output)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
