"""The season of an as-of: month and weekday, in UTC."""

from __future__ import annotations

from typing import Final

import numpy as np

from features.contact_features import Column
from features.visibility import MICROSECONDS_PER_DAY, Int64Array

MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def season(as_of: Int64Array) -> dict[str, Column]:
    """Return month and weekday of each as-of as codes of ``MONTHS`` and ``WEEKDAYS``."""
    month = as_of.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12
    # 1 January 1970 was a Thursday.
    weekday = (as_of // MICROSECONDS_PER_DAY + 3) % 7
    return {"month": month.astype(np.float64), "weekday": weekday.astype(np.float64)}
