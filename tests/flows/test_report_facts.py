"""What is kept with a batch for its report: the newest fact, counts by group, what changed since the batch before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.tables import CrmTables
from flows.report_facts import _counted, newest_fact
from tests.features.builders import SALES_STAGES, make_tables

AS_OF = pd.Timestamp("2026-01-05T00:00:00Z")


def tables(*, activity: str) -> CrmTables:
    return make_tables(
        stages=SALES_STAGES,
        contacts=[{"contact_id": "c1", "created_at": pd.Timestamp("2025-11-01T00:00:00Z")}],
        activities=[
            {"activity_id": "a1", "contact_id": "c1", "type": "call", "occurred_at": pd.Timestamp(activity)},
        ],
    )


def test_the_newest_fact_is_the_last_one_that_was_known_before_the_as_of() -> None:
    assert newest_fact(tables(activity="2026-01-03T08:00:00Z"), as_of=AS_OF) == pd.Timestamp("2026-01-03T08:00:00Z")
    later = tables(activity="2026-01-05T00:00:00Z")
    assert newest_fact(later, as_of=AS_OF) == pd.Timestamp("2025-11-01T00:00:00Z")


def test_without_any_fact_there_is_no_newest_one() -> None:
    assert newest_fact(make_tables(stages=SALES_STAGES), as_of=AS_OF) is None


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
