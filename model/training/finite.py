"""A training that has become nonsense stops, on every device, and says on what it did."""

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor

from preprocessing.cli import InputError


class NonFiniteLoss(InputError):
    """A loss became NaN or infinite; the message names the step and what was in the batch."""


def check_finite(fabric: Fabric, loss: Tensor, what: str, batch: Sequence[str]) -> None:
    """Raise :class:`NonFiniteLoss` on every device when the loss of one is not finite; that one names its batch."""
    losses = fabric.all_gather(loss.detach())
    assert isinstance(losses, Tensor)
    if torch.isfinite(losses).all():
        return
    whose = f"in a batch of {sorted(set(batch))}" if not torch.isfinite(loss) else "on another device"
    raise NonFiniteLoss(f"Not finite: {what} is {loss.item()}, {whose}.")
