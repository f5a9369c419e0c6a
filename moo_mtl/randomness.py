"""Random numbers that depend on nothing but (seed, member, step): adding a trajectory or resuming a run changes none of them.

A counter is hashed with the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), in integer tensor arithmetic, so the
numbers are the same on every device, in every batch shape and after every resume, and there is no generator to save.
"""

import math

import torch
from torch import Tensor


def uniforms(seed: int | Tensor, members: Tensor, step: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1), ``[..., count]`` float64, one stream per member.

    Args:
        seed: of the run; or int64, one for each member, ``[...]``.
        members: integers that name the batch members, ``[...]``.
        step: number of the step.
        count: how many numbers each member wants.
    """
    seeds = seed.expand_as(members) if isinstance(seed, Tensor) else torch.full_like(members, _wrap(seed))
    key = _mix(_mix(_mix(seeds) + members) + step)
    counters = torch.arange(1, count + 1, device=members.device, dtype=torch.int64)
    bits = _mix(key[..., None] + counters * _wrap(0x9E3779B97F4A7C15))
    return _shift(bits, 11).double() * 2.0**-53


def normals(seed: int | Tensor, members: Tensor, step: int, count: int) -> Tensor:
    """Standard normal numbers, ``[..., count]`` float64, by the Box-Muller transform of ``uniforms``."""
    half = (count + 1) // 2
    radius, angle = uniforms(seed, members, step, 2 * half).split(half, dim=-1)
    radius = torch.sqrt(-2 * torch.log1p(-radius))
    angle = 2 * math.pi * angle
    return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=-1)[..., :count]


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _wrap(0xBF58476D1CE4E5B9)
    z = (z ^ _shift(z, 27)) * _wrap(0x94D049BB133111EB)
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift; the one for signed integers drags the sign along."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _wrap(constant: int) -> int:
    """An unsigned 64-bit constant as the signed number with the same bits."""
    constant &= (1 << 64) - 1
    return constant - (1 << 64) if constant >= 1 << 63 else constant
