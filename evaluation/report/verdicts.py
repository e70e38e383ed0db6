"""The figures of ``health.json`` with what they mean, their thresholds and whether they pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.tables.render import DASH

PICTURES, MOTION, IDENTITY = "Pictures", "Does motion transfer?", "Does identity stay?"
SAID = {
    PICTURES: "",
    MOTION: "",
    IDENTITY: "Read the three together. The first only says that the output does not turn into the driver's picture; "
    "the person is kept as far as the second lies above chance and the third is high.",
}
"""The parts in the order of the page, and what must be known to read them."""


@dataclass(frozen=True)
class Health:
    """One figure of ``health.json``: what it means and from where on it counts as passed (None: for information)."""

    key: str
    name: str
    meaning: str
    least: float | None
    unit: str = ""
    part: str = MOTION


HEALTH = (
    Health("face_found", "Face found", "share of outputs in which FaceMesh finds a face", 0.95, part=PICTURES),
    Health("yaw_correlation", "Yaw follows", "correlation of the output's yaw with the driver's", 0.9),
    Health("mouth_correlation", "Mouth follows, self", "correlation of the mouth opening with the driver's", 0.5),
    Health("mouth_correlation_cross", "Mouth follows, cross", "the same when another person drives", 0.5),
    Health("shuffle_drop_db", "Motion code is used", "PSNR lost in eyes and mouth by shuffling codes", 1.5, " dB"),
    Health("code_spread", "Motion code varies", "its deviation over a clip, relative to its size", 0.05),
    Health("swap_ratio", "Swap test", "mouth error with the opposite extreme's code over its own; 1: ignored", None),
    Health("eye_correlation", "Eyes follow", "correlation of the lids' opening with the driver's", None),
    Health("gaze_correlation", "Gaze follows", "correlation of the irises' place with the driver's", None),
    Health("source_nearer", "Nearer to the source, pixels", "share of cross outputs whose upper face (grey pixels, no "
           "mouth) is nearer to the same model's resting render of the source than to the driver's frame", 0.85,
           part=IDENTITY),
    Health("source_nearer_embedding", "Nearer to the source, embedding", "share of cross outputs nearer to the "
           "source's photo than to the driver's by dlib's embedding; chance: 0.5", None, part=IDENTITY),
    Health("recognised", "Person recognised", "share of cross outputs that dlib takes for the person of the source's "
           "photo", None, part=IDENTITY),
)  # fmt: skip
GAIN_MEAN, GAIN_EACH = 5.0, 2.0


def health_rows(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The health figures with their thresholds and verdicts (True, False, or None where there is none)."""
    if document is None:
        return []
    gains = {person: float(gain) for person, gain in (document.get("psnr_gain_db") or {}).items() if gain is not None}
    rows = []
    if gains:
        mean = sum(gains.values()) / len(gains)
        each = ", ".join(f"{person} {gain:+.1f}" for person, gain in sorted(gains.items()))
        rows.append(
            {
                "part": PICTURES,
                "name": "Better than the copy",
                "meaning": f"PSNR of self-reenactment over the copy of the source ({each})",
                "value": f"{mean:+.1f} dB",
                "least": f"≥ {GAIN_MEAN:g} dB, each ≥ {GAIN_EACH:g}",
                "passed": mean >= GAIN_MEAN and min(gains.values()) >= GAIN_EACH,
            }
        )
    for item in HEALTH:
        value = document.get(item.key)
        known = value is not None
        rows.append(
            {
                "part": item.part,
                "name": item.name,
                "meaning": item.meaning,
                "value": f"{float(value):.2f}{item.unit}" if value is not None else DASH,
                "least": "" if item.least is None else f"≥ {item.least:g}{item.unit}",
                "passed": None if item.least is None or not known else float(value or 0) >= item.least,
            }
        )
    return rows
