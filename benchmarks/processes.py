"""Two processes against one: the largest difference after a few steps, rule by rule. ``python -m benchmarks.processes``.

Float64, batch normalisation over both, parts of 5 and 3 examples, a process without a task's labels, a task without any.
"""

from __future__ import annotations

import torch

from tests.distributed import together
from tests.resumable import rule_named
from tests.test_distributed import OF_THE_ZOO, SINGLE, member, population_member, trained


def main() -> None:
    names = [*SINGLE, *OF_THE_ZOO]
    first, second = together(member, names, "auto", True, False)
    print("| rule | weights | parameters | state of the rule | the two processes |\n|---|---|---|---|---|")
    for name in names:
        expected = trained(rule_named(name), "auto")
        weights, parameters, state = (_apart(found, one) for found, one in zip(first[name], expected, strict=True))
        between = max(_apart(one, other) for one, other in zip(first[name], second[name], strict=True))
        print(f"| {name} | {weights:.0e} | {parameters:.0e} | {state:.0e} | {between:.0e} |")
    points, expected_points = together(population_member)[0], population_member(None)
    print(f"| small-hypervolume | - | {_apart(points, expected_points):.0e} | - | - |")


def _apart(found: object, expected: object) -> float:
    if isinstance(found, torch.Tensor) and isinstance(expected, torch.Tensor):
        return float((found.double() - expected.double()).abs().max()) if found.numel() else 0.0
    assert isinstance(found, dict)
    assert isinstance(expected, dict)
    return max((_apart(found[key], expected[key]) for key in expected), default=0.0)


if __name__ == "__main__":
    main()
