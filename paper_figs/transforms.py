"""BMTL: admissible transforms with their derivatives, and the weights that runs gave to losses, on the same axes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from moo_mtl.experiment import Record
from moo_mtl.plotting import style
from moo_mtl.rules import losses

VENUE = "icml"
FORMULAS = {
    "exp": r"$e^{z/T}$",
    "softplus": r"$T\log(1+e^{z/T})$",
    "cosh": r"$\cosh(z/T)$",
    "power": r"$z^p$",
    "barrier": r"$-\log(c-z)$",
}


def draw(records: Sequence[Record]) -> Figure:
    """Left: h. Middle: its slope; marks are losses and weights of the runs. Right: the spread of the losses over the steps."""
    width, _ = style.size(VENUE, columns=2)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(width, width * 0.3))
    for place, record in enumerate(records):
        drawn, trace = style.numbered(place), record.load()
        kind = record.config.rule.parameters["transform"]
        transform = _transform(kind, record.config.rule.parameters)
        seen, given = trace.losses.flatten(), trace.weights.flatten()
        z = torch.linspace(max(float(seen.min()), 1e-3), float(seen.max()), 200, dtype=torch.float64)
        slope = transform.log_slope(z).exp()
        left.plot(z, slope * transform.ratio(z), color=drawn.colour, linestyle=drawn.line, label=FORMULAS[kind])
        middle.plot(z, slope, color=drawn.colour, linestyle=drawn.line)
        ranked = seen.argsort()
        chosen = ranked[torch.searchsorted(seen[ranked], z[::12].contiguous()).clamp(max=len(seen) - 1)]
        middle.plot(seen[chosen], given[chosen], color=drawn.colour, marker=drawn.marker, linestyle="none", markersize=3)
        spread = trace.losses[:, 0].amax(dim=-1) - trace.losses[:, 0].amin(dim=-1)
        right.plot(trace.steps, spread, color=drawn.colour, linestyle=drawn.line)
    left.set(xlabel="loss $z$", ylabel="transform $h(z)$")
    middle.set(xlabel="loss $z$", ylabel="weight $h'(z)$", yscale="log")
    right.set(xlabel="step", ylabel="largest loss $-$ smallest loss", xscale="symlog")
    left.legend()
    return figure


def _transform(kind: str, parameters: dict[str, object]) -> losses.Convex:
    temperature = parameters.get("temperature", 1.0)
    made = {
        "exp": losses.exponential,
        "softplus": losses.softplus,
        "cosh": losses.cosh,
        "barrier": losses.barrier,
    }
    return losses.power(parameters.get("exponent", 2.0)) if kind == "power" else made[kind](temperature)
