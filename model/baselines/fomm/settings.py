"""Settings of FOMM, which are those of the family it began."""

from model.baselines.firstorder.checks import check_together
from model.baselines.firstorder.settings import FirstOrderModel, FirstOrderTraining, claim
from model.kinds import Kind

KIND = Kind(
    name="fomm",
    model=FirstOrderModel,
    training=FirstOrderTraining,
    method="model.baselines.fomm.method",
    motions={"absolute": "first", "relative": "first", "relative_best": "best"},
    self_motions=("absolute",),
    views=False,
    claim=claim,
    check=check_together,
    outputs=("prediction", "deformed"),
    official=True,
)
