"""DaGAN's discriminator: FOMM's, which waits while the depth network learns."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from model.baselines.firstorder.adversary import FirstOrderAdversary
from model.baselines.firstorder.objective import Judged


class DaganAdversary(FirstOrderAdversary):
    """FOMM's; steps in which nothing is generated hand it None."""

    def train_step(self, step: int, judged: Sequence[Judged | None], real: Iterator[Any]) -> dict[str, Tensor]:
        shown = [one for one in judged if one is not None]
        return super().train_step(step, shown, real) if shown else {}
