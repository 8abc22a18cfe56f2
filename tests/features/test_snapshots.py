"""Snapshots: who is looked at when, from the id alone, and in the proportions of calendar time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from features.episodes import Closings, Timelines, build_timelines, contact_wins
from features.snapshots import SnapshotSettings, contact_snapshots, deal_snapshots, idle_days, is_customer
from features.tables import CrmTables
from features.visibility import instant
from tests.features.builders import SALES_STAGES, make_tables

SETTINGS = SnapshotSettings()


def at(time: str) -> pd.Timestamp:
    return pd.Timestamp(time, tz="UTC")


def wins_of(tables: CrmTables) -> Closings:
    ids = pd.Index(tables["contacts"]["contact_id"])
    return contact_wins(tables=tables, timelines=build_timelines(tables), contact_ids=ids)


def draw_contacts(
    tables: CrmTables, *, start: str = "2024-01-01", end: str = "2025-01-01", settings: SnapshotSettings = SETTINGS
) -> pd.DataFrame:
    return contact_snapshots(
        contacts=tables["contacts"],
        activities=tables["activities"],
        wins=wins_of(tables),
        start=at(start),
        end=at(end),
        settings=settings,
    )


def contacts_named(names: Sequence[str], *, created: str = "2023-06-01T00:00Z") -> CrmTables:
    return make_tables(contacts=[{"contact_id": name, "created_at": created} for name in names])


def many_contacts(count: int) -> CrmTables:
    return contacts_named([f"contact {number}" for number in range(count)])


def test_each_contact_is_looked_at_once_per_calendar_month() -> None:
    drawn = draw_contacts(many_contacts(5))

    months = drawn["as_of"].dt.strftime("%Y-%m")
    assert len(drawn) == 5 * 12
    assert (drawn.groupby("contact_id").size() == 12).all()
    assert not drawn.assign(month=months).duplicated(["contact_id", "month"]).any()
    assert months.min() == "2024-01"
    assert months.max() == "2024-12"


def test_contact_is_not_looked_at_before_it_was_created() -> None:
    tables = make_tables(
        contacts=[{"contact_id": f"c{n}", "created_at": f"2024-05-{n + 1:02d}T00:00Z"} for n in range(30)]
    )

    drawn = draw_contacts(tables).merge(tables["contacts"][["contact_id", "created_at"]])

    assert (drawn["as_of"] > drawn["created_at"]).all()
    assert drawn["as_of"].min() >= at("2024-05-01")
    # June to December for all of them, and May for those whose moment came after their creation
    assert 7 * 30 < len(drawn) < 8 * 30


def test_customer_is_not_looked_at_any_more_but_one_by_mistake_is() -> None:
    tables = make_tables(
        contacts=[{"created_at": "2023-06-01T00:00Z"}, {"created_at": "2023-06-01T00:00Z"}],
        deals=[{}, {}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "c1"}, {"deal_id": "d2", "contact_id": "c2"}],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-04-01T00:00Z"},
            {"deal_id": "d2", "stage": "won", "entered_at": "2024-04-01T00:00Z"},
            {"deal_id": "d2", "stage": "demo", "entered_at": "2024-04-01T01:00Z"},
        ],
        stages=SALES_STAGES,
    )

    drawn = draw_contacts(tables)

    assert (drawn["contact_id"] == "c1").sum() == 3  # January to March
    assert drawn.loc[drawn["contact_id"] == "c1", "as_of"].max() < at("2024-04-01")
    assert (drawn["contact_id"] == "c2").sum() == 12


def test_contact_is_a_customer_from_just_after_its_win_and_while_a_mistaken_one_stands() -> None:
    tables = make_tables(
        contacts=[{}, {}],
        deals=[{}, {}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "c1"}, {"deal_id": "d2", "contact_id": "c2"}],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "won", "entered_at": "2024-04-01T00:00Z"},
            {"deal_id": "d2", "stage": "won", "entered_at": "2024-04-01T00:00Z"},
            {"deal_id": "d2", "stage": "demo", "entered_at": "2024-04-01T01:00Z"},
        ],
        stages=SALES_STAGES,
    )
    moments = ["2024-04-01T00:00", "2024-04-01T00:30", "2024-04-01T02:00"]
    as_of = np.array([instant(at(moment)) for moment in moments])

    for_good = is_customer(wins=wins_of(tables), contacts=np.zeros(3, dtype=np.int64), as_of=as_of)
    by_mistake = is_customer(wins=wins_of(tables), contacts=np.ones(3, dtype=np.int64), as_of=as_of)

    assert for_good.tolist() == [False, True, True]
    assert by_mistake.tolist() == [False, True, False]


def test_moments_of_a_contact_follow_from_its_id_alone() -> None:
    alone = draw_contacts(contacts_named(["ada"]))
    among_others = draw_contacts(contacts_named(["zoe", *(f"x{number}" for number in range(50)), "ada"]))
    later_start = draw_contacts(contacts_named(["ada"]), start="2024-03-01", end="2024-06-15")

    moments = alone["as_of"].tolist()
    assert among_others.loc[among_others["contact_id"] == "ada", "as_of"].tolist() == moments
    assert later_start["as_of"].tolist() == [m for m in moments if at("2024-03-01") <= m < at("2024-06-15")]


def test_another_seed_draws_other_moments() -> None:
    first, second = (draw_contacts(many_contacts(5), settings=SnapshotSettings(seed=seed)) for seed in (1, 2))

    assert not first["as_of"].isin(second["as_of"]).any()


def test_moments_lie_evenly_within_the_month_and_differ_between_months() -> None:
    drawn = draw_contacts(many_contacts(2000), start="2024-02-01", end="2024-04-01")

    month = drawn["as_of"].dt.month
    days = drawn["as_of"].dt.days_in_month
    begin = drawn["as_of"].dt.normalize() - pd.to_timedelta(drawn["as_of"].dt.day - 1, unit="D")
    share = (drawn["as_of"] - begin) / pd.to_timedelta(days, unit="D")
    for _, within in share.groupby(month):
        quarters = np.histogram(within, bins=4, range=(0, 1))[0] / 2000
        assert quarters == pytest.approx([0.25] * 4, abs=0.04)  # four standard errors
    february, march = share[month == 2].to_numpy(), share[month == 3].to_numpy()
    assert abs(np.corrcoef(february, march)[0, 1]) < 0.09


def test_start_and_end_may_be_given_in_any_zone() -> None:
    tables = many_contacts(20)
    in_utc = draw_contacts(tables, start="2024-02-29T22:00", end="2024-05-15T10:00")

    elsewhere = contact_snapshots(
        contacts=tables["contacts"],
        activities=tables["activities"],
        wins=wins_of(tables),
        start=pd.Timestamp("2024-03-01T00:00+02:00"),
        end=pd.Timestamp("2024-05-15T06:00-04:00"),
        settings=SETTINGS,
    )

    pd.testing.assert_frame_equal(elsewhere, in_utc)
    assert str(elsewhere["as_of"].dtype) == "datetime64[us, UTC]"


def test_cap_samples_whole_contacts() -> None:
    capped = draw_contacts(many_contacts(400), settings=SnapshotSettings(max_contact_snapshots=1200))

    # 400 contacts x 12 months are four times too many: a quarter of the contacts, give or take four standard errors
    assert (capped.groupby("contact_id").size() == 12).all()
    assert 60 <= capped["contact_id"].nunique() <= 140


def test_contact_is_out_of_play_once_it_has_been_idle_for_too_long() -> None:
    tables = make_tables(
        contacts=[{"created_at": "2024-01-01T00:00Z"}, {"created_at": "2024-01-01T00:00Z"}],
        activities=[{"contact_id": "c1", "occurred_at": "2024-06-01T00:00Z"}],
    )
    as_of = np.array([instant(at(time)) for time in ("2024-06-01", "2024-06-11", "2024-06-11")])

    idle = idle_days(
        contacts=tables["contacts"], activities=tables["activities"], objects=np.array([0, 0, 1]), as_of=as_of
    )
    drawn = draw_contacts(tables, start="2024-03-01", settings=SnapshotSettings(max_idle_days=30))

    # from 1 January to 1 June 2024 it is 152 days; at the as-of itself the activity is not yet known
    assert idle.tolist() == [152.0, 10.0, 162.0]
    assert set(drawn["contact_id"]) == {"c1"}
    assert drawn["as_of"].between(at("2024-06-01"), at("2024-07-01")).all()


def deals_open_for(days: Sequence[float]) -> Timelines:
    """Build deals opened on 1 January 2020 and lost after the given days."""
    history = []
    for number, length in enumerate(days, start=1):
        lost = at("2020-01-01") + pd.Timedelta(days=length)
        history += [
            {"deal_id": f"d{number}", "stage": "demo", "entered_at": "2020-01-01T00:00Z"},
            {"deal_id": f"d{number}", "stage": "lost", "entered_at": lost.isoformat()},
        ]
    deals = [{"created_at": "2019-01-01T00:00Z"} for _ in days]
    return build_timelines(make_tables(deals=deals, deal_stage_history=history, stages=SALES_STAGES))


def draw_deals(timelines: Timelines, *, start: str = "2019-01-01", end: str = "2030-01-01") -> pd.DataFrame:
    return deal_snapshots(timelines=timelines, start=at(start), end=at(end), settings=SETTINGS)


def test_deals_are_looked_at_only_while_they_are_open() -> None:
    history = [
        {"deal_id": "d1", "stage": stage, "entered_at": f"2024-{month:02d}-01T00:00Z"}
        for month, stage in [(1, "demo"), (2, "lost"), (5, "offer"), (7, "won")]
    ]
    timelines = build_timelines(make_tables(deals=[{}], deal_stage_history=history, stages=SALES_STAGES))

    drawn = draw_deals(timelines)["as_of"]

    first = (drawn > at("2024-01-01")) & (drawn <= at("2024-02-01"))
    second = (drawn > at("2024-05-01")) & (drawn <= at("2024-07-01"))
    assert first.any()
    assert second.any()
    assert (first | second).all()


def test_deals_are_looked_at_only_within_the_period_asked_for() -> None:
    drawn = draw_deals(deals_open_for([300.0] * 20), start="2020-03-01", end="2020-05-01")

    assert len(drawn) > 20
    assert (drawn["as_of"] >= at("2020-03-01")).all()
    assert (drawn["as_of"] < at("2020-05-01")).all()


def test_weighted_snapshots_stand_for_the_time_that_deals_were_open() -> None:
    # 400 deals, ten each of 3, 4, ... 42 days: 10 * (3 + ... + 42) = 9000 days. Three in four last no longer than
    # 32.25 days (a quarter of the way from the 300th to the 301st), so the young step is 32.25 / 16 days.
    lengths = [3.0 + number % 40 for number in range(400)]

    drawn = draw_deals(deals_open_for(lengths))

    assert drawn["weight"].sum() * 32.25 / 16 == pytest.approx(9000, rel=0.01)
    per_deal = drawn.groupby("deal")["weight"].sum().reindex(range(400), fill_value=0.0) * 32.25 / 16
    error = per_deal - np.array(lengths)
    assert error.abs().max() <= 2 * 32.25 / 16  # an old snapshot stands for two young steps
    assert abs(error.mean()) < 0.2


def test_old_deals_are_looked_at_less_often_and_their_snapshots_weigh_more() -> None:
    drawn = draw_deals(deals_open_for([16.0] * 9 + [160.0])).query("deal_id == 'd10'")

    # three in four deals close by day 16, so the step is a day until then and two days afterwards
    age = (drawn["as_of"] - at("2020-01-01")) / pd.Timedelta(days=1)
    young = age < 16
    assert young.sum() == 16
    assert (~young).sum() == 72
    assert np.diff(age[young]) == pytest.approx(1.0)
    assert np.diff(age[~young]) == pytest.approx(2.0)
    assert drawn.loc[young, "weight"].unique().tolist() == [1.0]
    assert drawn.loc[~young, "weight"].unique().tolist() == [2.0]


def test_steps_respect_their_bounds() -> None:
    quick, slow = draw_deals(deals_open_for([0.8] * 40)), draw_deals(deals_open_for([2000.0] * 4))

    gaps = {
        name: drawn.groupby("deal")["as_of"].diff().dropna() / pd.Timedelta(days=1)
        for name, drawn in {"quick": quick, "slow": slow}.items()
    }
    assert gaps["quick"].min() >= 0.25
    assert gaps["slow"].min() == pytest.approx(14.0)


def test_phase_of_a_deal_follows_from_its_id_and_opening() -> None:
    few, many = draw_deals(deals_open_for([30.0] * 3)), draw_deals(deals_open_for([30.0] * 50))

    pd.testing.assert_frame_equal(few, many.loc[many["deal"] < 3].reset_index(drop=True))
    assert few.groupby("deal")["as_of"].min().nunique() == 3


def test_no_deals_give_no_snapshots() -> None:
    drawn = draw_deals(build_timelines(make_tables()))

    assert drawn.columns.tolist() == ["deal", "deal_id", "as_of", "weight"]
    assert drawn.empty
