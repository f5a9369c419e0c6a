"""A number over seeds: mean, standard deviation, and an interval for the mean."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

RESAMPLES = 9999
SEED = 0  # of the resampling: the same runs give the same interval


class Spread(NamedTuple):
    """Over the seeds.

    Attributes:
        mean: of the values.
        sd: standard deviation; ``None`` of one value.
        low: lower end of the 95 % interval of the mean; ``None`` of one value.
        high: its upper end.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.sd is None:
            return f"{self.mean:.4g}"
        return f"{self.mean:.4g} ± {self.sd:.2g} [{self.low:.4g}, {self.high:.4g}]"


def spread(values: Sequence[float]) -> Spread:
    """Mean, sample standard deviation, and the percentile bootstrap interval of the mean (Efron, 1979).

    >>> spread([1.0, 1.0])
    Spread(mean=1.0, sd=0.0, low=1.0, high=1.0)
    """
    if len(values) < 2:
        return Spread(fmean(values), None, None, None)
    import numpy as np
    from scipy.stats import bootstrap

    drawn = bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=SEED, vectorized=True)
    low, high = drawn.confidence_interval
    return Spread(fmean(values), stdev(values), float(low), float(high))
