r"""Where a direction :math:`d = \sum_k y_k g_k / n_k + \sigma g_0` may lie, around the mean gradient: in a ball or in a cone.

Both say when d leaves them, and where on a piece of the path of ``shifted_path`` it does: there y is affine in the shift
:math:`\sigma`, and the excess is a quadratic. The same formulas serve tensors and floats.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)
Quadratic = tuple[Number, Number, Number]  # (c0, c1, c2) of c0 + 2 c1 s + c2 s^2


class Piece(NamedTuple, Generic[Number]):
    r"""The path on one support, :math:`y = p + \sigma q`, by its inner products."""

    pp: Number  # p'Cp
    pq: Number
    qq: Number
    ap: Number  # a'p
    aq: Number
    square: Number  # |g_0|^2


class Region(Protocol):
    """A ball or a cone."""

    def excess(self, on: Piece[Number]) -> Quadratic[Number]:
        """By how much the shift violates the region on this piece; positive outside."""

    def outside(self, length: Number, along: Number, square: Number, shift: Number) -> Number:
        """Whether d is outside, from ``y'Cy``, ``a'y``, the squared length of g_0, and the shift."""


class Ball(NamedTuple):
    r"""CAGrad's: :math:`\lVert d / \sigma - g_0 \rVert \le c \lVert g_0 \rVert`."""

    c: float

    def excess(self, on: Piece[Number]) -> Quadratic[Number]:
        return on.pp, on.pq, on.qq - self.c * self.c * on.square

    def outside(self, length: Number, along: Number, square: Number, shift: Number) -> Number:
        return length >= shift * shift * (self.c * self.c) * square


class Cone(NamedTuple):
    r"""ConicGrad's: :math:`g_0^\top d \ge c \lVert g_0 \rVert \lVert d \rVert`."""

    c: float

    def excess(self, on: Piece[Number]) -> Quadratic[Number]:
        edge, forward = self.c * self.c * on.square, on.aq + on.square
        return (
            edge * on.pp - on.ap * on.ap,
            edge * (on.pq + on.ap) - on.ap * forward,
            edge * (on.qq + 2 * on.aq + on.square) - forward * forward,
        )

    def outside(self, length: Number, along: Number, square: Number, shift: Number) -> Number:
        forward = along + shift * square
        reach = abs(length + 2 * shift * along + shift * shift * square)
        return forward * abs(forward) < self.c * self.c * square * reach
