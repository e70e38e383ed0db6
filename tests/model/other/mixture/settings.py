"""A method as anybody may add one: what planning needs of it."""

from pydantic import Field

from model.kinds import Kind, LoopSettings, MethodModel


class MixtureModel(MethodModel):
    """The source and the driver's frame, mixed."""

    start: float = Field(0.5, ge=0, le=1, description="the source's share before training")


class MixtureTraining(LoopSettings):
    """How the share is learned."""

    learning_rate: float = Field(0.05, gt=0, description="Adam")

    @property
    def images(self) -> int:
        return 2


KIND = Kind(
    name="mixture",
    model=MixtureModel,
    training=MixtureTraining,
    method=f"{__package__}.method",
    motions={"absolute": "first"},
    views=False,
    claim=lambda model, training: "mini, trained here",
)
