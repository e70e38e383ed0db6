"""A face that any detector finds, as MTCNN gives it."""

import numpy as np
import pytest

from evaluation.metrics.standard.mtcnn import Mtcnn


@pytest.fixture(scope="session")
def mtcnn() -> Mtcnn:
    return Mtcnn()


@pytest.fixture(scope="session")
def empty() -> np.ndarray:
    """A picture without a face, of another size than the face's."""
    return np.full((90, 120, 3), 30, np.uint8)
