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
NOT_HERE = {
    "py-feat": "the standard backend py-feat is not part of this environment",
}


@dataclass(frozen=True)
class Choice:
    """Which backends measure: a family (embedded, standard, auto: standard where at hand), and exceptions by metric."""

    family: str = "auto"
    named: tuple[tuple[str, str], ...] = ()

    def candidates(self, metric: Metric) -> list[str]:
        """The backends that may measure ``metric``, the preferred one first."""
        named = dict(self.named).get(metric.key)
        families = {"embedded": (metric.embedded,), "standard": (metric.standard,)}
        wanted = (named,) if named else families.get(self.family, (metric.standard, metric.embedded))
        return [name for name in wanted if name]

    def backend(self, metric: Metric) -> tuple[str, str]:
        """The backend that measures ``metric`` and, where none can, the reason (else empty)."""
        candidates = self.candidates(metric)
        if not candidates:
            return "", f"{metric.name} has no {self.family} backend"
        reasons = []
        for name in candidates:
            reason = unavailable(name)
            if reason is None:
                return name, ""
            reasons.append(reason)
        return candidates[0], reasons[0]


def path_of(name: str) -> Path:
    """Where the registered file ``name`` lies."""
    return weights.registry()[name].path


def unavailable(name: str) -> str | None:
    """Why a backend cannot measure here, or None where it can."""
    if name in NOT_HERE:
        return NOT_HERE[name]
    return next((reason for file in FILES.get(name, ()) if (reason := weights.missing(file))), None)
