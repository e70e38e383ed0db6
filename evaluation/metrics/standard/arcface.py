"""Identity by ArcFace: insightface's w600k_r50 (ResNet-50, WebFace600K) through onnxruntime, on its aligned 112² face.

Alignment and standardisation are those of insightface (``utils/face_align.py``, ``model_zoo/arcface_onnx.py``): the
least-squares similarity that takes five points to a fixed template, then (x − 127.5) / 127.5 in RGB. The five points
are MTCNN's, as for the other readers, not those of the SCRFD detector in insightface's own pack.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.metrics.standard.mtcnn import POINTS, FaceDetector, Mtcnn
from evaluation.pictures import Picture
from preprocessing.cli import InputError
from preprocessing.geometry import procrustes

Array = NDArray[np.float64]

W600K = "w600k_r50.onnx"
SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the eyes, the nose and the corners of the mouth of an aligned face lie, in pixels of 112²."""


class ArcFace:
    """Reads the identity embedding [512] of each picture's face, not normalised; None without a face."""

    def __init__(self, path: Path, detector: FaceDetector | None = None) -> None:
        """The network from ``path``: :data:`W600K`, or :data:`BUFFALO` with it inside; InputError for other files."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # onnxruntime would take every core for each process
        options.log_severity_level = 3
        try:
            self._net = onnxruntime.InferenceSession(_model(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise InputError(f"{path} is not an ONNX network: {' '.join(str(error).split())[:200]}.") from None
        inputs, outputs = self._net.get_inputs(), self._net.get_outputs()
        if [i.shape[1:] for i in inputs] != [[3, SIDE, SIDE]] or [o.shape[1:] for o in outputs] != [[512]]:
            raise InputError(f"The network of {path} does not turn faces [3, {SIDE}, {SIDE}] into embeddings [512].")
        self._input = inputs[0].name
        self._detector = detector or Mtcnn()

    def __call__(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Embeddings [512] of pictures [H, W, 3]."""
        faces = zip(pictures, self._detector(pictures), strict=True)
        return [None if face is None else self._embed(aligned(picture, face[POINTS])) for picture, face in faces]

    def _embed(self, face: Picture) -> Array:
        # One at a time, as the published network declares its output.
        batch = ((face.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        return np.asarray(self._net.run(None, {self._input: batch})[0][0], dtype=np.float64)


def _model(path: Path) -> bytes:
    """The network's bytes; InputError where the file cannot be read or the pack lacks it."""
    try:
        if not zipfile.is_zipfile(path):
            return path.read_bytes()
        with zipfile.ZipFile(path) as pack:
            name = next((name for name in pack.namelist() if Path(name).name == W600K), None)
            if name is None:
                raise InputError(f"{path} holds no {W600K}.")
            return pack.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"Cannot read {path}: {error}.") from None


def aligned(picture: Picture, points: Array) -> Picture:
    """The face [112, 112, 3] of a picture, its five points [5, 2] taken to the template; black beyond the picture."""
    fit = procrustes(points, TEMPLATE)
    matrix = np.column_stack([fit.scale * fit.rotation, fit.translation])
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE)), dtype=np.uint8)
