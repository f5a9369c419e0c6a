"""Arrays as plotly.js reads them without parsing: little-endian single precision in base64."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from moo_mtl.plotting.values import Array


def packed(values: Array) -> dict[str, Any]:
    """An array of one or two dimensions in 16/3 bytes a number, seven digits kept.

    >>> packed(np.array([1.0, 2.0]))
    {'dtype': 'f4', 'bdata': 'AACAPwAAAEA='}
    """
    with np.errstate(over="ignore"):  # beyond 3e38 nothing is drawn
        single = np.ascontiguousarray(values, dtype="<f4")
    shape = {"shape": ", ".join(map(str, single.shape))} if single.ndim > 1 else {}
    return {"dtype": "f4", "bdata": b64encode(single.tobytes()).decode("ascii"), **shape}
