"""Whether a property's value passes the test of a criterion: is, in, contains, between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.visibility import Int64Array
from models.boosting import FloatArray
from models.rules.sheet import Criterion

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class PropertyColumn:
    """A property at each snapshot: the place of its value among the distinct ones, -1 where it is missing."""

    place: Int64Array
    distinct: NDArray[np.object_]

    def where(self, test: Callable[[pd.Series], pd.Series]) -> FloatArray:
        """Apply a test to the distinct values and spread the answer over the snapshots."""
        met = np.append(test(pd.Series(self.distinct, dtype=object)).to_numpy(dtype=bool), False)
        return met[self.place].astype(np.float64)


def holds(criterion: Criterion, values: pd.Series) -> pd.Series:
    """Say which values, none of them missing, pass the test of a criterion."""
    if criterion.contains is not None:
        return _words(values).str.contains(criterion.contains, case=False, regex=False)
    if criterion.between is not None:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
        return pd.Series(inside(numbers, criterion.between), index=values.index)
    return _same(values, criterion.in_ if criterion.in_ is not None else (criterion.is_,))


def _same(values: pd.Series, wanted: Iterable[Any]) -> pd.Series:
    """Compare as numbers where the wanted value is one, as words otherwise."""
    numbers = pd.to_numeric(values, errors="coerce")
    words = _words(values)
    met = pd.Series(False, index=values.index)
    for value in wanted:
        if isinstance(value, bool):
            met |= words.str.lower() == str(value).lower()
        elif isinstance(value, (int, float)):
            met |= numbers == float(value)
        else:
            met |= words == str(value)
    return met


def _words(values: pd.Series) -> pd.Series:
    """Return values as a person writes them: a whole number without its ``.0``."""
    return values.map(
        lambda value: f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
    ).astype("str")


def inside(numbers: FloatArray, ends: tuple[float | None, float | None]) -> BoolArray:
    """Say which numbers lie between two ends, both included; an end of None is open, and NaN lies nowhere."""
    low, high = ends
    return (numbers >= (-np.inf if low is None else low)) & (numbers <= (np.inf if high is None else high))
