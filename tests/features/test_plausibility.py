"""What makes tables implausible beside those of last time, each rule at its edge, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from features.contracts import empty_frame
from features.parts import whole_part
from features.plausibility import PlausibilitySettings, Profile, implausible, profile_of
from features.tables import TABLE_NAMES, CrmTables
from features.warehouse import ActivityWarehouse

USED = {"contacts": frozenset({"industry"}), "deals": frozenset({"region"})}
START = pd.Timestamp("2025-01-01T00:00:00Z").as_unit("us")


def days(count: int, step: float = 1.0) -> pd.Series[Any]:
    return pd.Series(START + pd.to_timedelta(np.arange(count) * step, unit="D").as_unit("us"))


def tables(**changed: pd.DataFrame | None) -> CrmTables:
    """Two hundred contacts and deals, a thousand activities of two types, a stage of each outcome."""
    frames = {name: empty_frame(name) for name in TABLE_NAMES}
    places = pd.Series(np.arange(200))
    frames["contacts"] = pd.DataFrame(
        {
            "contact_id": "c" + places.astype("str"),
            "created_at": days(200),
            "company_id": "k" + (places % 50).astype("str"),
            "industry": np.where(places % 2, "software", "retail"),
            "shoe_size": "43",
        }
    )
    frames["deals"] = pd.DataFrame(
        {"deal_id": "d" + places.astype("str"), "created_at": days(200), "pipeline": "sales", "amount": 100.0 + places}
    )
    frames["activities"] = pd.DataFrame(
        {
            "occurred_at": days(1000, 0.2),
            "type": pd.Categorical(np.where(np.arange(1000) % 4, "email_open", "meeting")),
            "contact_id": "c" + pd.Series(np.arange(1000) % 200).astype("str"),
        }
    )
    frames["stages"] = pd.DataFrame(
        {"pipeline": "sales", "stage": ["new", "yes", "no"], "outcome": ["open", "won", "lost"]}
    )
    present = {name: frame for name, frame in (frames | changed).items() if frame is not None}
    absent = tuple(name for name in ("companies", "owners", *changed) if (frames | changed).get(name) is None)
    return CrmTables(frames={name: present.get(name, empty_frame(name)) for name in TABLE_NAMES}, absent=absent)


def profile(now: CrmTables) -> Profile:
    with closing(ActivityWarehouse(None, memory_bytes=64 * 1024**2)) as warehouse:
        activities = now["activities"]
        given = empty_frame("activities").dtypes
        whole = activities.assign(activity_id=activities.index.astype("str")).reindex(columns=given.index).astype(given)
        with warehouse.extending([whole_part(whole)]):
            return profile_of(now, activities=warehouse.profile(), source="Folder", used=USED)


BEFORE = cache(lambda: profile(tables()))


def found(now: CrmTables, **settings: Any) -> list[tuple[str, str | None]]:
    findings = implausible(now, now=profile(now), before=BEFORE(), settings=PlausibilitySettings(**settings))
    assert all(finding.severity == "error" for finding in findings)
    return [(finding.code.removeprefix("implausible-"), finding.column or finding.table) for finding in findings]


def only(table: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> CrmTables:
    return tables(**{table: change(tables()[table]).reset_index(drop=True)})


def test_the_same_tables_and_a_usual_day_more_are_plausible() -> None:
    more = pd.concat([tables()["contacts"].iloc[2:], tables()["contacts"].tail(5).assign(contact_id=list("vwxyz"))])

    assert found(tables()) == []
    assert found(tables(contacts=more.reset_index(drop=True))) == []


def test_a_table_may_lose_three_tenths_of_its_rows() -> None:
    def left(rows: int) -> CrmTables:
        # Taken from all over, so that nothing but rows and ids is gone.
        return only("contacts", lambda frame: frame.sample(rows, random_state=1).sort_index())

    assert found(left(140)) == []
    assert found(left(139)) == [("shrunken", "contacts"), ("exchanged", "contact_id")]


def test_a_table_that_is_gone_emptied_or_swollen_is_told() -> None:
    assert found(tables(activities=None)) == [("gone", "activities")]
    assert found(only("stages", lambda frame: frame.iloc[:0])) == [("emptied", "stages")]
    thrice = only("activities", lambda frame: pd.concat([frame] * 3))
    assert found(thrice) == []
    assert found(only("activities", lambda frame: pd.concat([frame] * 4))) == [("swollen", "activities")]


def test_a_used_column_that_is_emptied_gone_or_all_one_value_is_told_and_an_unused_one_is_not() -> None:
    assert found(only("contacts", lambda frame: frame.assign(company_id=None))) == [("emptied", "company_id")]
    assert found(only("contacts", lambda frame: frame.drop(columns="industry"))) == [("emptied", "industry")]
    assert found(only("contacts", lambda frame: frame.assign(industry="retail"))) == [("constant", "industry")]
    assert found(only("deals", lambda frame: frame.assign(amount=0.0))) == [("constant", "amount")]
    assert found(only("contacts", lambda frame: frame.drop(columns="shoe_size"))) == []
    assert found(only("contacts", lambda frame: frame.assign(shoe_size=None))) == []


def test_other_ids_are_told() -> None:
    assert found(only("contacts", lambda frame: frame.assign(contact_id="x" + frame["contact_id"]))) == [
        ("exchanged", "contact_id")
    ]


def test_a_common_type_of_activity_that_stopped_coming_is_told() -> None:
    assert found(only("activities", lambda frame: frame.loc[frame["type"] == "email_open"])) == [
        ("constant", "type"),
        ("kind-gone", "type"),
    ]


def test_an_older_export_and_one_that_leaps_ahead_are_told() -> None:
    def moved(by: int) -> CrmTables:
        return only("deals", lambda frame: frame.assign(created_at=frame["created_at"] + pd.Timedelta(days=by)))

    assert found(moved(-7)) == []
    assert found(moved(-8)) == [("older", "deals")]
    assert found(moved(400)) == []
    assert found(moved(401)) == [("ahead", "deals")]
    # The newest contact was deleted, and one is dated wrongly.
    one_off = tables()["contacts"].iloc[:-1].copy()
    one_off.loc[0, "created_at"] = pd.Timestamp("2099-01-01T00:00:00Z")
    assert found(tables(contacts=one_off)) == []


def test_a_stage_that_means_something_else_now_is_told() -> None:
    swapped = tables()["stages"].assign(outcome=["open", "lost", "won"])
    renamed = tables()["stages"].assign(stage=["fresh", "yes", "no"])

    assert found(tables(stages=swapped)) == [("outcome-changed", "outcome")] * 2
    assert found(tables(stages=renamed)) == []


def test_small_tables_are_compared_only_by_whether_they_hold_anything() -> None:
    assert found(only("contacts", lambda frame: frame.iloc[:1]), least_rows=201) == []
    assert found(only("contacts", lambda frame: frame.iloc[:0]), least_rows=201) == [("emptied", "contacts")]


def test_a_column_that_the_configuration_no_longer_uses_is_not_missed() -> None:
    now = profile_of(tables(), activities=BEFORE().tables["activities"], source="Folder", used={})

    assert implausible(tables(), now=now, before=BEFORE(), settings=PlausibilitySettings()) == []


def test_activities_are_told_in_numbers_without_being_read() -> None:
    told = BEFORE().tables["activities"]

    assert (told.rows, told.kinds) == (1000, {"email_open": 750, "meeting": 250})
    assert (told.filled["contact_id"], told.filled["deal_id"]) == (1.0, 0.0)
    # Each of the 200 contacts has five of the thousand; nothing names a deal.
    assert (told.commonest["type"], told.commonest["contact_id"], told.commonest["deal_id"]) == (0.75, 0.005, 0.0)
    # Five a day: the 990th of a thousand happened on the 198th day, which is the 17th of July.
    assert told.late == "2025-07-17T00:00:00+00:00"


def test_a_profile_holds_no_value_of_the_tables_but_types_and_stages() -> None:
    told = BEFORE().model_dump_json()

    assert Profile.model_validate_json(told) == BEFORE()
    assert "email_open" in told
    assert not any(word in told for word in ('"c1"', "retail", "k1", "software"))
