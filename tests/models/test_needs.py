"""What a manager reads when no model scores: what is there, what is missing and until when, what is used instead."""

from __future__ import annotations

import pandas as pd
import pytest

from models.cutoffs import SplitSettings, plan_cutoffs
from models.gate import GateSettings
from models.ladder import LadderSettings
from models.needs import Needs, needs_document, needs_of_contacts, needs_of_deals

FIRST = pd.Timestamp("2025-01-01", tz="UTC")
YEAR = plan_cutoffs(
    first=FIRST, now=FIRST + pd.Timedelta(days=365), horizon_days=90.0, settings=SplitSettings(min_train_days=900.0)
)


def contacts(winners: int) -> Needs:
    return needs_of_contacts(
        winners=winners, cutoffs=YEAR, evaluation=None, use="rules", ladder=LadderSettings(), gate=GateSettings()
    )


@pytest.mark.parametrize(
    ("winners", "wanted", "what"),
    [
        (19, 20, "a probability on the points"),
        (20, 80, "a small model to be tried"),
        (79, 80, "a small model to be tried"),
        (80, 160, "the full model to be tried"),
        (159, 160, "the full model to be tried"),
        (160, None, ""),
    ],
)
def test_the_next_border_of_the_ladder_is_named(winners: int, wanted: int | None, what: str) -> None:
    found = contacts(winners)

    assert (found.wanted, found.wanted_for) == (wanted, what)


def test_the_wait_is_told_at_the_present_pace() -> None:
    found = contacts(60)

    # 60 in a year are 5.0 in a month; the 20 that are missing take four.
    assert found.months == pytest.approx(20 / (60 / 365 * 30.44))
    assert found.have() == [
        "365 days of history with 60 contacts who became customers.",
        "No test: 365 days of history are too short for an honest test with a horizon of 90.",
    ]
    assert found.need() == [
        "80 contacts who became customers for a small model to be tried; at the present pace that is in about "
        "4 months.",
        "A longer history, so that something can be tested on what came later.",
    ]


def test_without_any_winner_nobody_knows_when() -> None:
    assert contacts(0).need()[0].endswith("none came in lately, so nobody can say when that will be.")


@pytest.mark.parametrize(("won", "lost", "words"), [(39, 200, "39 won deals"), (200, 39, "39 lost deals")])
def test_of_won_and_lost_deals_the_fewer_count(won: int, lost: int, words: str) -> None:
    found = needs_of_deals(
        won=won,
        lost=lost,
        cutoffs=YEAR,
        evaluation=None,
        use="stage_rate",
        ladder=LadderSettings(),
        gate=GateSettings(),
    )

    assert words in found.have()[0]
    assert found.need()[0].startswith("40 ")


def test_the_page_says_all_three_things_and_why() -> None:
    page = needs_document(
        contacts(60).to_dict(),
        verdict={"answer": "Keep the rule: so it is.", "reasons": ["60 winning contacts were found"]},
        title="Scores",
    )

    assert page.startswith(
        "# Scores: contacts\n\nKeep the rule: so it is.\n\n## What there is\n\n- 365 days of history"
    )
    assert "\n## What is needed\n\n- 80 contacts who became customers" in page
    assert "\n## What is published instead\n\nYour point rules, each score written as the probability" in page
    assert page.endswith("## Why, with the figures\n\n- 60 winning contacts were found\n")
