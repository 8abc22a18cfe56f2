"""The generated page of features. Renew it with ``RENEW_PAGES=1 pytest tests/features/test_feature_page.py``."""

from __future__ import annotations

import os
from pathlib import Path

from features.catalogue import CATALOGUE, FAMILY_WORDS
from features.feature_page import described, render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_the_page_in_docs_is_that_of_the_catalogue() -> None:
    if os.environ.get("RENEW_PAGES"):
        PAGE.write_text(render(), encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_entry_is_described_for_the_questions_it_answers() -> None:
    contacts, deals = described("contacts"), described("deals")

    assert [one["name"] for one in described()] == [entry.name for entry in CATALOGUE]
    assert {one["name"] for one in deals} - {one["name"] for one in contacts} >= {"stage", "amount", "won_deals"}
    families = {name for one in described() for told in one["families"].values() for name in told.split(" / ")}
    assert families == set(FAMILY_WORDS)


def test_a_description_says_what_a_salesperson_and_an_auditor_ask() -> None:
    tenure = next(one for one in described() if one["name"] == "tenure_days")

    assert tenure == {
        "name": "tenure_days",
        "words": "days since the contact was created",
        "families": {"contacts": "past", "deals": "people"},
        "unit": "days",
        "source": "contacts",
        "known": "created_at",
        "needs": ["contacts"],
        "days": None,
        "where_missing": "unknown",
    }
