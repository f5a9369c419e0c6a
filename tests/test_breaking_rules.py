"""Every rule of the zoo, the certificate and the tracer on observations that nobody would draw from a normal distribution."""

from dataclasses import fields

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moo_mtl import Balancer, MooMtlError, Needs, Weighing, certify, problems, trace
from moo_mtl.errors import InputError
from moo_mtl.gramian import gramian
from moo_mtl.rules import ZOO
from moo_mtl.rules.rule import Rule
from moo_mtl.state import flatten
from moo_mtl.theory import families
from moo_mtl.theory.episode import Episode, drawn, normals_wanted

SLOW_OR_LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large]
EXAMPLES = settings(max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW_OR_LARGE)
DECADES = 60  # of losses and of gradients, to each side; squares of what rules remember stay within float64


@st.composite
def episodes(draw, rule, recipe):
    """Four steps of three members: lengths over many decades, zero rows, losses of any sign, tasks that come and go."""
    K = draw(st.integers(recipe.min_tasks, min(recipe.max_tasks or 6, 6)))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    family = families.EVERY[draw(st.sampled_from(sorted(families.EVERY)))]
    D = K + draw(st.integers(1, 3))
    normals = torch.randn(3, *normals_wanted(rule, K, D, 4), generator=generator, dtype=torch.float64)
    story = drawn(rule, family, normals, K, D, 4)

    spread = draw(st.sampled_from([0, 0, 3, 12, DECADES]))
    lengths = 10 ** (spread * (2 * uniform(K, 1) - 1)) * (uniform(K, 1) >= draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])))
    story = story._replace(rows=story.rows * lengths, left=story.left * lengths, right=story.right * lengths)

    def losses(values):
        kind = draw(st.sampled_from(["as they are", "many decades", "some zero", "some negative", "all alike"]))
        shape = values.shape
        return {
            "as they are": values,
            "many decades": 10 ** (DECADES * (2 * uniform(*shape) - 1)),
            "some zero": torch.where(uniform(*shape) < 0.3, 0.0, values),
            "some negative": values * (uniform(*shape) - 0.3).sign(),
            "all alike": torch.ones_like(values),
        }[kind]

    present = None if draw(st.booleans()) else uniform(*story.losses.shape) < draw(st.sampled_from([0.9, 0.5, 0.0]))
    return story._replace(losses=losses(story.losses), after=losses(story.after), present=present)


def finite(leaves):
    return all(bool(leaf.isfinite().all()) for leaf in leaves if leaf is not None)


def copied(obs, state):
    parts = {field.name: getattr(obs, field.name) for field in fields(obs)}
    tensors = {name: part.clone() for name, part in parts.items() if isinstance(part, torch.Tensor)}
    return tensors, {path: leaf.clone() for path, leaf in flatten(state).items()}


def unchanged(obs, state, before):
    tensors, leaves = before
    return all(torch.equal(getattr(obs, name), tensor) for name, tensor in tensors.items()) and all(
        torch.equal(leaf, leaves[path]) for path, leaf in flatten(state).items()
    )


def follow(rule, story: Episode):
    """Drive the rule; a refusal by name ends the episode, and like every step it changes nothing that it was shown."""
    state = rule.init(story.observation(rule, 0))
    for step in range(len(story.losses)):
        obs = story.observation(rule, step)
        before = copied(obs, state)
        try:
            weighing, after = rule.weigh(obs, state)
        except MooMtlError as error:
            refusal = str(error)
            assert unchanged(obs, state, before)
            return refusal
        assert unchanged(obs, state, before)
        assert weighing.weights.shape == obs.losses.shape
        assert finite([weighing.weights, weighing.heads, weighing.slope, weighing.direction])
        assert finite(flatten(after).values())
        assert not (weighing.weights * ~obs.mask).any(), "an absent task has a weight"
        if weighing.gap is not None and weighing.converged is not None:
            assert (weighing.gap[weighing.converged] >= 0).all()
        again, _ = rule.weigh(obs, state)
        assert torch.equal(again.weights, weighing.weights), "another answer to the same question"
        state = after
        if Needs.AFTER in rule.needs:
            try:
                state = rule.observe(story.after[step], state)
            except MooMtlError as error:
                return str(error)
            assert finite(flatten(state).values())
    return ""


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_rule_answers_with_finite_numbers_or_refuses_by_name(name, probing):
    recipe = ZOO[name]
    rule = recipe.probing() if probing else recipe.factory()

    @EXAMPLES
    @given(episodes(rule, recipe))
    def holds(story):
        assert "\n" not in follow(rule, story)

    holds()


