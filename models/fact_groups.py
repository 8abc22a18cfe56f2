"""Facts that say nearly the same: those whose values rank the rows alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import rankdata

from features.catalogue import Feature
from models.boosting import FloatArray

ALIKE: Final = 0.8
"""From this rank correlation on, two facts are told together."""


def alike_groups(*, rows: FloatArray, ordered: Sequence[int], contract: Sequence[Feature]) -> list[list[int]]:
    """Put each column under the first one before it that it goes with; those named first lead.

    Categories and constants stand alone; a missing value ranks below all others.
    """
    ranks = {place: _ranks(rows[:, place], contract[place]) for place in ordered}
    groups: list[list[int]] = []
    for place in ordered:
        leader = next((group for group in groups if _alike(ranks[group[0]], ranks[place])), None)
        if leader is None:
            groups.append([place])
        else:
            leader.append(place)
    return groups


def _ranks(values: FloatArray, feature: Feature) -> FloatArray | None:
    if feature.is_category:
        return None
    ranks = rankdata(np.where(np.isnan(values), -np.inf, values))
    spread = ranks.std()
    return None if spread == 0 else (ranks - ranks.mean()) / spread


def _alike(first: FloatArray | None, second: FloatArray | None) -> bool:
    return first is not None and second is not None and abs(float(np.mean(first * second))) >= ALIKE
