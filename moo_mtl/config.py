"""Experiment files: TOML in, checked values out. An unknown key is an error that names its nearest match.

A file describes a grid: every key may have several values, as ``grid`` explains, and every combination is one single run. The
keys are the arguments of ``trace`` (``kind = "trace"``), of ``Trainer`` (``kind = "train"``) or ``StackTrainer`` (``"front"``).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_serializer,
    model_validator,
)

from moo_mtl import grid
from moo_mtl.errors import InputError, unknown

Model = TypeVar("Model", bound=BaseModel)


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
                raise ValueError('a table needs a name, as in {name = "..."}')
            return {"name": value["name"], "parameters": {key: item for key, item in value.items() if key != "name"}}
        raise ValueError('expected a name or a table {name = "..."}')

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


AnyRun: TypeAlias = TraceRun | TrainRun | FrontRun
# Keys of which one value is a list.
LISTS = {"betas", "starts", "preferences", "preference", "tasks", "rates", "reference"}
KINDS: dict[str, type[TraceRun] | type[TrainRun] | type[FrontRun]] = {"trace": TraceRun, "train": TrainRun, "front": FrontRun}


@dataclass(frozen=True)
class Experiment:
    """A file's single runs, in the order of its lists, and the scripts that draw its figures."""

    name: str
    title: str
    singles: tuple[AnyRun, ...]
    figures: tuple[Path, ...]

    def label(self, single: AnyRun) -> str:
        """What tables and figures call the run: its rule, with parameters only where two rules share the name.

        Other keys follow where they differ between the runs, but for the seed.
        """
        if isinstance(single, TrainRun) and single.tasks is not None and len(single.tasks) == 1:
            rule = f"{single.tasks[0]} alone"
        else:
            rule = single.rule.name if self._namesakes[single.rule.name] == 1 else str(single.rule)
            if isinstance(single, TrainRun) and single.tasks is not None:
                rule += f" on {len(single.tasks)} tasks"
        return ", ".join([rule, *(f"{key}={getattr(single, key)}" for key in self._varied)])

    @cached_property
    def _namesakes(self) -> Mapping[str, int]:
        return Counter(name for name, _ in {(single.rule.name, str(single.rule)) for single in self.singles})

    @cached_property
    def _varied(self) -> list[str]:
        keys = [key for key in type(self.singles[0]).model_fields if key not in ("rule", "seed", "tasks")]
        return [key for key in keys if len({str(getattr(single, key)) for single in self.singles}) > 1]


