"""Which backend measures a metric here, and which weights that needs. Loads no detector: plans ask it, too."""

from dataclasses import dataclass
from pathlib import Path

from evaluation.metrics.catalogue import Metric
from preprocessing import weights
from preprocessing.weights import DEEP3D_LANDMARKS, DEEP3D_NETWORK

ALEXNET = "alexnet-owt-7be5be79.pth"
INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
CLEAN_INCEPTION = "inception-2015-12-05.pt"
VGGFACE2 = "20180402-114759-vggface2.pt"
BUFFALO = "buffalo_l.zip"  # insightface's model pack, which holds w600k_r50.onnx
BFM = "BFM_model_front.mat"
# The registered files that a backend needs; backends that are not named here carry theirs.
FILES: dict[str, tuple[str, ...]] = {
    "lpips-alex": (ALEXNET,),
    "pytorch-fid": (INCEPTION,),
    "clean-fid": (CLEAN_INCEPTION,),
    "facenet-vggface2": (VGGFACE2,),
    "arcface-r50": (BUFFALO,),
    "deep3dfacerecon-bfm09": (DEEP3D_NETWORK, BFM, DEEP3D_LANDMARKS),
}
# Backends that read pictures in an environment of their own; their readings come as files (evaluation/readings.py).
OUTSIDE = ("py-feat", "openface")


@dataclass(frozen=True)
class Choice:
    """Which backends measure: a family, and exceptions by metric.

    The family is embedded (where a metric has none, its standard one), standard, or auto (standard where at hand).

    ``readings`` are files made outside this environment; but for the embedded family, what they hold comes first.
    """

    family: str = "auto"
    named: tuple[tuple[str, str], ...] = ()
    readings: tuple[Path, ...] = ()

    def candidates(self, metric: Metric) -> list[str]:
        """The backends that may measure ``metric``, the preferred one first."""
        named = dict(self.named).get(metric.key)
        if named or self.family == "embedded":
            wanted = [named or metric.embedded or metric.standard]
        else:
            given = [name for name in metric.backends if name in self._given]
            wanted = [*given, metric.standard, metric.embedded if self.family == "auto" else None]
        return [name for name in dict.fromkeys(wanted) if name]

    def backend(self, metric: Metric) -> tuple[str, str]:
        """The backend that measures ``metric`` and, where none can, the reason (else empty).

        ``auto`` passes over a backend whose files are missing, but not over one whose file is there and wrong: that is
        the reason then, and nothing measures in its place.
        """
        candidates = self.candidates(metric)
        if not candidates:
            return "", f"{metric.name} has no {self.family} backend"
        reasons = []
        for name in candidates:
            reason = self._unavailable(name)
            if reason is None:
                return name, ""
            if wrong := _wrong_file(name):
                return name, wrong
            reasons.append(reason)
        return candidates[0], reasons[0]

    @property
    def _given(self) -> tuple[str, ...]:
        """The backends that made the readings."""
        if not self.readings:
            return ()
        from evaluation.readings import by_backend

        return tuple(by_backend(self.readings))

    def _unavailable(self, name: str) -> str | None:
        """Why a backend cannot measure here, or None where it can."""
        if name in OUTSIDE:
            return None if name in self._given else f"no readings of {name} given (python -m evaluation.readings)"
        reasons = [reason for file in FILES.get(name, ()) if (reason := weights.missing(file))]
        return f"{'; '.join(reasons)} (python -m preprocessing.weights)" if reasons else None


def _wrong_file(backend: str) -> str | None:
    """What is wrong with a file of ``backend`` that is there."""
    there = (file for file in FILES.get(backend, ()) if path_of(file).is_file())
    return next((reason for file in there if (reason := weights.missing(file))), None)


def path_of(name: str) -> Path:
    """Where the registered file ``name`` lies."""
    return weights.registry()[name].path