@settings(EXAMPLES, max_examples=150)
@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 3, 30, 70, 140]),
    st.sampled_from(["", "zero rows", "opposite rows", "one row", "float32", "expanded", "absent", "transposed"]),
)
def test_certificates_bound_the_distance(K, D, seed, decades, kind):
    """Whatever the rows: 0 <= lower <= upper <= the shortest row, and zero exactly where a row is zero."""
    generator = torch.Generator().manual_seed(seed)
    J = torch.randn(4, K, D, generator=generator, dtype=torch.float64)
    J = J * 10 ** (decades * (2 * torch.rand(4, K, 1, generator=generator, dtype=torch.float64) - 1))
    if kind == "zero rows":
        J[:, ::2] = 0
    elif kind == "opposite rows":
        J = torch.cat([J, -2 * J], dim=1)
    elif kind == "one row":
        J = J[:, :1].expand(4, K, D)
    elif kind == "float32":
        J = J.clamp(-1e15, 1e15).float()
    elif kind == "expanded":
        J = J[:1].expand(4, K, D)
    elif kind == "transposed":
        J = J.mT.contiguous().mT
    present = torch.rand(J.shape[:2], generator=generator) < 0.6 if kind == "absent" else None
    found = certify(gramian(J), present=present)
    here = torch.ones(J.shape[:2], dtype=torch.bool) if present is None else present
    some = here.any(dim=-1)
    lengths = torch.where(here, J.double().norm(dim=-1), torch.inf).amin(dim=-1)
    assert (found.lower >= 0).all()
    assert (found.lower <= found.upper).all()
    assert (found.upper[some] <= lengths[some] * (1 + 1e-7) + 1e-160).all()
    if kind in ("zero rows", "opposite rows"):
        longest = J.double().norm(dim=-1).amax(dim=-1)
        assert (found.upper <= 1e-7 * longest + 1e-160).all()


@settings(EXAMPLES, max_examples=40)
@given(
    st.sampled_from(["mgda", "equal", "db-mtl", "task-tensioner", "pcgrad", "upgrad", "famo", "uw"]),
    st.sampled_from(["zdt1", "two-task-toy", "vlmop2", "dtlz2"]),
    st.sampled_from([1e-300, 1e-3, 1.0, 1e10, 1e300]),
    st.sampled_from(["sgd", "adam"]),
    st.sampled_from(["project", "reparametrise", None]),
    st.integers(0, 999),
)
def test_traces_are_finite_wherever_they_go_on(name, problem, lr, optimizer, box, seed):
    """A step of any length ends in a mark or a refusal by name, and no trajectory leaves the box."""
    toy = problems.get(problem)
    generator = torch.Generator().manual_seed(seed)
    starts = torch.rand(3, toy.n_dim, generator=generator, dtype=torch.float64)
    try:
        found = trace(toy, ZOO[name].factory(), starts, steps=5, lr=lr, optimizer=optimizer, box=box if toy.bounds else None)
    except MooMtlError:
        return
    assert found.x.isfinite().all()
    assert found.losses.isfinite().all()
    going = found.status != 2
    assert found.weights[:, going].isfinite().all()
    assert (found.lower[:, going] <= found.upper[:, going]).all()
    if toy.bounds and box:
        lower, upper = toy.bounds
        assert ((found.x >= lower) & (found.x <= upper)).all()


class Growing(Rule):
    """A rule of the user's own whose state is built differently from the third step on."""

    name, needs = "growing", Needs.LOSSES | Needs.AFTER

    def __init__(self, change, when):
        self.change, self.when = change, when

    def init(self, obs):
        return (torch.zeros_like(obs.losses), (torch.zeros_like(obs.losses),))

    def weigh(self, obs, state):
        return Weighing(torch.ones_like(obs.losses)), self.change(state) if self.when == "weigh" and obs.step == 3 else state

    def observe(self, after, state):
        return self.change(state) if self.when == "observe" else state


@pytest.mark.parametrize("when", ["weigh", "observe"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda state: (state[0], (*state[1], state[0])), "1 was a tuple of 1 and is a tuple of 2"),
        (
            lambda state: (torch.cat([state[0]] * 2, dim=-1), state[1]),
            r"0 was a tensor \[.*2\] of float64 and is .*4\].*",
        ),
        (lambda state: (state[0], (state[0].float(),)), r"1.0 was a tensor \[.*\] of float64 and is .* of float32"),
        (lambda state: {"mean": state[0]}, "it was a tuple of 2 and is a dict"),
        (lambda state: (3.0, state[1]), "0 was a tensor .* and is a float"),
        (lambda _: None, "it was a tuple of 2 and is a NoneType"),
    ],
)
def test_a_state_built_anew_is_refused_at_the_step_that_does_it(change, sentence, when):
    """It would be saved, and fit nothing on resuming; so would one whose dtype the resumed run casts back."""
    expected = f"growing: {when}( at step 3)? changed how the state is built, {sentence}; give every tensor its final shape"
    starts = torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(InputError, match=expected):
        trace(problems.get("two-task-toy"), Growing(change, when), starts, steps=5, lr=0.01)
    model = torch.nn.Linear(2, 2)
    balancer = Balancer(Growing(change, when), model.parameters())

    def step():
        losses = model(torch.ones(2)).square().double()
        balancer.backward(losses)
        balancer.observe(losses)

    for _ in range(2 if when == "weigh" else 0):
        step()
    with pytest.raises(InputError, match=expected):
        step()
