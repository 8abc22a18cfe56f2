"""The catalogue of features, as a person and as a script read it."""

from __future__ import annotations

from features.catalogue import CATALOGUE
from tests.flows.commands import leadline, leadline_json


def test_features_of_both_questions_are_listed() -> None:
    listed = leadline_json("features", "list")

    assert [one["name"] for one in listed] == [entry.name for entry in CATALOGUE]
    assert all(one["words"] and one["known"] and one["source"] for one in listed)


def test_features_of_one_question_are_listed() -> None:
    names = {one["name"] for one in leadline_json("features", "list", "contacts")}

    assert "open_deal_position" in names
    assert "stage" not in names


def test_a_person_reads_names_words_and_families() -> None:
    lines = leadline("features", "list", "deals").stdout.splitlines()

    amount = next(line for line in lines if "amount_changes" in line)
    assert "changes of the amount" in amount
    assert "value" in amount
    assert any("warmth_{direction}_{days}d" in line for line in lines)
