"""What is kept with a batch for its report: the newest fact, counts by group, what changed since the batch before."""

from __future__ import annotations

import numpy as np

from flows.report_facts import _counted


def test_todays_values_are_counted_by_the_words_that_the_test_knows() -> None:
    values = np.array(["web", "web", "fair", "brand new", None], dtype=object)
    probability = np.array([0.1, 0.3, 0.2, 0.4, 0.6])

    told = _counted(values, probability, known={"web", "fair", "other", "missing"})

    assert {one["value"]: (one["rows"], round(one["mean"], 9)) for one in told} == {
        "web": (2, 0.2),
        "fair": (1, 0.2),
        "other": (1, 0.4),
        "missing": (1, 0.6),
    }


def test_a_value_that_the_test_never_saw_stands_for_itself_where_there_are_no_others() -> None:
    told = _counted(np.array(["web", "new"], dtype=object), np.array([0.1, 0.2]), known={"web"})

    assert [one["value"] for one in told] == ["new", "web"]
