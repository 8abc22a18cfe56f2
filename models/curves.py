"""How a model's probability runs along a fact: accumulated local effects over a few bins of its values.

Apley and Zhu, Visualizing the effects of predictor variables in black box supervised learning models, J. R. Stat. Soc.
B 82 (2020): two neighbouring values are compared only on the rows that have one of them, so that a fact is never set
to a value that goes with nobody like it, and the steps are added up. Numbers are bins in a chain; categories are
compared with their most frequent level, and a missing value with the bin next to it. Facts that say nearly the same
move together: a row takes all of them from a row of the other bin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import Feature
from models.boosting import FloatArray

BINS: Final = 5
_NEVER: Final = "days_since"

IntArray = NDArray[np.int64]
Predict = Callable[[FloatArray, IntArray], FloatArray]
"""The probability of rows (n, features), and of which original row each is a copy."""


@dataclass(frozen=True)
class Bins:
    """Where each row lies along a fact: ``place`` is its bin, and the last bin is that of missing values."""

    place: IntArray
    labels: tuple[str, ...]
    is_category: bool

    @property
    def missing(self) -> int:
        """Return the number of the bin of missing values."""
        return len(self.labels) - 1

    def weights(self, weight: FloatArray) -> FloatArray:
        """Return the weight of the rows in each bin."""
        return np.asarray(np.bincount(self.place, weights=weight, minlength=len(self.labels)), dtype=np.float64)


def bins_of(feature: Feature, values: FloatArray) -> Bins:
    """Cut a fact's values into bins: each level of a category, up to five numbers, or five ranges of them."""
    known = values[~np.isnan(values)]
    if feature.is_category:
        place = np.where(np.isnan(values), len(feature.levels), values).astype(np.int64)
        return Bins(place=place, labels=(*feature.levels, feature.format(np.nan)), is_category=True)
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        place = np.where(np.isnan(values), len(distinct), np.searchsorted(distinct, values)).astype(np.int64)
        labels = [feature.format(value) for value in distinct]
    else:
        inner = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))
        inner = inner[inner > distinct[0]]
        place = np.where(np.isnan(values), len(inner) + 1, np.searchsorted(inner, values, side="right")).astype(
            np.int64
        )
        starts = [distinct[0], *inner]
        ends = [*(distinct[np.searchsorted(distinct, inner) - 1]), distinct[-1]]
        labels = [_range(feature, low, high) for low, high in zip(starts, ends, strict=True)]
    return _merged(place, [*labels, feature.format(np.nan)])


def accumulated_effects(
    *,
    predict: Predict,
    rows: FloatArray,
    columns: Sequence[int],
    feature: Feature,
    bins: Bins,
    weight: FloatArray,
    base: FloatArray,
) -> FloatArray:
    """Return the effect of each bin on the probability, told against the average of all rows; NaN where it is empty.

    ``columns`` move together; ``bins`` are those of the first, which is ``feature``. ``base`` is the probability of the
    rows as they are.
    """
    mass = bins.weights(weight)
    effect = np.full(len(mass), np.nan)
    filled = np.flatnonzero(mass > 0)
    if not len(filled):
        return effect
    pairs = _pairs(feature, bins=bins, mass=mass, filled=filled)
    swaps = [*pairs, *((high, low) for low, high in pairs)]
    moved = _moved(predict, rows=rows, columns=columns, bins=bins, swaps=swaps)
    effect[pairs[0][0] if pairs else filled[0]] = 0.0
    for step, (low, high) in enumerate(pairs):
        below, above = bins.place == low, bins.place == high
        gain = np.append(moved[step] - base[below], base[above] - moved[len(pairs) + step])
        effect[high] = effect[low] + np.average(gain, weights=np.append(weight[below], weight[above]))
    return np.asarray(effect - np.average(effect[filled], weights=mass[filled]), dtype=np.float64)


def _pairs(feature: Feature, *, bins: Bins, mass: FloatArray, filled: IntArray) -> list[tuple[int, int]]:
    """Return which bins are compared: the first of each pair has an effect before the second gets one."""
    heaviest = int(filled[np.argmax(mass[filled])])
    if bins.is_category:
        return [(heaviest, place) for place in filled.tolist() if place != heaviest]
    known = [place for place in filled.tolist() if place != bins.missing]
    pairs = list(pairwise(known))
    if mass[bins.missing] > 0 and known:
        # What never happened lies beyond what happened longest ago.
        beside = known[-1] if feature.name.startswith(_NEVER) else max(known, key=lambda place: mass[place])
        pairs.append((beside, bins.missing))
    return pairs


def _moved(
    predict: Predict, *, rows: FloatArray, columns: Sequence[int], bins: Bins, swaps: Sequence[tuple[int, int]]
) -> list[FloatArray]:
    """Return the probability of each swap's first bin with the facts of its second, all asked in one go."""
    if not swaps:
        return []
    taking = [np.flatnonzero(bins.place == own) for own, _ in swaps]
    giving = [
        _spread(np.flatnonzero(bins.place == other), count=len(own))
        for own, (_, other) in zip(taking, swaps, strict=True)
    ]
    index, facts = np.concatenate(taking), np.array(columns)
    changed = rows[index]
    changed[:, facts] = rows[np.ix_(np.concatenate(giving), facts)]
    return list(np.split(predict(changed, index), np.cumsum([len(own) for own in taking])[:-1]))


def _spread(rows: IntArray, *, count: int) -> IntArray:
    """Choose ``count`` of these rows evenly, again and again where there are fewer."""
    return np.asarray(rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)], dtype=np.int64)


def _merged(place: IntArray, labels: list[str]) -> Bins:
    """Make one bin of neighbours that read the same; missing values keep a bin of their own."""
    new = [0]
    for at in range(1, len(labels)):
        new.append(new[-1] + (labels[at] != labels[at - 1] or at == len(labels) - 1))
    kept = [label for at, label in enumerate(labels) if at == 0 or new[at] != new[at - 1]]
    return Bins(place=np.array(new, dtype=np.int64)[place], labels=tuple(kept), is_category=False)


def _range(feature: Feature, low: float, high: float) -> str:
    first, last = feature.format(low), feature.format(high)
    return first if first == last else f"{first} to {last}"
