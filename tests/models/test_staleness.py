"""Deals that are open for much longer than any that was won are told apart, with the odds that were seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.episodes import Timelines, build_timelines
from features.tables import CrmTables
from features.visibility import instant
from models.deal_scoring import deal_population
from models.staleness import StaleLimit, Staleness, fit_staleness, open_days
from tests.features.builders import SALES_STAGES, make_tables

NOW = pd.Timestamp("2026-01-01", tz="UTC")


def make_deals(*, winners: int = 20) -> CrmTables:
    """Deals won after 10, 11, ... days; one lost after 80 days, one open for 100, one for 5."""
    lengths = [(f"w{at:02d}", 10 + at, "won") for at in range(winners)]
    deals, history = [], []
    for deal, days, outcome in [*lengths, ("lost", 80, "lost"), ("old", 100, None), ("new", 5, None)]:
        opened = NOW - pd.Timedelta(days=days if outcome is None else 200)
        deals.append({"deal_id": deal, "created_at": opened, "pipeline": "sales"})
        history.append({"deal_id": deal, "stage": "demo", "entered_at": opened})
        if outcome is not None:
            history.append({"deal_id": deal, "stage": outcome, "entered_at": opened + pd.Timedelta(days=days)})
    return make_tables(deals=deals, deal_stage_history=history, stages=SALES_STAGES)


def fit(timelines: Timelines) -> Staleness:
    return fit_staleness(timelines=timelines, cutoff=instant(NOW), factor=2.0)


def test_the_limit_is_a_multiple_of_the_slowest_win_with_the_odds_beyond_it() -> None:
    found = fit(build_timelines(make_deals()))

    # The slowest of twenty wins took 29 days; the lost and the old one were open for more than 58, and none was won.
    assert found.shared == StaleLimit(days=58.0, slowest_won_days=29.0, deals=2, won=0)
    assert found.pipelines == {"sales": found.shared}


def test_with_few_wins_nothing_is_called_stale() -> None:
    found = fit(build_timelines(make_deals(winners=19)))

    assert found == Staleness()
    assert np.isinf(found.limit_days(np.array(["sales"], dtype=object))).all()


def test_a_pipeline_with_few_wins_shares_the_limit_of_all() -> None:
    limit = StaleLimit(days=50.0, slowest_won_days=25.0, deals=3, won=0)
    found = Staleness(pipelines={"quick": limit.model_copy(update={"days": 10.0})}, shared=limit)

    assert found.limit_days(np.array(["quick", "young"], dtype=object)).tolist() == [10.0, 50.0]


def test_a_stale_deal_is_listed_with_its_stage_and_the_reason_instead_of_a_score() -> None:
    tables = make_deals()

    listed = deal_population(tables=tables, as_of=NOW, staleness=fit(build_timelines(tables))).set_index("deal_id")

    assert set(listed.index) == {"old", "new"}
    assert listed.loc["new", "not_scored"] is None or pd.isna(listed.loc["new", "not_scored"])
    assert listed.loc["old", "not_scored"] == (
        "stale: open for 100 days, and the slowest deal that was won took 29; of 2 deals that were ever open for more "
        "than 58 days 0 were won"
    )
    assert (listed.loc["old", "in_pipeline"], listed.loc["old", "in_stage"]) == ("sales", "demo")


def test_a_reopened_deal_is_as_old_as_its_last_opening() -> None:
    opened = NOW - pd.Timedelta(days=90)
    history = [
        {"deal_id": "d", "stage": "demo", "entered_at": opened},
        {"deal_id": "d", "stage": "lost", "entered_at": opened + pd.Timedelta(days=20)},
        {"deal_id": "d", "stage": "demo", "entered_at": opened + pd.Timedelta(days=60)},
    ]
    tables = make_tables(
        deals=[{"deal_id": "d", "created_at": opened, "pipeline": "sales"}],
        deal_stage_history=history,
        stages=SALES_STAGES,
    )

    age = open_days(timelines=build_timelines(tables), deals=np.array([0]), as_of=np.array([instant(NOW)]))

    assert age == pytest.approx([30.0])
