"""Points spread over fronts, against closed forms and the literature's numbers."""

import pytest
import torch
from torch.testing import assert_close

from moo_mtl.problems import sampling
from moo_mtl.problems.dtlz import _dtlz7_pieces
from moo_mtl.problems.zdt import _zdt3_pieces


def circle(t):
    return torch.stack([torch.cos(t.square()), torch.sin(t.square())], dim=-1)


def test_evenly_undoes_any_speed_along_the_curve():
    t = sampling.evenly(circle, 50, 0.0, (torch.pi / 2) ** 0.5)
    assert_close(t.square(), torch.linspace(0, torch.pi / 2, 50, dtype=torch.float64), atol=1e-6, rtol=0)
    backwards = sampling.evenly(circle, 3, (torch.pi / 2) ** 0.5, 0.0)
    assert backwards[0] > backwards[1] > backwards[2] == 0


def test_evenly_counts_each_coordinate_in_its_own_range():
    t = sampling.evenly(lambda t: torch.stack([t, 1e6 * (1 - t)], dim=-1), 5)
    assert_close(t, torch.linspace(0, 1, 5, dtype=torch.float64))
    still = sampling.evenly(lambda t: torch.zeros(len(t), 2, dtype=torch.float64), 4)
    assert still.isfinite().all()


@pytest.mark.parametrize("n", [0, 1, 2, 7, 500])
@pytest.mark.parametrize("n_tasks", [1, 2, 3, 6])
def test_simplex(n, n_tasks):
    points = sampling.simplex(n, n_tasks)
    assert points.shape == (n, n_tasks)
    assert (points >= 0).all()
    assert_close(points.sum(dim=-1), torch.ones(n, dtype=torch.float64))
    if n >= 200:
        assert_close(points.mean(dim=0), torch.full((n_tasks,), 1 / n_tasks, dtype=torch.float64), atol=0.01, rtol=0)
        assert len(points.unique(dim=0)) == (1 if n_tasks == 1 else n)


def test_pieces_of_zdt3_and_dtlz7_as_in_the_literature():
    """The published ends, to their accuracy; and each piece of ZDT3 starts where the front is as low as the last one ended."""
    zdt3 = [(0, 0.0830015349), (0.182228780, 0.2577623634), (0.4093136748, 0.4538821041), (0.6183967944, 0.6525117038)]
    zdt3.append((0.8233317983, 0.8518328654))
    assert_close(_zdt3_pieces(), torch.tensor(zdt3, dtype=torch.float64), atol=6e-8, rtol=0)
    dtlz7 = [(0, 0.2514118360), (0.6316265307, 0.8594008566)]
    assert_close(_dtlz7_pieces(), torch.tensor(dtlz7, dtype=torch.float64), atol=6e-8, rtol=0)
    starts, ends = _zdt3_pieces().unbind(dim=-1)
    height = -(starts.sqrt() + starts * torch.sin(10 * torch.pi * starts))
    assert_close(height[1:], -(ends.sqrt() + ends * torch.sin(10 * torch.pi * ends))[:-1], atol=1e-14, rtol=0)
    slope = 0.5 / ends.sqrt() + torch.sin(10 * torch.pi * ends) + 10 * torch.pi * ends * torch.cos(10 * torch.pi * ends)
    assert slope.abs().max() < 1e-12


def test_records_of_a_rising_function_are_everything():
    assert_close(sampling.records(lambda t: t**3, 0.0, 2.0), torch.tensor([[0.0, 2.0]], dtype=torch.float64))


def test_along_fills_a_union_in_proportion():
    pieces = torch.tensor([[0.0, 1.0], [3.0, 6.0]], dtype=torch.float64)
    shares = torch.tensor([0.0, 0.125, 0.25, 0.5, 1.0], dtype=torch.float64)
    assert_close(sampling.along(pieces, shares), torch.tensor([0.0, 0.5, 3.0, 4.0, 6.0], dtype=torch.float64))
