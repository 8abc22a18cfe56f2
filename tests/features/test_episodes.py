"""Stage timelines and closings: what moves a deal, what closes it, and when a win is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.episodes import LOST, OPEN, WON, Closings, Tally, Timelines, build_timelines, contact_wins
from features.labels import closing_within, won_within
from features.snapshots import open_intervals
from features.visibility import NEVER, instant, microseconds
from tests.features.builders import SALES_STAGES, make_tables

RENEWAL_STAGES = (
    {"pipeline": "renewal", "stage": "check", "label": "Won!", "position": 1, "outcome": "open"},
    {"pipeline": "renewal", "stage": "closed", "label": "Lost it", "position": 2, "outcome": "won"},
    {"pipeline": "renewal", "stage": "demo", "label": "Demo", "position": 3, "outcome": "lost"},
)


def at(time: str) -> pd.Timestamp:
    return pd.Timestamp(time, tz="UTC")


def timelines_of(*entries: tuple[str, str] | tuple[str, str, str], pipeline: str = "sales") -> Timelines:
    """Build the timeline of deal d1 from (stage, entered at, known at)."""
    history = [
        {"deal_id": "d1", "stage": stage, "entered_at": entered, "known_at": (*known, None)[0]}
        for stage, entered, *known in entries
    ]
    return build_timelines(
        make_tables(
            deals=[{"pipeline": pipeline, "created_at": "2023-01-01T00:00Z"}],
            deal_stage_history=history,
            stages=[*SALES_STAGES, *RENEWAL_STAGES],
        )
    )


def stages_of(timelines: Timelines) -> list[str]:
    return [str(timelines.stages["stage"].iloc[row]) for row in timelines.stage]


def closings_of(timelines: Timelines) -> list[tuple[int, str]]:
    times = pd.to_datetime(timelines.closings.stream.times, unit="us")
    return list(zip(timelines.closings.outcome.tolist(), times.strftime("%Y-%m-%d"), strict=True))


def label_at(timelines: Timelines, as_of: str, *, days: float) -> float:
    """Label deal d1 at one as-of, long after everything is over."""
    label = won_within(
        wins=timelines.closings,
        objects=np.array([0]),
        as_of=pd.Series([at(as_of)]),
        days=days,
        known_until=at("2030-01-01"),
    )
    return float(label[0])


def test_reopened_deal_is_a_new_episode_with_an_outcome_of_its_own() -> None:
    timelines = timelines_of(
        ("demo", "2024-01-01T00:00Z"),
        ("lost", "2024-02-01T00:00Z"),
        ("offer", "2024-03-01T00:00Z"),
        ("won", "2024-04-01T00:00Z"),
    )

    outcome, waited = closing_within(
        closings=timelines.closings,
        objects=np.array([0, 0]),
        as_of=pd.Series([at("2024-01-22"), at("2024-03-02")]),
        days=365,
    )

    assert outcome.tolist() == [LOST, WON]
    assert waited.tolist() == [10.0, 30.0]
    assert label_at(timelines, "2024-01-22", days=365) == 0.0
    assert label_at(timelines, "2024-03-02", days=365) == 1.0
    _, opened, closed = open_intervals(timelines)
    assert opened.tolist() == [instant(at("2024-01-01")), instant(at("2024-03-01"))]
    assert closed.tolist() == [instant(at("2024-02-01")), instant(at("2024-04-01"))]


@pytest.mark.parametrize(
    ("taken_back", "label"),
    [("2024-02-01T15:00:00Z", 0.0), ("2024-02-02T12:00:00Z", 0.0), ("2024-02-02T12:00:00.000001Z", 1.0)],
)
def test_win_taken_back_within_a_day_the_last_instant_included_is_none(taken_back: str, label: float) -> None:
    timelines = timelines_of(("demo", "2024-01-01T00:00Z"), ("won", "2024-02-01T12:00:00Z"), ("offer", taken_back))

    assert label_at(timelines, "2024-01-15", days=90) == label


def test_loss_after_a_win_taken_back_is_the_outcome() -> None:
    timelines = timelines_of(("demo", "2024-01-01T00:00Z"), ("won", "2024-02-01T12:00Z"), ("lost", "2024-02-01T13:00Z"))

    outcome, _ = closing_within(
        closings=timelines.closings, objects=np.array([0]), as_of=pd.Series([at("2024-01-15")]), days=90
    )

    assert outcome.tolist() == [LOST]


def test_win_taken_back_after_the_end_of_the_horizon_stays_a_win_for_that_label() -> None:
    # the horizon ends on 1 February at noon: after the win at 11:00, before its undoing at 13:00
    timelines = timelines_of(("demo", "2024-01-01T00:00Z"), ("won", "2024-02-01T11:00Z"), ("demo", "2024-02-01T13:00Z"))

    assert label_at(timelines, "2024-01-22T12:00", days=10) == 1.0
    assert label_at(timelines, "2024-01-22T13:00", days=10) == 1.0
    assert label_at(timelines, "2024-01-22T13:01", days=10) == 0.0


def test_win_that_moves_on_through_another_won_stage_is_one_win_and_undone_as_one() -> None:
    stages = [*SALES_STAGES, {"pipeline": "sales", "stage": "signed", "label": "S", "position": 5, "outcome": "won"}]
    history = [("demo", "2024-01-01T00:00Z"), ("won", "2024-02-01T10:00Z"), ("signed", "2024-02-01T11:00Z")]

    def closings(*entries: tuple[str, str]) -> Closings:
        rows = [{"deal_id": "d1", "stage": stage, "entered_at": entered} for stage, entered in entries]
        return build_timelines(make_tables(deals=[{}], deal_stage_history=rows, stages=stages)).closings

    stands, undone = closings(*history), closings(*history, ("demo", "2024-02-01T12:00Z"))

    assert stands.outcome.tolist() == undone.outcome.tolist() == [WON]
    assert stands.undone_at.tolist() == [NEVER]
    assert undone.undone_at.tolist() == [instant(at("2024-02-01T12:00"))]


def test_deal_lost_and_then_won_without_being_reopened_is_won_all_the_same() -> None:
    timelines = timelines_of(("demo", "2024-01-01T00:00Z"), ("lost", "2024-02-01T00:00Z"), ("won", "2024-03-01T00:00Z"))

    assert closings_of(timelines) == [(LOST, "2024-02-01"), (WON, "2024-03-01")]


def test_reentry_of_the_stage_the_deal_is_in_is_no_entry() -> None:
    timelines = timelines_of(
        ("demo", "2024-01-01T00:00Z"),
        ("demo", "2024-01-05T00:00Z"),
        ("offer", "2024-01-09T00:00Z"),
        ("demo", "2024-01-12T00:00Z"),
    )

    assert stages_of(timelines) == ["demo", "offer", "demo"]
    assert timelines.stream.times[0] == instant(at("2024-01-01"))


def test_older_entry_known_late_does_not_move_the_deal_back() -> None:
    timelines = timelines_of(
        ("demo", "2024-01-01T00:00Z"),
        ("lost", "2024-01-03T00:00Z", "2024-02-01T00:00Z"),
        ("offer", "2024-01-05T00:00Z"),
    )

    assert stages_of(timelines) == ["demo", "offer"]


def test_entry_known_late_moves_the_deal_when_it_is_known() -> None:
    timelines = timelines_of(("demo", "2024-01-01T00:00Z"), ("won", "2024-01-03T00:00Z", "2024-02-01T00:00Z"))

    assert closings_of(timelines) == [(WON, "2024-02-01")]


def test_entries_that_became_known_together_are_taken_in_the_order_in_which_they_happened() -> None:
    timelines = timelines_of(
        ("won", "2024-01-09T00:00Z", "2024-02-01T00:00Z"),
        ("demo", "2024-01-01T00:00Z", "2024-02-01T00:00Z"),
        ("offer", "2024-01-05T00:00Z", "2024-02-01T00:00Z"),
    )

    assert stages_of(timelines) == ["demo", "offer", "won"]
    assert set(timelines.stream.times) == {instant(at("2024-02-01"))}


def test_no_entry_counts_before_its_deal_was_created() -> None:
    timelines = timelines_of(("demo", "2022-06-01T00:00Z"), ("offer", "2023-02-01T00:00Z"))

    assert timelines.stream.times.tolist() == [instant(at("2023-01-01")), instant(at("2023-02-01"))]


def test_stage_of_another_pipeline_is_looked_up_there_if_only_one_has_it() -> None:
    # sales does not know "check" (renewal does), nobody knows "nowhere"
    timelines = timelines_of(
        ("check", "2024-01-01T00:00Z"), ("nowhere", "2024-01-02T00:00Z"), ("closed", "2024-01-03T00:00Z")
    )

    assert stages_of(timelines) == ["check", "closed"]
    assert timelines.outcome.tolist() == [OPEN, WON]


def test_stage_known_in_the_own_pipeline_and_elsewhere_means_the_own() -> None:
    assert timelines_of(("demo", "2024-01-01T00:00Z"), pipeline="sales").outcome.tolist() == [OPEN]
    assert timelines_of(("demo", "2024-01-01T00:00Z"), pipeline="renewal").outcome.tolist() == [LOST]


def test_stage_that_several_other_pipelines_have_is_left_out() -> None:
    assert stages_of(timelines_of(("demo", "2024-01-01T00:00Z"), pipeline="third")) == []


def test_won_comes_from_the_outcome_and_not_from_the_name() -> None:
    # renewal calls its open stage "Won!" and its won one "closed, Lost it"
    timelines = timelines_of(("check", "2024-01-01T00:00Z"), ("closed", "2024-01-08T00:00Z"), pipeline="renewal")

    assert closings_of(timelines) == [(WON, "2024-01-08")]


def test_deal_created_directly_in_won_is_a_win_without_an_open_interval() -> None:
    timelines = timelines_of(("won", "2024-01-01T00:00Z"))

    deal, _, _ = open_intervals(timelines)

    assert len(deal) == 0
    assert closings_of(timelines) == [(WON, "2024-01-01")]


def test_deal_that_is_still_open_has_an_interval_without_an_end() -> None:
    deal, opened, closed = open_intervals(timelines_of(("demo", "2024-01-01T00:00Z"), ("offer", "2024-01-05T00:00Z")))

    assert deal.tolist() == [0]
    assert opened.tolist() == [instant(at("2024-01-01"))]
    assert closed.tolist() == [NEVER]


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"deal_stage_history": [{"deal_id": "d1"}]},
        {"deals": [{}], "stages": SALES_STAGES},
        {"deals": [{}], "deal_stage_history": [{"deal_id": "d1"}]},
    ],
)
def test_tables_without_deals_history_or_stages_give_no_entry(tables: Mapping[str, Any]) -> None:
    timelines = build_timelines(make_tables(**tables))

    assert len(timelines.stage) == 0
    assert len(timelines.closings.outcome) == 0
    assert all(len(part) == 0 for part in open_intervals(timelines))


def wins_of_two_contacts() -> tuple[Closings, pd.Index]:
    """c1 takes part in d1 (won in March) and d2 (lost), c2 in d1 and d3 (a win taken back)."""
    tables = make_tables(
        contacts=[{}, {}],
        deals=[{}, {}, {}],
        deal_contacts=[
            {"deal_id": "d1", "contact_id": "c1"},
            {"deal_id": "d1", "contact_id": "c2"},
            {"deal_id": "d2", "contact_id": "c1"},
            {"deal_id": "d3", "contact_id": "c2"},
            {"deal_id": "d1", "contact_id": "stranger"},
        ],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-03-01T00:00Z"},
            {"deal_id": "d2", "stage": "lost", "entered_at": "2024-02-01T00:00Z"},
            {"deal_id": "d3", "stage": "won", "entered_at": "2024-02-01T00:00Z"},
            {"deal_id": "d3", "stage": "demo", "entered_at": "2024-02-01T08:00Z"},
        ],
        stages=SALES_STAGES,
    )
    ids = pd.Index(tables["contacts"]["contact_id"])
    return contact_wins(tables=tables, timelines=build_timelines(tables), contact_ids=ids), ids


def test_wins_of_a_contact_are_those_of_all_its_deals() -> None:
    wins, _ = wins_of_two_contacts()

    assert np.diff(wins.stream.starts).tolist() == [1, 2]
    assert wins.outcome.tolist() == [WON, WON, WON]
    assert (
        wins.stream.times.tolist()
        == microseconds(pd.Series([at("2024-03-01"), at("2024-02-01"), at("2024-03-01")])).tolist()
    )
    assert wins.undone_at.tolist() == [NEVER, instant(at("2024-02-01T08:00")), NEVER]


def test_first_standing_closing_passes_over_one_that_was_taken_back_and_looks_no_further_than_the_end() -> None:
    wins, _ = wins_of_two_contacts()
    start, march = instant(at("2024-01-01")), instant(at("2024-03-01"))

    outcome, closed = wins.first_standing(
        objects=np.array([1, 1, 0, -1]), start=np.full(4, start), end=np.array([march + 1, march, march, march + 1])
    )

    assert outcome.tolist() == [WON, OPEN, OPEN, OPEN]
    assert closed.tolist() == [march, NEVER, NEVER, NEVER]


def test_tally_counts_a_win_taken_back_only_until_then() -> None:
    wins, _ = wins_of_two_contacts()
    tally = Tally(closings=wins, groups=np.array([0, 1, 1]), group_count=2)
    moments = ["2024-02-01T00:00", "2024-02-01T08:00", "2024-02-01T08:01", "2024-03-02"]

    won, lost = tally.at(groups=np.full(4, 1), as_of=np.array([instant(at(moment)) for moment in moments]))

    assert won.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert lost.tolist() == [0.0, 0.0, 0.0, 0.0]
