"""Merged contacts: one is left, and all that was told of the others is told of it."""

from __future__ import annotations

import pandas as pd
import pytest

from features.survivors import follow_merges, survivors_of
from tests.features.builders import make_tables


def survivors(**merged: str | None) -> dict[str, str]:
    return survivors_of(
        make_tables(contacts=[{"contact_id": one, "merged_ids": losers} for one, losers in merged.items()])["contacts"]
    )


def test_every_listed_contact_ends_in_the_one_that_lists_it() -> None:
    assert survivors(c1="c2; c3", c4=None, c5="") == {"c2": "c1", "c3": "c1"}


def test_merges_are_followed_to_the_end() -> None:
    assert survivors(c1="c2", c2="c3", c3="c4") == {"c2": "c1", "c3": "c1", "c4": "c1"}


@pytest.mark.parametrize("merged", [{"c1": "c2", "c2": "c1"}, {"c2": "c1", "c1": "c2;c1"}])
def test_of_a_circle_the_smallest_id_is_left(merged: dict[str, str]) -> None:
    assert survivors(**merged) == {"c2": "c1"}


def test_all_tables_tell_of_the_contact_that_is_left() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "c1", "merged_ids": "c2"}, {"contact_id": "c2"}, {"contact_id": "c3"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "c2"}, {"deal_id": "d2", "contact_id": "c3"}],
        property_history=[
            {"object_type": "contact", "object_id": "c2", "property": "level", "value": "boss"},
            {"object_type": "deal", "object_id": "c2", "property": "amount", "value": "1"},
        ],
    )

    followed = follow_merges(tables, survivors_of(tables["contacts"]))

    assert followed["contacts"]["contact_id"].to_list() == ["c1", "c3"]
    assert followed["deal_contacts"]["contact_id"].to_list() == ["c1", "c3"]
    assert followed["property_history"]["object_id"].to_list() == ["c1", "c2"]


def test_without_merges_the_tables_stay_as_they_are() -> None:
    tables = make_tables(contacts=[{"contact_id": "c1"}])

    followed = follow_merges(tables, survivors_of(tables["contacts"]))

    pd.testing.assert_frame_equal(followed["contacts"], tables["contacts"])
