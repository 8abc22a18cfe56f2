"""Clustered bootstrap: draw whole objects (contacts, deals) with replacement, never single rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.metrics import AnyArray, FloatArray, as_float

CONFIDENCE: Final = 0.95
_CELLS_AT_ONCE: Final = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends are NaN where the replicates cannot say."""

    low: float
    high: float


def cluster_weights(
    *, cluster: AnyArray, replicates: int, seed: int, weight: AnyArray | None = None
) -> Iterator[FloatArray]:
    """Yield blocks (some replicates x all rows) of row weights, ``replicates`` in all.

    A replicate draws as many clusters as there are, with replacement; a row weighs how often its cluster was drawn,
    times its own ``weight``. The same seed gives the same draws, however the blocks are cut.

    >>> block = next(cluster_weights(cluster=np.array(["a", "a", "b"]), replicates=2, seed=1))
    >>> block.shape, bool((block[:, 0] == block[:, 1]).all())
    ((2, 3), True)
    """
    codes = np.unique(cluster, return_inverse=True)[1]
    clusters = int(codes.max()) + 1 if len(codes) else 0
    generator = np.random.default_rng(seed)
    block_size = max(1, _CELLS_AT_ONCE // max(len(codes), 1))
    for first in range(0, replicates, block_size):
        block = np.empty((min(block_size, replicates - first), len(codes)))
        for row in block:
            drawn = generator.integers(0, clusters, size=clusters) if clusters else np.empty(0, dtype=np.int64)
            row[:] = np.bincount(drawn, minlength=clusters)[codes]
        yield block if weight is None else block * as_float(weight)


def interval(values: FloatArray, *, confidence: float = CONFIDENCE) -> Interval:
    """Percentile interval of a statistic's replicates.

    Replicates in which it was undefined (NaN) are left out; where they are more than half, there is no interval.

    >>> interval(np.arange(101.0), confidence=0.5)
    Interval(low=25.0, high=75.0)
    """
    defined = values[np.isfinite(values)]
    if not len(defined) or 2 * len(defined) < len(values):
        return Interval(low=float("nan"), high=float("nan"))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return Interval(low=float(low), high=float(high))
