"""The RE suite's seven design problems of three losses; see ``engineering``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moo_mtl.problems.engineering import SUITE, design, rounded, violation
from moo_mtl.problems.problem import Problem
from moo_mtl.problems.registry import problem


@problem("re31", cite=SUITE + "; two-bar truss (Coello Coello and Pulido, 2005)")
def re31() -> Problem:
    """Two-bar truss: volume; stress; violation."""

    def losses(first: Tensor, second: Tensor, height: Tensor) -> list[Tensor]:
        long, short = (16 + height**2).sqrt(), (1 + height**2).sqrt()
        volume, stress = first * long + second * short, 20 * long / (first * height)
        return [volume, stress, violation(0.1 - volume, 100_000 - stress, 100_000 - 80 * short / (height * second))]

    ideal, nadir = (5.53731918799e-05, 0.333333333333, 0), (500.002668442, 8246211.25124, 19359919.7502)
    return design("re31", losses, [1e-5, 1e-5, 1], [100, 100, 3], ideal, nadir)


@problem("re32", cite=SUITE + "; welded beam (Ray and Liew, 2002)")
def re32() -> Problem:
    """Welded beam: cost; deflection; violation."""

    def losses(weld: Tensor, length: Tensor, height: Tensor, width: Tensor) -> list[Tensor]:
        load, span, young, shear = 6000.0, 14.0, 30e6, 12e6
        cost = 1.10471 * weld**2 * length + 0.04811 * height * width * (14 + length)
        deflection = 4 * load * span**3 / (young * width * height**3)
        arm = ((weld + height) / 2).square()
        radius = (length**2 / 4 + arm).sqrt()
        inertia = 2 * math.sqrt(2) * weld * length * (length**2 / 12 + arm)
        direct = load / (math.sqrt(2) * weld * length)
        bending = load * (span + length / 2) * radius / inertia
        stress = (direct**2 + direct * bending * length / radius + bending**2).sqrt()
        slender = 1 - height / (2 * span) * math.sqrt(young / (4 * shear))
        buckling = 4.013 * young * height * width**3 / 6 / span**2 * slender
        normal = 6 * load * span / (width * height**2)
        return [cost, deflection, violation(13_600 - stress, 30_000 - normal, width - weld, buckling - load)]

    ideal, nadir = (0.010205496875, 0.00043904, 0), (37.7831517014, 17561.6, 425062976.628)
    return design("re32", losses, [0.125, 0.1, 0.1, 0.125], [5, 10, 10, 5], ideal, nadir)


@problem("re33", cite=SUITE + "; disc brake (Ray and Liew, 2002)")
def re33() -> Problem:
    """Disc brake: mass; stopping time; violation."""

    def losses(inner: Tensor, outer: Tensor, force: Tensor, surfaces: Tensor) -> list[Tensor]:
        squares, cubes = outer**2 - inner**2, outer**3 - inner**3
        limits = (
            outer - inner - 20,
            0.4 - force / (3.14 * squares),
            1 - 2.22e-3 * force * cubes / squares**2,
            2.66e-2 * force * surfaces * cubes / squares - 900,
        )
        return [4.9e-5 * squares * (surfaces - 1), 9.82e6 * squares / (force * surfaces * cubes), violation(*limits)]

    ideal, nadir = (-0.721525, 1.13907203907, 0), (5.3067, 3.12833430979, 25)
    return design("re33", losses, [55, 75, 1000, 11], [80, 110, 3000, 20], ideal, nadir)


@problem("re34", cite=SUITE + "; vehicle crashworthiness (Liao et al., 2008)")
def re34() -> Problem:
    """Vehicle crashworthiness: mass; acceleration; intrusion of the toe board; response surfaces of five thicknesses."""

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> list[Tensor]:
        mass = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e
        acceleration = 6.5856 + 1.15 * a - 1.0427 * b + 0.9738 * c + 0.8364 * d - 0.3695 * a * d + 0.0861 * a * e
        acceleration = acceleration + 0.3628 * b * d - 0.1106 * a**2 - 0.3437 * c**2 + 0.1764 * d**2
        intrusion = -0.0551 + 0.0181 * a + 0.1024 * b + 0.0421 * c - 0.0073 * a * b + 0.024 * b * c - 0.0118 * b * d
        intrusion = intrusion - 0.0204 * c * d - 0.008 * c * e - 0.0241 * b**2 + 0.0109 * d**2
        return [mass, acceleration, intrusion]

    return design(
        "re34", losses, [1] * 5, [3] * 5, (1661.7078225, 6.14280000608, 0.0394), (1695.2002035, 10.7454, 0.26399999965)
    )


@problem("re35", cite=SUITE + "; speed reducer (Farhang-Mehr and Azarm, 2002)")
def re35() -> Problem:
    """Speed reducer: weight; stress in the first shaft; violation. The number of teeth is an integer."""

    def losses(face: Tensor, module: Tensor, count: Tensor, l1: Tensor, l2: Tensor, d1: Tensor, d2: Tensor) -> list[Tensor]:
        teeth = rounded(count)
        weight = 0.7854 * face * module**2 * (10 * teeth**2 / 3 + 14.933 * teeth - 43.0934)
        weight = weight - 1.508 * face * (d1**2 + d2**2) + 7.477 * (d1**3 + d2**3) + 0.7854 * (l1 * d1**2 + l2 * d2**2)
        pitch = module * teeth
        first = ((745 * l1 / pitch).square() + 1.69e7).sqrt() / (0.1 * d1**3)
        second = ((745 * l2 / pitch).square() + 1.575e8).sqrt() / (0.1 * d2**3)
        limits = (
            1 / 27 - 1 / (face * module * pitch),
            1 / 397.5 - 1 / (face * pitch**2),
            1 / 1.93 - l1**3 / (pitch * d1**4),
            1 / 1.93 - l2**3 / (pitch * d2**4),
            40 - pitch,
            12 - face / module,
            face / module - 5,
            l1 - 1.9 - 1.5 * d1,
            l2 - 1.9 - 1.1 * d2,
            1300 - first,
            1100 - second,
        )
        return [weight, first, violation(*limits)]

    lower, upper = [2.6, 0.7, 17, 7.3, 7.3, 2.9, 5], [3.6, 0.8, 28, 8.3, 8.3, 3.9, 5.5]
    return design("re35", losses, lower, upper, (2352.34611145, 694.233587469, 0), (6634.56208, 1695.96387746, 397.358927317))


@problem("re36", cite=SUITE + "; gear train (Deb and Srinivasan, 2006)")
def re36() -> Problem:
    """Gear train: error of the ratio; largest gear; violation. All four variables are integers: every gradient is 0."""

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
        a, b, c, d = (rounded(teeth) for teeth in (a, b, c, d))
        error = (6.931 - c / a * d / b).abs()
        return [error, torch.stack([a, b, c, d]).amax(dim=0), violation(0.5 - error / 6.931)]

    return design("re36", losses, [12] * 4, [60] * 4, (7.89473684213e-05, 12, 0), (5.931, 56, 0.355720675227))


@problem("re37", cite=SUITE + "; rocket injector (Vaidyanathan et al., 2003)")
def re37() -> Problem:
    """Rocket injector: temperatures of the face and of the tip, and combustion length; response surfaces."""

    def losses(a: Tensor, h: Tensor, o: Tensor, t: Tensor) -> list[Tensor]:
        face = 0.692 + 0.477 * a - 0.687 * h - 0.08 * o - 0.065 * t - 0.167 * a**2 - 0.0129 * h * a + 0.0796 * h**2
        face = face - 0.0634 * o * a - 0.0257 * o * h + 0.0877 * o**2 - 0.0521 * t * a + 0.00156 * t * h
        face = face + 0.00198 * t * o + 0.0184 * t**2
        length = 0.153 - 0.322 * a + 0.396 * h + 0.424 * o + 0.0226 * t + 0.175 * a**2 + 0.0185 * h * a - 0.0701 * h**2
        length = length - 0.251 * o * a + 0.179 * o * h + 0.015 * o**2 + 0.0134 * t * a + 0.0296 * t * h
        length = length + 0.0752 * t * o + 0.0192 * t**2
        tip = 0.37 - 0.205 * a + 0.0307 * h + 0.108 * o + 1.019 * t - 0.135 * a**2 + 0.0141 * h * a + 0.0998 * h**2
        tip = tip + 0.208 * o * a - 0.0301 * o * h - 0.226 * o**2 + 0.353 * t * a - 0.0497 * t * o - 0.423 * t**2
        tip = tip + 0.202 * h * a**2 - 0.281 * o * a**2 - 0.342 * h**2 * a - 0.245 * h**2 * o + 0.281 * o**2 * h
        tip = tip - 0.184 * t**2 * a - 0.281 * h * a * o
        return [face, length, tip]

    ideal, nadir = (0.00889341391106, 0.00488, -0.431499999825), (0.98949120096, 0.956587924661, 0.987530948586)
    return design("re37", losses, [0] * 4, [1] * 4, ideal, nadir)
