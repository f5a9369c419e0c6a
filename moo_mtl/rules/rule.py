"""The contract between a rule and whoever drives it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.observation import Needs, Observation
from moo_mtl.tensors import require_tensor

State = TypeVar("State")
NOTHING: Any = ()  # the state of what remembers nothing


class Weighing(NamedTuple):
    r"""What a rule says about one step.

    Attributes:
        weights: factors on the raw gradients, ``[..., K]``; the step is :math:`d = J^\top w`, then
            :math:`\theta \leftarrow \theta - \eta d`.
        heads: factors that the paper puts on the gradient of each task's own parameters, ``[..., K]``; ``None`` means
            ``weights``.
        direction: the step itself, ``[..., D]``, from rules whose step is not :math:`J^\top w` (they look at rows).
        gap: duality gap of the solver, ``[...]``, where one ran.
        converged: whether the solver reached its tolerance, ``[...]`` bool, where one ran.
        slope: slopes of the loss transform, ``[..., K]``; ``None`` means 1.
    """

    weights: Tensor
    heads: Tensor | None = None
    direction: Tensor | None = None
    gap: Tensor | None = None
    converged: Tensor | None = None
    slope: Tensor | None = None


class Rule(Protocol[State]):
    """A pure map from observations to weights. Only ``weigh`` must be written; the rest has defaults.

    A state is a (nested) tuple of tensors, each with the observation's batch dimensions in front, so that a driver can
    save it, move it and leave it unchanged for a batch member whose step was refused. Rules never keep state themselves.

    >>> from moo_mtl import Needs, Weighing, Rule, solvers
    >>> class MinNorm(Rule[tuple[()]]):
    ...     name, needs = "min-norm", Needs.GRAMIAN
    ...     def weigh(self, obs, state):
    ...         solution = solvers.min_norm(obs.gramian, present=obs.present)
    ...         return Weighing(solution.weights, gap=solution.gap), state
    """

    name: str
    needs: Needs

    def draws(self, n_tasks: int, n_dim: int) -> int:
        """Uniform numbers wanted per step and batch member; 0 unless the rule declares ``Needs.NOISE``."""
        return 0

    def init(self, obs: Observation) -> State:
        """The state before the first step; uses the shapes, dtype and device of ``obs``, never its values."""
        return NOTHING

    def weigh(self, obs: Observation, state: State) -> tuple[Weighing, State]:
        """Weights for this step, and the state for the next."""
        ...

    def observe(self, after: Tensor, state: State) -> State:
        """Take note of the losses after the step, ``[..., K]``; called only for rules that declare ``Needs.AFTER``."""
        return state


def require_rule(rule: object, who: str) -> None:
    """Refuse what is no rule, such as a rule's name or its class.

    Raises:
        InputError: ``rule`` lacks what a driver asks of it.
    """
    if isinstance(rule, str):
        raise InputError(f"{who}: found the name {rule!r}, expected a rule; pass rules.get({rule!r})")
    found, needs = getattr(rule, "__name__", type(rule).__name__), getattr(rule, "needs", None)
    if isinstance(rule, type) or not all(hasattr(rule, part) for part in ("name", "needs", "init", "weigh")):
        raise InputError(
            f"{who}: found {found}, expected a rule; pass rules.get(...), or an instance of a class derived from moo_mtl.Rule"
        )
    if not isinstance(needs, Needs):
        raise InputError(f"{who}: found {found} with needs = {needs!r}, expected Needs, such as Needs.LOSSES | Needs.GRAMIAN")


def started(rule: Rule[Any], obs: Observation) -> Any:
    """The state before the first step, held to its shape: what a driver calls in place of ``rule.init``.

    Raises:
        InputError: it is not a nested tuple of tensors with the observation's batch dimensions in front.
    """
    state = rule.init(obs)
    _require_state(rule, obs, state)
    return state


def _require_state(rule: Rule[Any], obs: Observation, state: Any) -> None:
    if isinstance(state, tuple):
        for part in state:
            _require_state(rule, obs, part)
    elif not isinstance(state, Tensor):
        raise InputError(f"{rule.name}: init gave a {type(state).__name__}, expected tensors in a tuple: return (tensor,)")
    elif state.shape[: len(obs.batch)] != obs.batch:
        raise InputError(
            f"{rule.name}: init gave a tensor of shape {tuple(state.shape)}, expected {tuple(obs.batch)} in front, the batch "
            f"dimensions; make it from the observation, as in torch.zeros_like(obs.losses)"
        )


def ask(rule: Rule[Any], obs: Observation, state: Any) -> tuple[Weighing, Any]:
    """The rule's answer, held to its shape: what a driver calls in place of ``rule.weigh``.

    Raises:
        InputError: the answer is not a ``Weighing`` and a state, its weights are not a tensor with one for each loss, or the
            state is not built as it was before.
    """
    answer = rule.weigh(obs, state)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Weighing)):
        raise InputError(
            f"{rule.name}: weigh gave {type(answer).__name__}, expected a Weighing and the next state: "
            f"return Weighing(w), state"
        )
    require_tensor(rule.name, "weights", answer[0].weights)
    if answer[0].weights.shape != obs.losses.shape:
        found, expected = tuple(answer[0].weights.shape), tuple(obs.losses.shape)
        raise InputError(f"{rule.name}: weights have shape {found}, expected {expected}, one for each loss")
    _require_alike(rule, f"weigh at step {obs.step}", state, answer[1])
    return answer


def tell(rule: Rule[Any], after: Tensor, state: Any) -> Any:
    """The state once the rule has seen the losses after the step: what a driver calls in place of ``rule.observe``.

    Raises:
        InputError: the state is not built as it was before.
    """
    told = rule.observe(after, state)
    _require_alike(rule, "observe", state, told)
    return told


def _require_alike(rule: Rule[Any], call: str, before: Any, after: Any) -> None:
    """Refuse a state of another structure than ``init`` gave: what was saved could not be told apart on resuming."""
    if not _alike(before, after):
        raise InputError(
            f"{rule.name}: {call} changed how the state is built, {_change(before, after)}; give every tensor its final shape "
            f"and dtype in init"
        )


def _alike(before: Any, after: Any) -> bool:
    if before is after:
        return True
    if isinstance(before, Tensor):
        return isinstance(after, Tensor) and before.shape == after.shape and before.dtype is after.dtype
    return type(before) is type(after) and len(before) == len(after) and all(map(_alike, before, after))


def _change(before: Any, after: Any, path: str = "") -> str:
    """The first place at which two states are built differently."""
    if not isinstance(before, Tensor) and type(before) is type(after) and len(before) == len(after):
        names = getattr(before, "_fields", range(len(before)))
        name, one, other = next(part for part in zip(names, before, after, strict=True) if not _alike(*part[1:]))
        return _change(one, other, f"{path}.{name}" if path else str(name))
    return f"{path or 'it'} was {_built(before)} and is {_built(after)}"


def _built(part: Any) -> str:
    if isinstance(part, Tensor):
        return f"a tensor {list(part.shape)} of {str(part.dtype).removeprefix('torch.')}"
    return f"a {type(part).__name__}" + (f" of {len(part)}" if isinstance(part, tuple) else "")
