"""The season of an as-of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.season import MONTHS, WEEKDAYS, season
from features.visibility import instant


@pytest.mark.parametrize(
    ("time", "month", "weekday"),
    [
        ("2024-02-29T23:59:59Z", "February", "Thursday"),
        ("2024-03-01T00:30:00+01:00", "February", "Thursday"),  # UTC counts
        ("2025-12-31T00:00:00Z", "December", "Wednesday"),
        ("2025-02-28T12:00:00Z", "February", "Friday"),
        ("1969-12-31T12:00:00Z", "December", "Wednesday"),
    ],
)
def test_month_and_weekday_are_those_of_the_as_of_in_any_year(time: str, month: str, weekday: str) -> None:
    found = season(np.array([instant(pd.Timestamp(time))]))

    assert MONTHS[int(found["month"][0])] == month
    assert WEEKDAYS[int(found["weekday"][0])] == weekday
