"""The RE suite: sixteen design problems of real engineering, two to nine losses.

Constraints are part of the last loss, as the sum of their violations: it is 0 on feasible designs, so its gradient is 0
there and has kinks at the border. Variables that must be integers or come from a catalogue are rounded inside the
losses, as the suite's authors do; the gradient is taken with the rounded value held fixed, hence 0 along such a
variable. Gradient steps then leave it where it starts: cover its values by the starts, or explore them by an
evolutionary search first.

Ideal and nadir points and stored fronts are the authors'. The fronts are read from ``$MOO_MTL_DATA/re_fronts`` when
``fronts.reference`` asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from moo_mtl.problems.problem import Problem, box, vector
from moo_mtl.problems.registry import problem
from moo_mtl.problems.sampling import beyond

SUITE = "Tanabe and Ishibuchi, An Easy-to-use Real-world Multi-objective Optimization Problem Suite, 2020, arXiv 2009.12867"
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

    return _design(
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

    return _design("re22", losses, [0.2, 0, 0], [15, 20, 40], (5.88, 0), (361.262944647, 180.01547))


@problem("re23", cite=SUITE + "; pressure vessel (Kannan and Kramer, 1994)")
def re23() -> Problem:
    """Pressure vessel: cost; violation. Thicknesses are multiples of 1/16 inch."""

    def losses(shell: Tensor, head: Tensor, radius: Tensor, length: Tensor) -> list[Tensor]:
        a, b = rounded(shell) / 16, rounded(head) / 16
        cost = 0.6224 * a * radius * length + 1.7781 * b * radius**2 + 3.1661 * a**2 * length + 19.84 * a**2 * radius
        content = torch.pi * radius**2 * length + 4 / 3 * torch.pi * radius**3
        return [cost, violation(a - 0.0193 * radius, b - 0.00954 * radius, content - 1_296_000)]

    return _design("re23", losses, [1, 1, 10, 10], [100, 100, 200, 240], (15.9018007813, 0), (5852.05896876, 1288669.78054))


@problem("re24", cite=SUITE + "; hatch cover (Amir and Hasegawa, 1989)")
def re24() -> Problem:
    """Hatch cover: weight; violation."""

    def losses(flange: Tensor, beam: Tensor) -> list[Tensor]:
        bending, buckling = 4500 / (flange * beam), 7000 * flange**2
        shear, deflection = 1800 / beam, 56.2 * 10_000 / (700_000 * flange * beam**2)
        limits = (1 - bending / 700, 1 - shear / 450, 1 - deflection / 1.5, 1 - bending / buckling)
        return [flange + 120 * beam, violation(*limits)]

    return _design("re24", losses, [0.5, 0.5], [4, 50], (60.5, 0), (481.608088535, 44.2819047619))


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

    return _design("re25", losses, [1, 0.6, 0.09], [70, 3, 0.5], (0.037591349242869145, 0), (0.40397042546, 2224669.22419))


@problem("re31", cite=SUITE + "; two-bar truss (Coello Coello and Pulido, 2005)")
def re31() -> Problem:
    """Two-bar truss: volume; stress; violation."""

    def losses(first: Tensor, second: Tensor, height: Tensor) -> list[Tensor]:
        long, short = (16 + height**2).sqrt(), (1 + height**2).sqrt()
        volume, stress = first * long + second * short, 20 * long / (first * height)
        return [volume, stress, violation(0.1 - volume, 100_000 - stress, 100_000 - 80 * short / (height * second))]

    ideal, nadir = (5.53731918799e-05, 0.333333333333, 0), (500.002668442, 8246211.25124, 19359919.7502)
    return _design("re31", losses, [1e-5, 1e-5, 1], [100, 100, 3], ideal, nadir)


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
    return _design("re32", losses, [0.125, 0.1, 0.1, 0.125], [5, 10, 10, 5], ideal, nadir)


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
    return _design("re33", losses, [55, 75, 1000, 11], [80, 110, 3000, 20], ideal, nadir)


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

    return _design(
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
    return _design("re35", losses, lower, upper, (2352.34611145, 694.233587469, 0), (6634.56208, 1695.96387746, 397.358927317))


@problem("re36", cite=SUITE + "; gear train (Deb and Srinivasan, 2006)")
def re36() -> Problem:
    """Gear train: error of the ratio; largest gear; violation. All four variables are integers: every gradient is 0."""

    def losses(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> list[Tensor]:
        a, b, c, d = (rounded(teeth) for teeth in (a, b, c, d))
        error = (6.931 - c / a * d / b).abs()
        return [error, torch.stack([a, b, c, d]).amax(dim=0), violation(0.5 - error / 6.931)]

    return _design("re36", losses, [12] * 4, [60] * 4, (7.89473684213e-05, 12, 0), (5.931, 56, 0.355720675227))


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
    return _design("re37", losses, [0] * 4, [1] * 4, ideal, nadir)


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
    return _design("re41", losses, *_CAR, ideal, nadir)


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
    return _design("re42", losses, [150, 20, 13, 10, 14, 0.63], [274.32, 32.31, 25, 11.71, 18, 0.75], ideal, nadir)


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
    return _design("re61", losses, [0.01] * 3, [0.45, 0.1, 0.1], ideal, nadir)


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
    return _design("re91", losses, *_CAR, ideal, nadir)


_CAR = ([0.5, 0.45, 0.5, 0.5, 0.875, 0.4, 0.4], [1.5, 1.35, 1.5, 1.5, 2.625, 1.2, 1.2])  # ranges of the seven thicknesses


def violation(*limits: Tensor) -> Tensor:
    """Sum of violations of constraints written as ``limit >= 0``."""
    return torch.stack(limits).clamp(max=0).neg().sum(dim=0)


def rounded(x: Tensor) -> Tensor:
    """The nearest integer, half to even; a constant for gradients."""
    return x.detach().round()


def nearest(x: Tensor, catalogue: Sequence[float]) -> Tensor:
    """The nearest entry of a catalogue, the first of two as near; a constant for gradients."""
    entries = torch.tensor(catalogue, dtype=x.dtype, device=x.device)
    return entries[(x.detach().unsqueeze(-1) - entries).abs().argmin(dim=-1)]


def _design(
    name: str,
    losses: Callable[..., list[Tensor]],
    lower: Sequence[float],
    upper: Sequence[float],
    ideal: Sequence[float],
    nadir: Sequence[float],
) -> Problem:
    best, worst = vector(*ideal), vector(*nadir)

    def evaluate(x: Tensor) -> Tensor:
        return torch.stack(losses(*x.unbind(dim=-1)), dim=-1) + 0 * x.sum(dim=-1, keepdim=True)  # integers have gradients: 0

    return Problem(
        name=name,
        n_tasks=len(best),
        n_dim=len(lower),
        evaluate=evaluate,
        bounds=box(lower, upper, len(lower), name),
        ref_point=beyond(best, worst),
        ideal=best,
        nadir=worst,
    )
