"""Identity by facenet-pytorch 2.5.3: InceptionResnetV1 trained on VGGFace2, on faces that its MTCNN crops.

Crop and standardisation are those of DaGAN's evaluation (harlanhong/CVPR2022-DaGAN, ``utils.py``), which the paper
follows: the box without margin at 256², not at the package's own 160².
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from evaluation.metrics.standard.mtcnn import BOX, FaceDetector, Mtcnn
from evaluation.pictures import Picture
from preprocessing import weights
from preprocessing.statedicts import fill

Array = NDArray[np.float64]

SIDE = 256
MARGIN = 0


class Facenet:
    """Reads the identity embedding [512], of length 1, of each picture's largest face; None without a face."""

    def __init__(self, path: Path, device: str = "cpu", detector: FaceDetector | None = None) -> None:
        """Weights from ``path`` (:data:`VGGFACE2`); a file of another network raises InputError.

        ``detector`` is shared with other readers where given.
        """
        from facenet_pytorch import InceptionResnetV1

        self._net = InceptionResnetV1(pretrained=None).eval()
        # The published file also holds the classifier over VGGFace2's people.
        state = {key: value for key, value in weights.load(path).items() if not str(key).startswith("logits.")}
        fill(self._net, state, path, "the InceptionResnetV1 of facenet-pytorch")
        self._net.to(device)
        self._device = device
        self._detector = detector or Mtcnn(device)

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture]) -> list[Array | None]:
        """Embeddings [512] of pictures [H, W, 3]."""
        faces = zip(pictures, self._detector(pictures), strict=True)
        crops = [None if face is None else crop(picture, face) for picture, face in faces]
        found = [pixels for pixels in crops if pixels is not None]
        if not found:
            return [None] * len(crops)
        embeddings = iter(self._net(torch.stack(found).to(self._device)).double().cpu().numpy())
        return [None if pixels is None else next(embeddings) for pixels in crops]


def crop(picture: Picture, face: Array) -> torch.Tensor | None:
    """The standardised crop [3, 256, 256] of a face [7, 2], about −1 to 1; None where its box misses the picture."""
    from facenet_pytorch import extract_face, fixed_image_standardization

    height, width = picture.shape[:2]
    low, high = np.maximum(face[BOX][0], 0).astype(int), np.minimum(face[BOX][1], (width, height)).astype(int)
    if np.any(high <= low):
        return None
    pixels = extract_face(Image.fromarray(picture), face[BOX].ravel(), SIDE, MARGIN)
    return fixed_image_standardization(pixels)
