from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.out_of_time import OutOfTime
from models.subgroups import UnknownColumnError, column_at, group_words, subgroups
from tests.features.builders import make_tables

DAY = pd.Timestamp("2026-01-01", tz="UTC")


def make_rows() -> OutOfTime:
    """Ten contacts, a snapshot each: the first five from toys, of whom two were won; the best fifth are c0 and c1."""
    return OutOfTime(
        question="contacts",
        snapshots=pd.DataFrame({"contact_id": [f"c{at}" for at in range(10)], "as_of": DAY}),
        y_obs=np.array([1.0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        weight=np.ones(10),
        objects=np.arange(10),
        scores={"model": np.array([0.9, 0.8, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])},
        segments={},
    )


TABLES = make_tables(
    contacts=[
        {"contact_id": f"c{at}", "created_at": DAY - pd.Timedelta(days=9), "industry": "toys" if at < 5 else "tools"}
        for at in range(10)
    ]
)


def test_rates_calibration_and_lift_by_a_column() -> None:
    toys, tools = subgroups(rows=make_rows(), tables=TABLES, column="industry")[::-1]

    assert (toys.value, toys.rows, toys.objects, toys.positives) == ("toys", 5, 5, 2)
    assert toys.observed == pytest.approx(2 / 5)
    assert toys.predicted == pytest.approx(2.4 / 5)
    # Both of the best fifth are among these five; one of the two was won, against two of five.
    assert toys.in_top == pytest.approx(2 / 5)
    assert toys.lift == pytest.approx((1 / 2) / (2 / 5))
    # Pairs won above lost: .9 beats .8, .2 and .2; .3 beats .2 and .2, and loses to .8.
    assert toys.auc == pytest.approx(5 / 6)
    # 1.96 x sqrt(.09 + .16 + .21 + .16 + .16) / 5
    assert toys.chance == pytest.approx(1.96 * np.sqrt(0.78) / 5, abs=1e-3)
    assert not toys.is_off
    assert (tools.observed, tools.in_top) == (0.0, 0.0)
    assert np.isnan(tools.lift)


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownColumnError, match=r"--by must name a column of contacts, found 'colour'.*industry"):
        column_at(rows=make_rows(), tables=TABLES, column="colour")


def test_numbers_become_quarters_and_rare_words_others() -> None:
    numbers = group_words(np.array([*range(20), None], dtype=object))
    words = group_words(np.array([*(f"w{at}" for at in range(12) for _ in range(2)), "rare", ""], dtype=object))

    assert sorted(set(numbers)) == ["0 to 4.75", "14.25 to 19", "4.75 to 9.5", "9.5 to 14.25", "missing"]
    assert list(numbers[[0, 4, 5, 19]]) == ["0 to 4.75", "0 to 4.75", "4.75 to 9.5", "14.25 to 19"]
    assert list(words[-2:]) == ["other", "missing"]
    assert words[0] == "w0"
