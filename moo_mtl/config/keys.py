"""The keys of an experiment file, by its kind, and what their values must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_serializer,
    model_validator,
)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Choice(_Strict):
    """Something chosen by name, with its parameters: ``"mgda"`` or ``{name = "mgda", normalization = "l2"}``."""

    name: str
    parameters: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping):
            if not isinstance(value.get("name"), str):
                raise ValueError(f'a table needs a name, as in {{name = "..."}}, found {dict(value)}')
            return {"name": value["name"], "parameters": {key: item for key, item in value.items() if key != "name"}}
        raise ValueError(f'expected a name or a table {{name = "..."}}, found {value!r}')

    @model_serializer
    def _to_toml(self) -> dict[str, Any]:
        return {"name": self.name, **self.parameters}

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.parameters.items())})"


Rate = Annotated[float | str, Field(description='a number, or "my_module:schedule" for a function of the step')]


class Single(_Strict):
    """One run: one rule, one seed. What both kinds share."""

    rule: Choice
    seed: NonNegativeInt = 0
    lr: Rate
    device: str = "cpu"
    deterministic: bool = False
    threads: PositiveInt = 1  # of torch on the CPU; part of the configuration, because the order of a sum depends on it

    def resolved(self) -> dict[str, Any]:
        """All keys with their values, defaults included, as JSON types; ``None`` is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @model_validator(mode="after")
    def _positive_rate(self) -> Single:
        if isinstance(self.lr, float) and self.lr <= 0:
            raise ValueError(f"lr must be positive, found {self.lr}")
        if isinstance(self.lr, str) and ":" not in self.lr:
            raise ValueError(f'lr must be a number, or "my_module:schedule" for a function of the step; found {self.lr!r}')
        return self


class TraceRun(Single):
    """Trajectories of one rule on a problem; the keys are the arguments of ``trace``, which explains them."""

    kind: Literal["trace"]
    problem: Choice
    starts: list[list[float]] | PositiveInt | None = None  # points; how many to draw from the box; None: the problem's own
    steps: PositiveInt
    optimizer: Literal["sgd", "adam"] = "sgd"
    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    clip: PositiveFloat | None = None
    box: Literal["project", "reparametrise", "none"] = "project"
    preferences: list[list[float]] | None = None
    gradient_noise: NonNegativeFloat = 0.0
    record_every: PositiveInt = 1
    certify_every: NonNegativeInt = 1
    until: NonNegativeFloat | None = None
    epoch_steps: PositiveInt | None = None
    dtype: Literal["float64"] = "float64"


class TrainRun(Single):
    """One training of a model on a data set; the keys are the arguments of ``Trainer``, which explains them."""

    kind: Literal["train"]
    data: Choice
    model: Choice
    tasks: list[str] | None = None  # None: all of them
    epochs: PositiveInt
    batch_size: PositiveInt | None = None  # None: the whole training set
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    momentum: NonNegativeFloat = 0.0
    weight_decay: NonNegativeFloat = 0.0
    heads: Literal["paper", "raw", "loss", "weighted"] = "paper"
    engine: str = "auto"
    every: PositiveInt = 1
    preference: list[float] | None = None
    clip: PositiveFloat | None = None
    accumulate: PositiveInt = 1
    processes: PositiveInt = 1  # that train together, started by torchrun; each has a GPU of its own where the device is "cuda"
    precision: Literal["full", "bf16", "fp16"] = "full"
    scheduler: Choice | None = None  # a name of training.schedules
    average: Annotated[float, Field(ge=0, lt=1)] | None = None
    patience: PositiveInt | None = None
    loaders: Literal["joint", "per-task"] = "joint"  # per-task: every task has batches of the examples that have its label
    certify_every: NonNegativeInt = 0
    log_every: NonNegativeInt = 0  # steps between lines of steps.jsonl in the run's folder
    tensorboard: bool = False
    until: PositiveFloat | None = None
    select: Literal["loss", "metric"] = "loss"
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"

    @property
    def alone(self) -> str | None:
        """The task, where one is trained by itself for the others to be compared with."""
        return self.tasks[0] if self.tasks is not None and len(self.tasks) == 1 else None


class FrontRun(Single):
    """A front of networks on a data set, for some seeds and learning rates at once; ``StackTrainer`` explains the keys.

    A rule with ``condition = "input"`` or ``"hyper"`` trains one network that takes the preference, in place of one for each.
    """

    kind: Literal["front"]
    data: Choice
    model: Choice
    rates: Annotated[list[PositiveFloat], Field(min_length=1)]  # learning rates, of which validation data choose one
    lr: PositiveFloat = 1.0  # a factor on them
    seeds: PositiveInt = 3  # how many, from ``seed``
    rays: PositiveInt = 25  # preferences, spread evenly
    alpha: PositiveFloat = 0.5  # of the Dirichlet distribution, for a network that takes the preference
    reference: list[float]  # of the hypervolume
    epochs: PositiveInt
    batch_size: PositiveInt | None = None
    validate_every: PositiveInt = 5
    measured_in: PositiveInt | None = None
    dtype: Literal["float32", "float64"] = "float32"


class Header(_Strict):
    """Keys of a file that are no part of a single run."""

    title: str = ""
    figures: list[str] = []  # scripts, relative to the file; each has a function draw(records)
    single_tasks: list[str] = []  # tasks also trained alone, for Delta_m
    quick: dict[str, Any] = {}  # values for a short version, see read


AnyRun: TypeAlias = TraceRun | TrainRun | FrontRun
# Keys of which one value is a list.
LISTS = {"betas", "starts", "preferences", "preference", "tasks", "rates", "reference"}
KINDS: dict[str, type[TraceRun] | type[TrainRun] | type[FrontRun]] = {"trace": TraceRun, "train": TrainRun, "front": FrontRun}
