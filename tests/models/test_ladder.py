"""The small-data ladder, at each of its borders."""

from __future__ import annotations

import pytest

from models.ladder import LadderSettings, contact_step, deal_step


@pytest.mark.parametrize(
    ("winners", "rung"),
    [
        (0, "base_rate"),
        (19, "base_rate"),
        (20, "rules"),
        (79, "rules"),
        (80, "small_model"),
        (159, "small_model"),
        (160, "model"),
    ],
)
def test_winning_contacts_decide_the_rung(winners: int, rung: str) -> None:
    step = contact_step(winning_contacts=winners, settings=LadderSettings())

    assert step.rung == rung
    assert step.is_model == (winners >= 80)
    assert str(winners) in step.reason


@pytest.mark.parametrize(
    ("won", "lost", "rung"),
    [
        (0, 0, "stage_rate"),
        (39, 500, "stage_rate"),
        (500, 39, "stage_rate"),
        (40, 40, "small_model"),
        (199, 900, "small_model"),
        (900, 199, "small_model"),
        (200, 200, "model"),
    ],
)
def test_won_and_lost_deals_both_decide_the_rung(won: int, lost: int, rung: str) -> None:
    step = deal_step(won=won, lost=lost, settings=LadderSettings())

    assert step.rung == rung
    assert step.is_model == (rung != "stage_rate")


def test_a_reason_says_what_was_found_and_what_the_next_rung_needs() -> None:
    assert contact_step(winning_contacts=19, settings=LadderSettings()).reason == (
        "19 winning contacts were found; 20 are needed to put a probability on the points"
    )
    assert deal_step(won=39, lost=61, settings=LadderSettings()).reason == (
        "39 won and 61 lost deals were found; 40 of each are needed to try a model"
    )


def test_the_borders_are_settings() -> None:
    settings = LadderSettings(contacts_rules_from=2, contacts_small_model_from=3, contacts_model_from=4)

    assert [contact_step(winning_contacts=count, settings=settings).rung for count in (1, 2, 3, 4)] == [
        "base_rate", "rules", "small_model", "model",
    ]  # fmt: skip
