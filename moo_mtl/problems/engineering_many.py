"""The RE suite's four design problems of four to nine losses; see ``engineering``."""

from __future__ import annotations

import torch
from torch import Tensor

from moo_mtl.problems.engineering import SUITE, design, violation
from moo_mtl.problems.problem import Problem
from moo_mtl.problems.registry import problem


@problem("re41", cite=SUITE + "; car side impact (Jain and Deb, 2014)")
def re41() -> Problem:
    """Car side impact: weight; force on the pelvis; speed of the pillar; violation."""

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor, g: Tensor) -> list[Tensor]:
        weight = 1.98 + 4.9 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.78 * e + 0.00001 * f + 2.73 * g
        pelvis = 4.72 - 0.5 * d - 0.19 * b * c
        pillar = 10.58 - 0.674 * a * b - 0.67275 * b
        door = 16.45 - 0.489 * c * g - 0.843 * e * f
        chest = 0.261 - 0.0159 * a * b - 0.06486 * a - 0.019 * b * g + 0.0144 * c * e + 0.0154464 * f
        middle = 0.214 + 0.00817 * e - 0.045195 * a - 0.0135168 * a + 0.03099 * b * f - 0.018 * b * g + 0.007176 * c
        middle = middle + 0.023232 * c - 0.00364 * e * f - 0.018 * b**2
        limits = (
            1 - (1.16 - 0.3717 * b * d - 0.0092928 * c),
            0.32 - chest,
            0.32 - middle,
            0.32 - (0.74 - 0.61 * b - 0.031296 * c - 0.031872 * g + 0.227 * b**2),
            32 - (28.98 + 3.818 * c - 4.2 * a * b + 1.27296 * f - 2.68065 * g),
            32 - (33.86 + 2.95 * c - 5.057 * a * b - 3.795 * b - 3.4431 * g + 1.45728),
            32 - (46.36 - 9.9 * b - 4.4505 * a),
            4 - pelvis,
            9.9 - pillar,
            15.7 - door,
        )
        return [weight, pelvis, (pillar + door) / 2, violation(*limits)]

    ideal, nadir = (15.576004, 3.58525, 10.61064375, 0), (39.2905121788, 4.42725, 13.09138125, 9.49401929991)
    return design("re41", losses, *_CAR, ideal, nadir)


@problem("re42", cite=SUITE + "; conceptual marine design (Parsons and Scott, 2004)")
def re42() -> Problem:
    """Bulk carrier: cost of transport; weight of the ship; cargo a year, negated; violation."""

    def losses(length: Tensor, beam: Tensor, depth: Tensor, draft: Tensor, knots: Tensor, block: Tensor) -> list[Tensor]:
        displacement = 1.025 * length * beam * draft * block
        froude = 0.5144 * knots / (9.8065 * length).sqrt()
        admiralty = 4977.06 * block**2 - 8105.61 * block + 4456.51 + froude * (-10847.2 * block**2 + 12817 * block - 6960.32)
        power = displacement ** (2 / 3) * knots**3 / admiralty
        outfit = length**0.8 * beam**0.6 * depth**0.3 * block**0.1
        steel = 0.034 * length**1.7 * beam**0.7 * depth**0.4 * block**0.5
        ship = steel + outfit + 0.17 * power**0.9
        dead = displacement - ship
        capital = 0.2 * 1.3 * (2000 * steel**0.85 + 3500 * outfit + 2400 * power**0.8)
        sea = 5000 / 24 * knots  # days at sea, with knots as a factor: so in the suite and its stored front
        daily = 0.19 * power * 24 / 1000 + 0.2
        cargo = dead - daily * (sea + 5) - 2 * dead**0.5
        trips = 350 / (sea + 2 * (cargo / 8000 + 0.5))
        yearly = cargo * trips
        costs = capital + 40_000 * dead**0.3 + (1.05 * daily * sea * 100 + 6.3 * dead**0.8) * trips
        stability = 0.53 * draft + (0.085 * block - 0.002) * beam**2 / (draft * block) - (1 + 0.52 * depth) - 0.07 * beam
        limits = (
            length / beam - 6,
            15 - length / depth,
            19 - length / draft,
            0.45 * dead**0.31 - draft,
            0.7 * depth + 0.7 - draft,
            50_000 - dead,
            dead - 3000,
            0.32 - froude,
            stability,
        )
        return [costs / yearly, ship, -yearly, violation(*limits)]

    ideal = (-2756.2590400638524, 3962.557843228888, 1947.880856925791, 0)
    nadir = (-1010.5229595219643, 13827.138456300128, 2611.9668107424536, 12.437669929732023)
    return design("re42", losses, [150, 20, 13, 10, 14, 0.63], [274.32, 32.31, 25, 11.71, 18, 0.75], ideal, nadir)