def read(file: Path, overrides: Sequence[str] = (), *, quick: bool = False) -> Experiment:
    """The experiment in a TOML file, with ``key=value`` overrides applied before anything is checked.

    Args:
        file: to read.
        overrides: applied last.
        quick: the values of the file's table ``[quick]`` replace those of the same keys.

    Raises:
        InputError: the file is absent or not TOML, a key is unknown or missing, or a value is not of its kind.
    """
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise InputError(
            f"cannot read the experiment file {file}: {error.strerror}; `moo-mtl list experiments` shows some"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{file} is not valid TOML: {error}; texts need quotes, as in rule = "mgda"') from error
    short = table.get("quick", {})
    if quick and isinstance(short, dict):
        table |= short
    for assignment in overrides:
        _override(table, assignment)
    try:
        return _experiment(file, table)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def with_rule(experiment: Experiment, old: str, new: str) -> Experiment:
    """The experiment with another rule wherever ``old`` is named; what parameters that one had are dropped."""
    chosen = Choice(name=new)
    singles = [
        single.model_copy(update={"rule": chosen}) if single.rule.name == old else single for single in experiment.singles
    ]
    return replace(experiment, singles=tuple({str(single.resolved()): single for single in singles}.values()))


def assignments(settings: Sequence[str]) -> dict[str, Any]:
    """``key=value`` strings as a table.

    >>> assignments(["subset=yeast", "widths=[8, 4]"])
    {'subset': 'yeast', 'widths': [8, 4]}

    Raises:
        InputError: one is not of that form.
    """
    table: dict[str, Any] = {}
    for assignment in settings:
        _override(table, assignment)
    return table


def _experiment(file: Path, table: dict[str, Any]) -> Experiment:
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise InputError(f'kind must be one of "trace", "train" and "front", found {kind!r}')
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    header = _checked(_Header, {key: value for key, value in table.items() if key in _Header.model_fields})
    rest = {key: value for key, value in table.items() if key not in _Header.model_fields}
    seed = {"seed": rest.pop("seed", 0)}  # varies fastest, and the rule slowest, so that a table of runs reads well
    rule = {"rule": rest.pop("rule")} if "rule" in rest else {}
    tables = grid.expand({**rule, **rest, **seed}, LISTS)
    if header.single_tasks and kind != "train":
        raise InputError('single_tasks is a key of kind = "train" only; a problem has no tasks to train alone')
    for task in header.single_tasks:
        tables += grid.expand({"rule": "equal", **rest, "tasks": [task], **seed}, LISTS)
    singles = [_checked(KINDS[kind], _with_own_table(file, table)) for table in tables]
    seen: set[str] = set()
    for one in singles:
        identity = json.dumps(one.resolved(), sort_keys=True)
        if identity in seen:
            raise InputError(f"rule {str(one.rule)!r} with seed {one.seed} is listed twice; leave one out")
        seen.add(identity)
    return Experiment(file.stem, header.title, tuple(singles), tuple(file.parent / figure for figure in header.figures))


def _with_own_table(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    """A CSV file lies beside its experiment, and its content is part of the configuration: another table is another run."""
    data = table.get("data")
    if not isinstance(data, dict) or data.get("name") != "csv" or not isinstance(data.get("path"), str):
        return table
    path = file.parent / data["path"]
    content = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}
    return {**table, "data": {**content, **data, "path": str(path)}}


class _Header(_Strict):
    """Keys of a file that are no part of a single run."""

    title: str = ""
    figures: list[str] = []  # scripts, relative to the file; each has a function draw(records)
    single_tasks: list[str] = []  # tasks also trained alone, for Delta_m
    quick: dict[str, Any] = {}  # values for a short version, see read


def _checked(model: type[Model], table: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        strange = [problem for problem in problems if problem["type"] == "extra_forbidden"]
        raise _sentence(model, table, strange or problems) from error


def _sentence(model: type[BaseModel], table: Mapping[str, Any], problems: Sequence[Any]) -> InputError:
    """Pydantic's first finding in our words; where a key may be one of several types, each of them is named."""
    problem, keys = problems[0], _keys(table, problems[0]["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown("key", keys, [*model.model_fields, *_Header.model_fields])
    if problem["type"] == "missing":
        return InputError(f"{problem['loc'][-1]} is missing")
    if problem["type"] == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
        return InputError(f"{keys}: {message}" if keys else message)
    same = [other["msg"] for other in problems if _keys(table, other["loc"]) == keys]
    expected = ", or ".join(dict.fromkeys(message.removeprefix("Input should be ") for message in same))
    return InputError(f"{keys}: expected {expected}, found {problem['input']!r}")


def _keys(table: Any, location: Iterable[str | int]) -> str:
    """The part of a location that the file's author wrote; pydantic adds the members of unions to it."""
    keys: list[str] = []
    for key in location:
        written = isinstance(table, Mapping) and key in table
        if written or (isinstance(table, list) and isinstance(key, int)):
            table = table[key]
            keys.append(str(key))
    return ".".join(keys)


def _override(table: dict[str, Any], assignment: str) -> None:
    """Apply one ``key=value``: dotted keys, list items counted from 0; a name becomes a table when a parameter is set."""
    path, equals, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise InputError(
            f"--set {assignment!r} is not of the form key=value, such as --set steps=100 or --set problem.scale=0.1"
        )
    node: Any = table
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        slot: Any = key
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                where = ".".join(keys[:depth])
                raise InputError(f"--set {assignment!r}: {where} is a list of {len(node)}; write {where}.0 for its first item")
            slot = int(key)
        elif not isinstance(node, dict):
            raise InputError(f"--set {assignment!r}: {'.'.join(keys[:depth])} is {node!r}, which has no keys")
        if last:
            node[slot] = _toml_value(text.strip(), assignment)
            return
        below = node.get(slot, {}) if isinstance(node, dict) else node[slot]
        node[slot] = {"name": below} if isinstance(below, str) else below
        node = node[slot]


def _toml_value(text: str, assignment: str) -> Any:
    try:
        if "\n" not in text:
            return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text.replace("-", "").replace(":", "").replace(".", "").isidentifier():
            return text  # a bare word, so that --set rule=mgda needs no quotes within quotes
    raise InputError(f'--set {assignment!r}: {text!r} is not a TOML value; numbers, "strings", [lists] and true or false are')
