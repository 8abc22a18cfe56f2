"""Bad input: each kind of it has a stated answer (docs/features.md), and here it is given."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.contracts import validate
from features.discounting import Discount
from features.feature_contract import FeatureContract, FeatureSettings, learn_contract
from features.matrix import build_matrix
from features.properties import PropertySettings
from features.tables import CrmTables
from tests.features.builders import DEFAULT_TIME, make_frame, make_tables

AS_OF = "2024-03-01T00:00:00Z"
SETTINGS = FeatureSettings(windows_days=(7, 28), half_lives_days=(7,), min_level_count=1)

CALLS = [
    {"type": "call", "contact_id": "c1", "occurred_at": "2024-02-25T10:00:00Z"},
    {"type": "email", "contact_id": "c1", "occurred_at": "2024-02-10T10:00:00Z"},
]


def tables_of(activities: Any) -> CrmTables:
    return make_tables(contacts=[{"created_at": DEFAULT_TIME}] * 2, deals=[{}], activities=activities)


def learn(tables: CrmTables, settings: FeatureSettings = SETTINGS) -> FeatureContract:
    return learn_contract(question="contacts", tables=tables, settings=settings, properties=PropertySettings())[0]


def row_of(tables: CrmTables, contract: FeatureContract | None = None, *, as_of: str = AS_OF) -> pd.Series:
    snapshots = pd.DataFrame({"contact_id": ["c1"], "as_of": [pd.Timestamp(as_of)]})
    return build_matrix(tables=tables, snapshots=snapshots, contract=contract or learn(tables)).features.iloc[0]


def assert_same_row(activities: Any) -> None:
    """Compare with the calls alone, under the contract learnt from them."""
    contract = learn(tables_of(CALLS))
    pd.testing.assert_series_equal(row_of(tables_of(activities), contract), row_of(tables_of(CALLS), contract))


def test_activities_of_unknown_contacts_and_deals_change_nothing() -> None:
    stranger = {"type": "call", "contact_id": "nobody", "occurred_at": "2024-02-28T00:00Z"}
    lost = {"type": "call", "deal_id": "nothing", "occurred_at": "2024-02-28T00:00Z"}

    assert_same_row([*CALLS, stranger, lost])


def test_unknown_kind_is_other_if_training_had_others_and_else_nothing() -> None:
    fax = {"type": "fax", "contact_id": "c1", "occurred_at": "2024-02-28T00:00Z"}
    with_others = learn(tables_of(CALLS), SETTINGS.model_copy(update={"max_kinds": 1}))

    assert_same_row([*CALLS, fax])
    assert row_of(tables_of([*CALLS, fax]), with_others)["other_total"] == 2  # the e-mail and the fax


@pytest.mark.parametrize("time", ["2024-03-02T00:00:00Z", "2400-01-01T00:00:00Z", AS_OF])
def test_what_happens_at_the_as_of_or_later_changes_nothing(time: str) -> None:
    assert_same_row([*CALLS, {"type": "call", "contact_id": "c1", "occurred_at": time}])


def test_what_happened_in_another_century_is_old_and_no_more() -> None:
    ancient = {"type": "call", "contact_id": "c1", "occurred_at": "1700-01-01T00:00:00Z"}

    plain, row = row_of(tables_of(CALLS)), row_of(tables_of([*CALLS, ancient]))

    changed = [name for name in row.index if not (row[name] == plain[name] or np.isnan([row[name], plain[name]]).all())]
    # it is one call more, and the first thing that ever happened, of the same kind as before: an e-mail came first
    assert set(changed) == {"call_total", "days_since_first", "first_kind"}
    assert row["days_since_first"] > 100_000


def test_duplicated_ids_break_the_contract_and_another_id_is_another_activity() -> None:
    twice = make_frame("activities", [{"activity_id": "a1", "contact_id": "c1"}] * 2)

    assert [(finding.code, finding.examples) for finding in validate("activities", twice)] == [
        ("duplicate-key", ("row 2: 'a1'",))
    ]
    assert row_of(tables_of([CALLS[0], CALLS[0]]))["call_total"] == 2


def test_clocks_of_several_zones_give_the_same_features() -> None:
    zones = ["2024-02-25T19:00:00+09:00", "2024-02-10T02:00:00-08:00"]

    assert_same_row([{**call, "occurred_at": time} for call, time in zip(CALLS, zones, strict=True)])


def test_the_hour_that_daylight_saving_repeats_is_two_hours() -> None:
    # in Berlin 02:30 came twice on 27 October 2024: first in summer time, an hour later in winter time
    rows = [
        {"type": "call", "contact_id": "c1", "occurred_at": f"2024-10-27T02:30:00+0{offset}:00"} for offset in (2, 1)
    ]
    tables = tables_of(rows)

    between = row_of(tables, as_of="2024-10-27T02:45:00+02:00")
    after = row_of(tables, as_of="2024-10-27T02:45:00+01:00")

    assert (between["call_total"], after["call_total"]) == (1, 2)
    assert after["days_since_call"] * 24 * 60 == pytest.approx(15)


def test_window_over_the_change_to_summer_time_is_as_long_as_any_other() -> None:
    # seven days before noon (UTC) on 5 April is noon (UTC) on 29 March, whatever Berlin's clocks did on the 31st
    rows = [
        {"type": "call", "contact_id": "c1", "occurred_at": time}
        for time in ("2024-03-29T13:00:00+01:00", "2024-03-29T12:59:59+01:00")
    ]

    assert row_of(tables_of(rows), as_of="2024-04-05T14:00:00+02:00")["call_7d"] == 1


def test_names_of_activities_are_never_kinds() -> None:
    named = [
        {"type": "page_view", "name": f"page {number}", "contact_id": "c1", "occurred_at": f"2024-02-{day:02d}T00:00Z"}
        for day in range(1, 11)
        for number in (day, day + 10)
    ]

    contract = learn(tables_of(named))

    assert contract.kinds == ("page_view",)
    assert [name for name in contract.names if "page 1" in name] == []


def test_ten_thousand_kinds_become_the_most_frequent_and_other() -> None:
    kinds = [f"kind {number:05d}" for number in range(10_000)]
    rows = pd.DataFrame(
        {
            "activity_id": [f"a{number}" for number in range(10_001)],
            "contact_id": ["c1"] * 10_000 + ["c2"],
            "type": [*kinds, "kind 07777"],
            "occurred_at": pd.date_range("2022-01-01", periods=10_001, freq="h", tz="UTC"),
        }
    )
    began = process_time()

    contract = learn(tables_of(rows), SETTINGS.model_copy(update={"max_kinds": 2}))
    row = row_of(tables_of(rows), contract)

    assert contract.kinds == ("kind 00000", "kind 07777", "other")
    assert row["other_total"] == 9_998
    assert process_time() - began < 10


def test_a_bot_is_capped_to_so_many_activities_a_day() -> None:
    bot = pd.DataFrame({"occurred_at": pd.date_range("2024-02-28", periods=3000, freq="28s", tz="UTC")})
    bot = bot.assign(activity_id=[f"a{row}" for row in range(3000)], contact_id="c1", type="call")
    settings = SETTINGS.model_copy(update={"discount": Discount(max_per_day=1000)})

    row = row_of(tables_of(bot), learn(tables_of(bot), settings))

    assert (row["call_total"], row["active_days_7d"]) == (1000, 1)


def seconds_for(bot: int, *, max_per_day: int) -> float:
    """Measure one contact with that many activities, looked at every day."""
    times = pd.Timestamp("2024-01-01T00:00Z") + pd.to_timedelta(np.arange(bot) * (60 * 86_400 / bot), unit="s")
    frame = make_frame("activities", [{"contact_id": "c1", "type": "call", "outcome": "held", "direction": "inbound"}])
    many = frame.loc[np.zeros(bot, dtype=int)].reset_index(drop=True).assign(occurred_at=times.as_unit("us"))
    small = tables_of([{"contact_id": "c1", "type": "call", "direction": "inbound"}])
    tables = CrmTables(frames={**small.frames, "activities": many}, absent=small.absent)
    contract = learn(small, SETTINGS.model_copy(update={"discount": Discount(max_per_day=max_per_day)}))
    days = pd.date_range("2024-01-02", periods=60, freq="D", tz="UTC").as_unit("us")
    snapshots = pd.DataFrame({"contact_id": "c1", "as_of": days})
    began = process_time()
    build_matrix(tables=tables, snapshots=snapshots, contract=contract)
    return process_time() - began


@pytest.mark.parametrize("max_per_day", [0, 1000])
def test_millions_of_activities_of_one_contact_take_time_in_proportion(max_per_day: int) -> None:
    seconds_for(1_000, max_per_day=max_per_day)  # compiles

    small, large = (min(seconds_for(bot, max_per_day=max_per_day) for _ in range(3)) for bot in (100_000, 800_000))

    # eight times as many; a method that looks at all activities for each snapshot's window would not hold either
    assert large < 20 * small
    assert large < 10


@pytest.mark.slow
def test_ten_million_activities_of_one_contact_take_seconds() -> None:
    seconds_for(1_000, max_per_day=1000)  # compiles

    assert seconds_for(10_000_000, max_per_day=1000) < 60


@pytest.mark.parametrize("known_at", ["2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_what_became_known_at_the_as_of_or_later_changes_nothing(known_at: str) -> None:
    assert_same_row(
        [*CALLS, {"type": "call", "contact_id": "c1", "occurred_at": "2024-02-20T00:00Z", "known_at": known_at}]
    )


def test_what_was_known_before_it_happened_counts_from_when_it_happened() -> None:
    # a meeting in the calendar, or a clock that is wrong
    assert_same_row(
        [{**call, "known_at": time} for call, time in zip(CALLS, ["1900-01-01", "2024-02-01"], strict=True)]
    )


def test_a_direction_nobody_knows_is_no_direction() -> None:
    both = [{**call, "direction": side} for call, side in zip(CALLS, ["inbound", "outbound"], strict=True)]
    strange = {"type": "call", "contact_id": "c1", "occurred_at": "2024-02-28T00:00Z", "direction": "sideways"}

    row = row_of(tables_of([*both, strange]))

    assert (row["call_total"], row["inbound_total"], row["outbound_total"]) == (2, 1, 1)
