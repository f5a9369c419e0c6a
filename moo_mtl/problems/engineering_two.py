"""The RE suite's five design problems of two losses; see ``engineering``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moo_mtl.problems.engineering import SUITE, design, nearest, rounded, violation
from moo_mtl.problems.problem import Problem
from moo_mtl.problems.registry import problem

# Areas of steel bars; "3, 10" instead of 3.10 is in the authors' code, on which the stored front rests.
BARS = (0.2, 0.31, 0.4, 0.44, 0.6, 0.62, 0.79, 0.8, 0.88, 0.93, 1, 1.2, 1.24, 1.32, 1.4, 1.55, 1.58, 1.6, 1.76, 1.8, 1.86, 2,
        2.17, 2.2, 2.37, 2.4, 2.48, 2.6, 2.64, 2.79, 2.8, 3, 3.08, 3, 10, 3.16, 3.41, 3.52, 3.6, 3.72, 3.95, 3.96, 4, 4.03,
        4.2, 4.34, 4.4, 4.65, 4.74, 4.8, 4.84, 5, 5.28, 5.4, 5.53, 5.72, 6, 6.16, 6.32, 6.6, 7.11, 7.2, 7.8, 7.9, 8, 8.4, 8.69,
        9, 9.48, 10.27, 11, 11.06, 11.85, 12, 13, 14, 15)  # fmt: skip
# Diameters of spring wire in inches.
WIRES = (0.009, 0.0095, 0.0104, 0.0118, 0.0128, 0.0132, 0.014, 0.015, 0.0162, 0.0173, 0.018, 0.02, 0.023, 0.025, 0.028, 0.032,
         0.035, 0.041, 0.047, 0.054, 0.063, 0.072, 0.08, 0.092, 0.105, 0.12, 0.135, 0.148, 0.162, 0.177, 0.192, 0.207, 0.225,
         0.244, 0.263, 0.283, 0.307, 0.331, 0.362, 0.394, 0.4375, 0.5)  # fmt: skip


@problem("re21", cite=SUITE + "; four-bar truss (Cheng and Li, 1999)")
def re21() -> Problem:
    """Four-bar truss: volume against displacement of the joint."""
    root = math.sqrt(2)

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
        volume = 200 * (2 * a + root * b + c.sqrt() + d)
        displacement = 0.01 * (2 / a + 2 * root / b - 2 * root / c + 2 / d)
        return [volume, displacement]

    return design(
        "re21",
        losses,
        [1, root, root, 1],
        [3] * 4,
        (1237.8414230005742, 0.002761423749158419),
        (2086.36956042, 0.00341421356237),
    )


@problem("re22", cite=SUITE + "; reinforced concrete beam (Amir and Hasegawa, 1989)")
def re22() -> Problem:
    """Reinforced concrete beam: cost; violation. The area of steel comes from a catalogue."""

    def losses(steel: Tensor, depth: Tensor, width: Tensor) -> list[Tensor]:
        area = nearest(steel, BARS)
        cost = 29.4 * area + 0.6 * depth * width
        return [cost, violation(area * width - 7.735 * area.square() / depth - 180, 4 - width / depth)]

    return design("re22", losses, [0.2, 0, 0], [15, 20, 40], (5.88, 0), (361.262944647, 180.01547))


@problem("re23", cite=SUITE + "; pressure vessel (Kannan and Kramer, 1994)")
def re23() -> Problem:
    """Pressure vessel: cost; violation. Thicknesses are multiples of 1/16 inch."""

    def losses(shell: Tensor, head: Tensor, radius: Tensor, length: Tensor) -> list[Tensor]:
        a, b = rounded(shell) / 16, rounded(head) / 16
        cost = 0.6224 * a * radius * length + 1.7781 * b * radius**2 + 3.1661 * a**2 * length + 19.84 * a**2 * radius
        content = torch.pi * radius**2 * length + 4 / 3 * torch.pi * radius**3
        return [cost, violation(a - 0.0193 * radius, b - 0.00954 * radius, content - 1_296_000)]

    return design("re23", losses, [1, 1, 10, 10], [100, 100, 200, 240], (15.9018007813, 0), (5852.05896876, 1288669.78054))


@problem("re24", cite=SUITE + "; hatch cover (Amir and Hasegawa, 1989)")
def re24() -> Problem:
    """Hatch cover: weight; violation."""

    def losses(flange: Tensor, beam: Tensor) -> list[Tensor]:
        bending, buckling = 4500 / (flange * beam), 7000 * flange**2
        shear, deflection = 1800 / beam, 56.2 * 10_000 / (700_000 * flange * beam**2)
        limits = (1 - bending / 700, 1 - shear / 450, 1 - deflection / 1.5, 1 - bending / buckling)
        return [flange + 120 * beam, violation(*limits)]

    return design("re24", losses, [0.5, 0.5], [4, 50], (60.5, 0), (481.608088535, 44.2819047619))


@problem("re25", cite=SUITE + "; coil compression spring (Lampinen and Zelinka, 1999)")
def re25() -> Problem:
    """Coil spring: volume of steel; violation. The number of coils is an integer, the wire comes from a catalogue."""

    def losses(coils: Tensor, diameter: Tensor, gauge: Tensor) -> list[Tensor]:
        n, d, wire = rounded(coils), diameter, nearest(gauge, WIRES)
        ratio = d / wire
        stiffness = 11.5e6 * wire**4 / (8 * n * d**3)
        correction = (4 * ratio - 1) / (4 * ratio - 4) + 0.615 / ratio
        preload = 300 / stiffness
        length = 1000 / stiffness + 1.05 * (n + 2) * wire
        limits = (
            189_000 - 8 * correction * 1000 * d / (torch.pi * wire**3),
            14 - length,
            ratio - 3,
            6 - preload,
            length - preload - 700 / stiffness - 1.05 * (n + 2) * wire,
            1.25 - 700 / stiffness,
        )
        return [torch.pi**2 * d * wire**2 * (n + 2) / 4, violation(*limits)]

    return design("re25", losses, [1, 0.6, 0.09], [70, 3, 0.5], (0.037591349242869145, 0), (0.40397042546, 2224669.22419))
