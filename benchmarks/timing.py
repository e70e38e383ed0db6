"""Two functions timed in turns."""

import statistics
import time
from collections.abc import Callable


def compare(name: str, ours: Callable[[], object], reference: Callable[[], object], repeats: int = 15) -> float:
    """Print the medians of both (after one warm-up each) and how many times as fast ours is; returns our seconds.

    What is measured is the processor time of this process, so that others on the machine hardly matter.
    """
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    for label, function in (("ours", ours), ("reference", reference)) * (repeats + 1):
        start = time.process_time()
        function()
        times[label].append(time.process_time() - start)
    medians = {label: statistics.median(values[1:]) * 1e3 for label, values in times.items()}
    ratio = medians["reference"] / medians["ours"]
    print(f"{name}: ours {medians['ours']:.1f} ms, reference {medians['reference']:.1f} ms, {ratio:.1f} times as fast")
    return medians["ours"] / 1e3
