"""The metrics by name: what each is compared with, which backend measures it, in what unit."""

from dataclasses import dataclass
from typing import Literal

Reference = Literal["target", "source", "pose", "real"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``reference`` says what a generated image is compared with: the driver's frame (target), the source, the requested
    head pose (or the driver's where none is requested), or the whole real set. ``embedded`` and ``standard`` name the
    backends; None where there is none in that family. ``others`` are backends that measure it where they are named.
    A metric of sets needs ``least_images`` on either side, and says so where there are fewer than ``enough_images``.
    """

    key: str
    name: str
    reference: Reference
    higher_is_better: bool
    embedded: str | None
    standard: str | None
    unit: str = ""
    decimals: int = 3
    paper: bool = True
    others: tuple[str, ...] = ()
    least_images: int = 2
    enough_images: int = 0

    @property
    def backends(self) -> tuple[str, ...]:
        """Every backend that can measure it."""
        return tuple(dict.fromkeys(name for name in (self.embedded, self.standard, *self.others) if name))

    @property
    def arrow(self) -> str:
        """↑ or ↓."""
        return "↑" if self.higher_is_better else "↓"


METRICS = {
    metric.key: metric
    for metric in (
        Metric("l1", "L1", "target", False, "numpy", "numpy", paper=False),
        Metric("ssim", "SSIM", "target", True, "scikit-image", "scikit-image"),
        Metric("psnr", "PSNR", "target", True, "numpy", "numpy", "dB", 2),
        Metric("lpips", "LPIPS", "target", False, None, "lpips-alex"),
        Metric("fid", "FID", "real", False, None, "pytorch-fid", decimals=1, others=("clean-fid",), enough_images=2048),
        Metric("ffd", "FFD-dlib", "real", False, "dlib-128", None, decimals=4, paper=False, least_images=129),
        Metric("csim", "CSIM", "source", True, "dlib-128", "facenet-vggface2", others=("arcface-r50",)),
        Metric("csim_l2", "CSIM-L2", "source", False, "dlib-128", None, paper=False),
        Metric("aucon", "AUCON", "target", True, "AUCON-geo", "py-feat", others=("openface",)),
        Metric("prmse", "PRMSE", "pose", False, "facemesh-pose", "py-feat", "°", 2, others=("openface",)),
        Metric("avd", "AVD", "source", False, "facemesh-478", "deep3dfacerecon-bfm09", "dm", 4),
        Metric("et", "ET", "target", False, "facemesh-iris", "gazetracking", "px at 256²", 2),
        Metric("et_width", "ET-width", "target", False, "facemesh-iris", "gazetracking", "eye widths", 3, paper=False),
    )
}
BY_NAME = {metric.name: metric for metric in METRICS.values()}
CONTRACT = ("l1", "ssim", "psnr", "lpips", "fid", "csim", "aucon", "prmse", "avd", "et")

# What the five tables hold: the paper's columns first, then what the embedded backends add.
TABLES = {
    1: ("ssim", "psnr", "lpips", "l1"),
    2: ("csim", "aucon", "prmse", "avd", "et", "csim_l2", "et_width"),
    3: ("csim", "aucon", "prmse", "fid", "avd", "et", "csim_l2", "et_width", "ffd"),
    4: ("csim", "aucon", "prmse", "avd", "csim_l2"),
    5: ("csim", "aucon", "prmse", "avd", "et", "csim_l2", "et_width"),
}
PROTOCOLS = {
    "self": TABLES[1] + TABLES[2],
    "cross": TABLES[3],
    "multiview": TABLES[4],
}
