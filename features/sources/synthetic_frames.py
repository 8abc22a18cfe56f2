"""Turn the simulation's codes and seconds into columns of CRM tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.sources.synthetic_market import DAY_SECONDS, NONE, Integers
from features.tables import TIME_DTYPE

Words = npt.NDArray[np.object_]

OFFICE_SECONDS: Final = (8 * 3600, 18 * 3600)


def times(start: datetime, seconds: Integers) -> pd.Series:
    """Return instants; ``NONE`` seconds since the start is missing."""
    instants: pd.Series = pd.Series(_instants(start, seconds)).dt.tz_localize("UTC").astype(TIME_DTYPE)
    return instants


def iso_words(start: datetime, seconds: Integers) -> Words:
    """Return instants as ISO 8601 text, the way a property holds them; ``NONE`` is missing."""
    texts = np.char.add(np.datetime_as_string(_instants(start, seconds), unit="s"), "Z").astype(object)
    texts[seconds == NONE] = np.nan
    return texts


def words(labels: Sequence[str] | Words, codes: Integers) -> pd.Series:
    """Return the label of each code; ``NONE`` is missing."""
    return text(np.append(np.array(labels, dtype=object), np.nan)[codes])


def text(values: Iterable[object]) -> pd.Series:
    """Return words or missing values as a text column."""
    return pd.Series(values, dtype="str")


def office_seconds(days: Integers, rng: np.random.Generator) -> Integers:
    """Return a random second within office hours of each day, counted from the start of the history."""
    return days * DAY_SECONDS + rng.integers(*OFFICE_SECONDS, len(days))


@dataclass
class HistoryRows:
    """Values that properties took, gathered part by part."""

    start: datetime
    _parts: list[pd.DataFrame] = field(default_factory=list)

    def add(self, *, object_type: str, ids: Words, name: str, values: Iterable[object], seconds: Integers) -> None:
        """Add what one property of these objects became known as, and when."""
        part = pd.DataFrame({"object_id": text(ids), "value": text(values), "known_at": times(self.start, seconds)})
        self._parts.append(part.assign(object_type=text([object_type] * len(part)), property=text([name] * len(part))))

    def table(self) -> pd.DataFrame:
        """Return the table ``property_history``, in the order of time."""
        columns = ["object_type", "object_id", "property", "value", "known_at"]
        gathered = pd.concat(self._parts, ignore_index=True)
        return gathered.sort_values("known_at", kind="stable", ignore_index=True)[columns]


def _instants(start: datetime, seconds: Integers) -> npt.NDArray[np.datetime64]:
    origin = np.datetime64(start.replace(tzinfo=None), "us")
    instants = origin + seconds.astype("timedelta64[s]")
    instants[seconds == NONE] = np.datetime64("NaT")
    return instants
