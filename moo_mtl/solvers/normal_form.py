"""What every solver does first: float64, a unit of length, unit rows, and a mask of the tasks that take part."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from moo_mtl.errors import InputError
from moo_mtl.solvers.inner_products import SLACK, require_inner_products, symmetric
from moo_mtl.solvers.solution import Solution
from moo_mtl.tensors import require_tensor

TOLERANCE = 1e-12  # relative gap at which a solution from a float64 Gramian counts as converged


class NormalForm(NamedTuple):
    r"""A Gramian written as :math:`G = c\, N C N` with cosines C, lengths N at most 1, and a unit c of squared length.

    Attributes:
        gramian: ``G / c``, ``[..., K, K]`` float64, entries at most 1; rows and columns of absent tasks are 0.
        unit: the largest squared length c, ``[...]``; 1 where all gradients are zero.
        norms: lengths of the rows of ``gramian``, ``[..., K]``, the largest is 1.
        cosines: ``[..., K, K]``; rows and columns of absent tasks and of zero gradients are 0.
        present: ``[..., K]`` bool.
        finite: ``[...]`` bool; a member with a NaN or infinite entry is computed as if its gradients were zero, then blanked.
        noise: relative rounding error of the entries, from the dtype the Gramian came in.
    """

    gramian: Tensor
    unit: Tensor
    norms: Tensor
    cosines: Tensor
    present: Tensor
    finite: Tensor
    noise: float

    def map(self, change: Callable[[Tensor], Tensor]) -> NormalForm:
        """Apply one change of the batch dimensions to every field."""
        G, unit, norms, cosines, present, finite = map(change, self[:-1])
        return NormalForm(G, unit, norms, cosines, present, finite, self.noise)

    def select(self, index: Tensor) -> NormalForm:
        """Some members, by a mask over the batch or an index into a flat one."""
        return self.map(lambda field: field[index])

    @property
    def tolerance(self) -> float:
        """Relative gap that can be asked of a Gramian with this much rounding noise."""
        return max(TOLERANCE, 8 * self.gramian.shape[-1] * self.noise)

    @property
    def mean_square(self) -> Tensor:
        """Mean of the present squared lengths in units of c, ``[...]``: the measure of relative gaps; 1 where all are zero."""
        squares = self.norms.square().sum(dim=-1) / self.present.sum(dim=-1).clamp(min=1)
        return torch.where(squares > 0, squares, 1.0)


def normal_form(gramian: Tensor, present: Tensor | None = None) -> NormalForm:
    """Check the shapes, and take units and lengths out of a Gramian.

    Args:
        gramian: ``[..., K, K]``, any floating dtype, any scale.
        present: ``[..., K]`` bool, or ``None`` for all.

    Raises:
        InputError: the Gramian is not a square floating-point matrix, or (read on CPU only) not one of inner products, or
            ``present`` is not bool of a fitting shape.
    """
    check_gramian(gramian)
    noise = torch.finfo(gramian.dtype).eps
    K = gramian.shape[-1]
    G = gramian.detach().double()
    if present is None:
        mask = torch.ones(G.shape[:-1], dtype=torch.bool, device=G.device)
    else:
        mask = check_present(present, K)
        batch = one_for_each("present", mask.shape[:-1], G.shape[:-2])
        mask, G = mask.expand(*batch, K), G.expand(*batch, K, K)
        G = G.masked_fill(~(mask.unsqueeze(-1) & mask.unsqueeze(-2)), 0.0)
    finite = G.abs().amax(dim=(-2, -1)).isfinite()  # the maximum of NaN is NaN
    if G.device.type != "cpu" or not bool(finite.all()):
        G = G.masked_fill(~finite[..., None, None], 0.0)
    squares = G.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    largest = squares.amax(dim=-1)
    unit = torch.where(largest > 0, largest, 1.0)
    norms = squares.sqrt()  # cosines come from the raw entries: dividing by the unit first would lose denormal lengths
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    cosines = G * inverse.unsqueeze(-1) * inverse.unsqueeze(-2)
    if G.device.type == "cpu" and not _at_first_sight(G, cosines, norms, mask):
        require_inner_products(G.to(gramian.dtype))
    cosines.clamp_(-1, 1)
    cosines = (cosines + cosines.mT) / 2
    return NormalForm(G / unit[..., None, None], unit, norms / unit.sqrt().unsqueeze(-1), cosines, mask, finite, noise)


def _at_first_sight(G: Tensor, cosines: Tensor, norms: Tensor, present: Tensor) -> bool:
    """Whether there is no doubt that these are inner products: a few calls, where ``require_inner_products`` takes many."""
    if not G.numel():
        return True
    low, high = torch.aminmax(cosines)
    within = symmetric(G) and float(high) <= 1 + SLACK and float(low) >= -1 - SLACK
    return within and (float(norms.amin()) > 0 or not bool((present & (norms == 0)).any()))


def in_their_units(
    form: NormalForm, weights: Tensor, value: Tensor, gap: Tensor, converged: Tensor, power: float = 1.0
) -> Solution:
    """A Solution whose value and gap were computed on ``G / c``; they scale with ``c ** power``. Blanks non-finite members."""
    scale = form.unit**power
    blank = ~form.finite
    return Solution(
        weights.masked_fill(blank.unsqueeze(-1), torch.nan),
        (value * scale).masked_fill(blank, torch.nan),
        (gap * scale).masked_fill(blank, torch.nan),
        converged & form.finite,
    )


def preference_of(form: NormalForm, preference: Tensor | None) -> Tensor:
    """The preference ``[..., K]`` in float64, 0 for absent tasks; ``1 / K`` over the present ones if none is given.

    Raises:
        InputError: it has not K entries, or (read on CPU only) one is negative or not finite.
    """
    if preference is None:
        return form.present.double() / form.present.sum(dim=-1, keepdim=True).clamp(min=1)
    chosen = one_per_task("preference", preference, form.norms.shape).to(form.norms.device).double() * form.present
    if chosen.device.type == "cpu" and not bool((chosen.isfinite() & (chosen >= 0)).all()):
        raise InputError("preference: found a negative or non-finite entry; expected finite numbers that are at least 0")
    return chosen


def one_per_task(what: str, given: Tensor, shape: torch.Size) -> Tensor:
    """``given`` ``[..., K]``, expanded to ``shape``.

    Raises:
        InputError: it is no tensor of real numbers, or has not K entries, or its batch is another.
    """
    require_tensor("solvers", what, given)
    if given.is_complex():
        raise InputError(f"{what}: found complex numbers, expected real ones")
    if given.shape[-1:] != shape[-1:]:
        raise InputError(f"{what}: found shape {list(given.shape)}; expected [..., {shape[-1]}], one entry per task")
    if one_for_each(what, given.shape[:-1], shape[:-1]) != shape[:-1]:
        raise InputError(f"{what}: found shape {list(given.shape)} for Gramians of batch {list(shape[:-1])}; pass one for each")
    return given.detach().expand(shape)


def one_for_each(what: str, found: torch.Size, batch: torch.Size) -> torch.Size:
    """The batch that both make together.

    Raises:
        InputError: they do not fit each other.
    """
    try:
        return torch.Size(np.broadcast_shapes(found, batch))
    except ValueError:
        raise InputError(f"{what}: found batch {list(found)}, expected that of the Gramians, {list(batch)}") from None


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """``[..., K, K]`` times ``[..., K]``."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def check_gramian(gramian: Tensor) -> None:
    """Raise InputError unless ``gramian`` is ``[..., K, K]`` of a floating dtype with K at least 1."""
    require_tensor("solvers", "gramian", gramian)
    if not gramian.is_floating_point() or gramian.ndim < 2 or gramian.shape[-1] != gramian.shape[-2] or not gramian.shape[-1]:
        raise InputError(
            f"gramian: found shape {list(gramian.shape)} of {gramian.dtype}; expected [..., K, K] of floats; pass J @ J.mT"
        )


def check_present(present: Tensor, n_tasks: int) -> Tensor:
    """Raise InputError unless ``present`` is bool ``[..., K]``."""
    require_tensor("solvers", "present", present)
    if present.dtype != torch.bool or present.ndim < 1 or present.shape[-1] != n_tasks:
        raise InputError(
            f"present: found shape {list(present.shape)} of {present.dtype}; expected bool [..., {n_tasks}], one entry per task"
        )
    return present
