"""The test drive, on a market whose winners are easy to tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.rules.past import NoPastError, Past, labelled_past, weekly_rows
from models.rules.sheet import PointRules
from models.rules.trial import Trial, points_at_share, try_rules
from models.rules.words import conclusions
from tests.features.builders import SALES_STAGES, make_tables
from tests.models.market import END, make_market, make_settings

SETTINGS = make_settings()
DEMO = {"name": "Asked for a demo", "activity": "demo_request", "within_days": 60, "points": 30}
TOYS = {"name": "Toys", "property": "industry", "is": "toys", "points": 10}
FAIR = {"name": "Met at a fair", "activity": "trade_fair", "points": 50}
SHIPS = {"name": "Ships", "property": "industry", "is": "ships", "points": 5}
SILENT = {"name": "Silent", "inactive_days": 60, "points": -15}


def sheet(*engagement: Mapping[str, Any], fit: tuple[Mapping[str, Any], ...] = (TOYS,), **more: Any) -> PointRules:
    return PointRules.model_validate(
        {"fit": {"cap": 20, "criteria": fit}, "engagement": {"cap": 40, "criteria": engagement}, **more}
    )


GOOD = sheet(DEMO, SILENT, thresholds={"mql": 30})
BAD = sheet({**DEMO, "points": -30}, {**SILENT, "points": 15}, thresholds={"mql": 15})


@pytest.fixture(scope="module")
def past() -> Past:
    return labelled_past(tables=make_market(contacts=400), as_of=END, settings=SETTINGS)


@pytest.fixture(scope="module")
def trial(past: Past) -> Trial:
    return drive(past, good=GOOD, bad=BAD, calls=20)


def drive(past: Past, *, calls: float | None = None, **sheets: PointRules) -> Trial:
    return try_rules(past=past, sheets=sheets, calls_a_week=calls, replicates=40, seed=1)


def test_capacity_is_the_share_of_the_list_that_so_many_calls_reach(past: Past, trial: Trial) -> None:
    weeks = (past.until - past.since) / pd.Timedelta(days=7)

    assert trial.share == pytest.approx(20 * weeks / len(past.won))
    assert trial.calls_a_week == pytest.approx(20)
    assert past.share_called(1e9) == 1.0
    assert drive(past, good=GOOD).share == 0.2


def test_a_good_sheet_is_shown_as_good_and_a_bad_one_as_bad(trial: Trial) -> None:
    said = "\n".join(conclusions(trial))

    assert "good: over the whole list it puts later buyers first" in said
    assert "bad: over the whole list it puts later buyers last, which is worse than a random list" in said
    assert "good against bad on the same contacts: good is better" in said
    assert trial.order.metrics["good"]["lift"].low > 1.0
    assert trial.order.metrics["bad"]["lift"].high < 1.0


def test_points_that_say_nothing_are_no_better_than_chance(past: Past) -> None:
    said = conclusions(drive(past, coin=sheet(fit=({**TOYS, "points": 10},))))

    assert "coin: no better than a random list" in said[0]


def test_two_like_sheets_are_told_apart_by_chance_only(past: Past) -> None:
    said = conclusions(drive(past, one=GOOD, two=GOOD))

    assert "one against two on the same contacts: may be chance (AUC +0.000" in said[-1]


def test_outcomes_are_three_and_add_up(past: Past, trial: Trial) -> None:
    good = trial.sheets[0]

    assert [one.outcome for one in good.spreads] == ["won", "lost", "open"]
    assert sum(one.rows for one in good.spreads) == trial.rows == len(past.won)
    assert good.spreads[0].rows == past.won.sum()
    assert not np.any(past.lost & (past.won == 1.0))
    won, _, undecided = (one.quantiles[2] for one in good.spreads)
    assert won > undecided


def test_grades_hold_everybody_once_with_the_rate_of_each(past: Past, trial: Trial) -> None:
    good = trial.sheets[0]

    assert sum(one.rows for one in good.cells) == trial.rows
    assert sum(one.rows * one.rate.value for one in good.cells if one.rows) == pytest.approx(past.won.sum())
    best = max((one for one in good.cells if one.rows > 20), key=lambda one: one.rate.value)
    assert best.grade[1] == "1"
    assert best.rate.low <= best.rate.value <= best.rate.high


def test_each_criterion_is_told_with_who_won_where_it_held(past: Past) -> None:
    records = {one.name: one for one in drive(past, good=sheet(DEMO, FAIR, fit=(TOYS, SHIPS))).sheets[0].criteria}

    demo = records["Asked for a demo"]
    assert demo.rate_held > 3 * demo.rate_not
    assert records["Toys"].judged == 1.0
    assert records["Ships"].held == 0
    assert records["Ships"].left_out is None
    assert records["Met at a fair"].judged == 0.0
    assert records["Met at a fair"].left_out == "no activity of kind 'trade_fair' in the tables"


def test_what_never_held_or_cannot_be_replayed_is_said(past: Past) -> None:
    said = "\n".join(conclusions(drive(past, good=sheet(DEMO, FAIR, fit=(SHIPS,)))))

    assert "'Ships' never held" in said
    assert "'Met at a fair' cannot be replayed" in said


def test_a_learnt_sheet_is_said_to_know_this_past(past: Past) -> None:
    later, earlier = (
        "\n".join(conclusions(drive(past, suggested=sheet(DEMO, learned_until=until))))
        for until in ("2025-12-01T00:00:00Z", "2024-01-01T00:00:00Z")
    )

    assert "suggested was learnt from outcomes until 2025-12-01, which are among these" in later
    assert "learnt" not in earlier


def test_a_threshold_that_sends_more_than_can_be_called_is_said(past: Past) -> None:
    said = "\n".join(conclusions(drive(past, good=GOOD, calls=0.5)))

    assert "MQL at 30 points sends" in said
    assert "more than the 0.5 you can call" in said


def test_the_trial_can_be_written_as_json(trial: Trial) -> None:
    content = json.loads(json.dumps(trial.to_dict(), allow_nan=False))

    assert content["sheets"][0]["name"] == "good"
    assert content["order"]["differences"]["good"]["auc"]["low"] > 0
    assert content["since"].endswith("+00:00")


def test_the_edge_of_a_list_is_where_the_share_ends() -> None:
    points = np.array([50.0, 40, 30, 20, 10])

    assert [points_at_share(points, share=share) for share in (0.0, 0.2, 0.4, 0.5, 1.0)] == [50, 50, 40, 30, 10]


def weekly_market() -> CrmTables:
    """Three contacts from January on; anna and ben ask for demos, anna wins in June, ben loses, cleo comes late."""
    return make_tables(
        contacts=[
            {"contact_id": "anna", "industry": "toys"},
            {"contact_id": "ben", "industry": "tools"},
            {"contact_id": "cleo", "created_at": "2024-06-01T00:00:00Z", "industry": "toys"},
        ],
        activities=[
            {"contact_id": "anna", "type": "demo_request", "occurred_at": "2024-05-02T00:00:00Z"},
            {"contact_id": "ben", "type": "demo_request", "occurred_at": "2024-02-01T00:00:00Z"},
            {"contact_id": "ben", "type": "demo_request", "occurred_at": "2024-07-03T00:00:00Z"},
            {"contact_id": "cleo", "type": "demo_request", "occurred_at": "2024-07-04T00:00:00Z"},
        ],
        deals=[
            {"deal_id": "d1", "created_at": "2024-06-05T00:00:00Z", "amount": 500},
            {"deal_id": "d2", "created_at": "2024-02-10T00:00:00Z"},
            {"deal_id": "d3", "created_at": "2024-06-01T00:00:00Z"},
        ],
        deal_contacts=[
            {"deal_id": "d1", "contact_id": "anna"},
            {"deal_id": "d2", "contact_id": "ben"},
            {"deal_id": "d3", "contact_id": "cleo"},
        ],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2024-06-05T00:00:00Z"},
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-06-20T00:00:00Z"},
            {"deal_id": "d2", "stage": "demo", "entered_at": "2024-02-10T00:00:00Z"},
            {"deal_id": "d2", "stage": "lost", "entered_at": "2024-03-01T00:00:00Z"},
            {"deal_id": "d3", "stage": "demo", "entered_at": "2024-06-01T00:00:00Z"},
            {"deal_id": "d3", "stage": "won", "entered_at": "2024-09-01T00:00:00Z"},
        ],
        stages=SALES_STAGES,
    )


@pytest.fixture(scope="module")
def small() -> Past:
    return labelled_past(tables=weekly_market(), as_of=pd.Timestamp("2024-10-01T00:00:00Z"), settings=SETTINGS)


def test_thresholds_send_a_contact_once_each_time_it_reaches_them(small: Past) -> None:
    trial = drive(small, good=sheet(DEMO, thresholds={"mql": 30, "sql": 40}))

    # Ben reaches 30 in February and again in July, Anna in May and Cleo in July reach 40 with their toys.
    sent = {one.threshold: one for one in trial.sheets[0].sent}
    steps = weekly_rows(small).count - 1
    assert sent["MQL"].per_week == pytest.approx(4 / steps)
    assert sent["SQL"].per_week == pytest.approx(2 / steps)
    # Ben and Cleo both reach it in the first week of July.
    assert sent["MQL"].busiest == 2
    # Of the two whose ninety days are over by October (Ben's first time, and Anna's), one won.
    assert sent["MQL"].per_sent.value == pytest.approx(1 / 2)


def test_won_deals_that_scored_low_are_listed_with_what_they_had(small: Past) -> None:
    low = drive(small, good=sheet(DEMO, fit=(TOYS,), thresholds={"mql": 35})).sheets[0].won_low

    # Anna had 40 when hers opened. Cleo came with hers, so nobody could have scored her before.
    assert (low.deals, low.seen_before, low.low) == (2, 1, 0)

    low = drive(small, good=sheet(DEMO, fit=(TOYS,), thresholds={"mql": 45})).sheets[0].won_low

    assert (low.deals, low.seen_before, low.low) == (2, 1, 1)
    case = low.cases[0]
    assert (case.deal_id, case.contact_id, case.points, case.amount) == ("d1", "anna", 40, 500)
    assert case.log == (("Asked for a demo", 30.0), ("Toys", 10.0))
    assert case.opened_at.date().isoformat() == "2024-06-05"


def test_high_scorers_that_never_bought_are_listed_with_where_they_stand(small: Past) -> None:
    high = drive(small, good=sheet({**DEMO, "within_days": 200}, thresholds={"mql": 30})).sheets[0].never_bought

    # Anna and, in September, Cleo bought.
    assert (high.never_bought, [one.contact_id for one in high.cases]) == (1, ["ben"])
    assert (high.cases[0].points, high.cases[0].stands) == (30, "a deal was lost")


def test_a_past_can_begin_later(small: Past) -> None:
    later = labelled_past(
        tables=weekly_market(),
        as_of=small.as_of,
        settings=SETTINGS,
        since=pd.Timestamp("2024-05-01T00:00:00Z"),
    )

    assert later.snapshots["as_of"].min() >= pd.Timestamp("2024-05-01T00:00:00Z")
    assert len(later.won) < len(small.won)


@pytest.mark.parametrize(
    ("as_of", "since", "told"),
    [
        ("2023-12-01", None, "no contact was created before"),
        ("2024-02-01", None, "shorter than the horizon of 90 days"),
        ("2024-10-01", "2024-08-01", "shorter than the horizon"),
        ("2024-05-15", None, "none of the 2 contacts seen from 2024-01-01 to 2024-02-15 won"),
    ],
)
def test_without_a_past_there_is_nothing_to_try(as_of: str, since: str | None, told: str) -> None:
    with pytest.raises(NoPastError, match=told):
        labelled_past(
            tables=weekly_market(),
            as_of=pd.Timestamp(as_of, tz="UTC"),
            settings=SETTINGS,
            since=None if since is None else pd.Timestamp(since, tz="UTC"),
        )