@problem("re61", cite=SUITE + "; water resource planning (Ray, Tai and Seow, 2001)")
def re61() -> Problem:
    """Urban drainage: five costs; violation."""

    def losses(storage: Tensor, treatment: Tensor, overflow: Tensor) -> list[Tensor]:
        inverse = 1 / (storage * treatment)
        limits = (
            1 - (0.00139 * inverse + 4.94 * overflow - 0.08),
            1 - (0.000306 * inverse + 1.082 * overflow - 0.0986),
            50_000 - (12.307 * inverse + 49408.24 * overflow + 4051.02),
            16_000 - (2.098 * inverse + 8046.33 * overflow - 696.71),
            10_000 - (2.138 * inverse + 7883.39 * overflow - 705.04),
            2000 - (0.417 * storage * treatment + 1721.26 * overflow - 136.54),
            550 - (0.164 * inverse + 631.13 * overflow - 54.48),
        )
        return [
            106780.37 * (treatment + overflow) + 61704.67,
            3000 * storage,
            305700 * 2289 * treatment / (0.06 * 2289) ** 0.65,
            250 * 2289 * torch.exp(-39.75 * treatment + 9.9 * overflow + 2.74),
            25 * (1.39 * inverse + 4940 * overflow - 80),
            violation(*limits),
        ]

    ideal = (63840.2774, 30, 285346.896494, 183749.967061, 7.22222222222, 0)
    nadir = (80896.9128355, 1350, 2853468.96494, 7076861.67064, 87748.6339553, 2.50994535821)
    return design("re61", losses, [0.01] * 3, [0.45, 0.1, 0.1], ideal, nadir)


@problem("re91", cite=SUITE + "; car cab (Deb and Jain, 2014)")
def re91() -> Problem:
    """Car cab: weight and eight responses in units of their limits.

    The authors draw four noise variables at every evaluation; here they have their means (0.345, 0.192, 0, 0), so that
    the losses are functions of x. The stored front holds the noise.
    """

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor, f: Tensor, g: Tensor) -> list[Tensor]:
        h, i = 0.345, 0.192
        chest = 0.261 - 0.0159 * a * b - 0.188 * h * a - 0.019 * b * g + 0.0144 * c * e + 0.08045 * i * f
        middle = 0.214 + 0.00817 * e - 0.131 * h * a - 0.0704 * i * a + 0.03099 * b * f - 0.018 * b * g + 0.0208 * h * c
        middle = middle + 0.121 * i * c - 0.00364 * e * f - 0.018 * b**2
        lower = 0.74 - 0.61 * b - 0.163 * h * c - 0.166 * i * g + 0.227 * b**2
        ribs = 28.98 + 3.818 * c - 4.2 * a * b + 6.63 * i * f - 7.77 * h * g
        ribs = ribs + 33.86 + 2.95 * c - 5.057 * a * b - 11 * h * b - 9.98 * h * g + 22 * h * i
        ribs = ribs + 46.36 - 9.9 * b - 12.9 * h * a
        responses = (
            1.16 - 0.3717 * b * d - 0.484 * i * c,
            chest / 0.32,
            middle / 0.32,
            lower / 0.32,
            ribs / 96,
            (4.72 - 0.5 * d - 0.19 * b * c) / 4,
            (10.58 - 0.674 * a * b - 1.95 * h * b) / 9.9,
            (16.45 - 0.489 * c * g - 0.843 * e * f) / 15.7,
        )
        weight = 1.98 + 4.9 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.75 * e + 0.00001 * f + 2.73 * g
        return [weight, *(response.clamp(min=0) for response in responses)]

    ideal = (15.549754, 0, 0, 0.0907242296262, 0.367459287472, 0.527364946723, 0.735415465187, 0.618676033791, 0.660886967497)
    worst = (39.6023250742, 1.00188125422, 112.487885728, 0.79017024474, 1.42304666576)
    nadir = (*worst, 1.08576907833, 1.1215181762, 0.993535488298, 1.01068662645)
    return design("re91", losses, *_CAR, ideal, nadir)


_CAR = ([0.5, 0.45, 0.5, 0.5, 0.875, 0.4, 0.4], [1.5, 1.35, 1.5, 1.5, 2.625, 1.2, 1.2])  # ranges of the seven thicknesses
