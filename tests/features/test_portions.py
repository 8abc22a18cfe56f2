"""Tables that hold a part of the activities: all of those that somebody rests on, and when something began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pandas as pd
import pytest

from features.parts import whole_part
from features.portions import contact_tables, deal_tables, training_tables
from features.snapshots import SnapshotSettings
from features.tables import CrmTables, IncompleteActivitiesError
from features.warehouse import ActivityWarehouse
from tests.features.builders import make_tables

# c1 and c2 work at acme, c3 with nobody, c4 at best, where a deal is; c5 is on a deal; everybody calls five times
TABLES = make_tables(
    contacts=[
        {"contact_id": contact, "company_id": company}
        for contact, company in {"c1": "acme", "c2": "acme", "c3": None, "c4": "best", "c5": None}.items()
    ],
    deals=[{"deal_id": "d1", "company_id": "best"}, {"deal_id": "d2"}],
    deal_contacts=[{"deal_id": "d2", "contact_id": "c5"}],
    activities=[
        {
            "activity_id": f"{contact}{day}",
            "contact_id": contact,
            "type": "call" if contact != "c3" else "visit",
            "occurred_at": f"2024-01-0{day}T00:00Z",
        }
        for contact in ("c1", "c2", "c3", "c4", "c5")
        for day in range(1, 6)
    ]
    + [{"activity_id": "d1", "deal_id": "d1", "type": "mail", "occurred_at": "2024-01-01T00:00Z"}],
)


@pytest.fixture(scope="module")
def warehouse() -> Iterator[ActivityWarehouse]:
    with closing(ActivityWarehouse(None, memory_bytes=128 * 1024**2)) as made:
        with made.extending([whole_part(TABLES["activities"])]):
            pass
        yield made


def counts(tables: CrmTables) -> dict[str, int]:
    activities = tables["activities"]
    return activities["contact_id"].astype("str").value_counts().sort_index().to_dict()


def complete(tables: CrmTables) -> list[str]:
    assert tables.complete_for is not None
    return sorted(tables.complete_for)


def sampled(warehouse: ActivityWarehouse, *, seed: int, at_most: int = 11) -> CrmTables:
    # The limit has a least value for people; here it is tried with less.
    settings = SnapshotSettings(seed=seed).model_copy(update={"max_activities": at_most})
    return training_tables(TABLES.without_activities(), warehouse, question="contacts", settings=settings)


def test_what_fits_is_read_whole(warehouse: ActivityWarehouse) -> None:
    small = TABLES.without_activities()

    ((contacts, tables),) = contact_tables(small, warehouse, at_most=26)

    assert list(contacts) == ["c1", "c2", "c3", "c4", "c5"]
    assert len(tables["activities"]) == len(deal_tables(small, warehouse, at_most=26)["activities"]) == 26
    assert tables.complete_for is None


def test_a_partition_has_all_of_its_contacts_and_the_first_of_each_kind(warehouse: ActivityWarehouse) -> None:
    found = {tuple(ids): counts(tables) for ids, tables in contact_tables(TABLES, warehouse, at_most=10)}

    # the first visit is that of c3 on 1 January, the first call that of c1; the first mail is nobody's
    assert found == {
        ("c1", "c2"): {"c1": 5, "c2": 5, "c3": 1},
        ("c3", "c4"): {"c1": 1, "c3": 5, "c4": 5},
        ("c5",): {"c1": 1, "c3": 1, "c5": 5},
    }


def test_deals_have_their_own_those_of_their_contacts_and_of_all_at_their_companies(
    warehouse: ActivityWarehouse,
) -> None:
    tables = deal_tables(TABLES.without_activities(), warehouse, at_most=10)

    assert counts(tables) == {"c1": 1, "c3": 1, "c4": 5, "c5": 5}
    assert tables["activities"]["deal_id"].astype("str").value_counts().to_dict() == {"d1": 1}
    assert complete(tables) == ["c4", "c5"]


def test_a_training_draws_whole_companies_within_the_limit(warehouse: ActivityWarehouse) -> None:
    drawn = [sampled(warehouse, seed=seed) for seed in range(20)]

    for tables in drawn:
        own = set(complete(tables))
        assert 1 <= len(own) <= 2
        assert len(own & {"c1", "c2"}) != 1
        assert all(counts(tables)[contact] == 5 for contact in own)
    assert len({tuple(complete(tables)) for tables in drawn}) > 3


def test_a_draw_hangs_on_the_seed_and_the_data_and_not_on_their_order(warehouse: ActivityWarehouse) -> None:
    settings = SnapshotSettings(seed=3).model_copy(update={"max_activities": 11})
    shuffled = CrmTables(
        frames={**TABLES.frames, "contacts": TABLES["contacts"].iloc[::-1].reset_index(drop=True)},
        absent=TABLES.absent,
    ).without_activities()

    again = training_tables(shuffled, warehouse, question="contacts", settings=settings)

    assert complete(again) == complete(sampled(warehouse, seed=3))


def test_a_company_larger_than_the_limit_is_read_rather_than_nothing(warehouse: ActivityWarehouse) -> None:
    assert all(complete(sampled(warehouse, seed=seed, at_most=1)) for seed in range(5))


def test_whoever_was_not_read_for_is_not_looked_at(warehouse: ActivityWarehouse) -> None:
    tables = deal_tables(TABLES.without_activities(), warehouse, at_most=10)

    with pytest.raises(IncompleteActivitiesError, match="2 have not, the first 'c1'"):
        tables.require_complete(pd.Series(["c4", "c1", "c2"]))
    TABLES.require_complete(pd.Series(["c1"]))
