"""The champion on the challenger's test window: scored from its own bundle, and only if it knew nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.champion import Champion
from models.contact_training import train_contacts
from models.deal_training import train_deals
from models.training import Trained
from tests.models.market import make_settings

TRAIN: dict[str, Callable[..., Trained]] = {"contacts": train_contacts, "deals": train_deals}
QUESTIONS = pytest.mark.parametrize("question", ["contacts", "deals"])


@pytest.fixture(scope="module")
def earlier(market: CrmTables, as_of: pd.Timestamp) -> dict[str, Trained]:
    """Models that were trained before the test windows began."""
    then = as_of - pd.Timedelta(days=210)
    return {name: train(tables=market, as_of=then, settings=make_settings()) for name, train in TRAIN.items()}


@QUESTIONS
def test_an_older_champion_is_scored_on_the_same_rows(
    question: str, earlier: dict[str, Trained], market: CrmTables, as_of: pd.Timestamp
) -> None:
    champion = Champion(version="1", bundle=earlier[question].bundle)

    trained = TRAIN[question](tables=market, as_of=as_of, settings=make_settings(), champion=champion)

    told = trained.bundle.evaluation["champion"]
    assert told["why_not"] is None
    assert (told["version"], told["rows"]) == ("1", trained.bundle.evaluation["rows"])
    losses = {name: metrics["log_loss"]["value"] for name, metrics in told["metrics"].items()}
    assert told["difference"]["log_loss"]["value"] == pytest.approx(losses["model"] - losses["champion"])
    assert losses["champion"] != losses["model"]
    assert any("version 1" in reason for reason in trained.verdict.reasons)


def test_a_champion_that_knows_the_test_is_not_compared(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    champion = Champion(version="1", bundle=trained_contacts.bundle)

    trained = train_contacts(tables=market, as_of=as_of, settings=make_settings(), champion=champion)

    assert trained.verdict.promote
    assert trained.verdict.reasons[-1].startswith(
        "it was not compared with the champion (version 1): it was trained on facts up to 2025-12-02, and the test"
    )
    assert trained.verdict.reasons[-1].endswith("it would know outcomes of the test")


def test_a_champion_for_another_horizon_answers_another_question(
    earlier: dict[str, Trained], market: CrmTables, as_of: pd.Timestamp
) -> None:
    trained = train_contacts(
        tables=market,
        as_of=as_of,
        settings=make_settings(horizon_days=60.0),
        champion=Champion(version="1", bundle=earlier["contacts"].bundle),
    )

    assert trained.verdict.promote
    assert "within 90 days, which is another question" in trained.verdict.reasons[-1]


def test_a_champion_that_todays_tables_cannot_feed_is_not_compared(
    earlier: dict[str, Trained], market: CrmTables, as_of: pd.Timestamp
) -> None:
    frames = {**market.frames, "contacts": market["contacts"].drop(columns="industry")}
    settings = make_settings()
    settings = settings.model_copy(update={"properties": type(settings.properties)()})

    trained = train_contacts(
        tables=CrmTables(frames=frames, absent=market.absent),
        as_of=as_of,
        settings=settings,
        champion=Champion(version="1", bundle=earlier["contacts"].bundle),
    )

    assert "today's tables cannot feed it" in trained.bundle.evaluation["champion"]["why_not"]


def test_deals_are_compared_on_the_horizon_that_both_support(
    earlier: dict[str, Trained], market: CrmTables, as_of: pd.Timestamp
) -> None:
    bundle = earlier["deals"].bundle
    short = tuple(0.5 * edge for edge in bundle.data.shared_edges)
    shorter = replace(
        bundle,
        data=bundle.data.model_copy(update={"shared_edges": short, "edges": dict.fromkeys(bundle.data.edges, short)}),
    )

    trained = train_deals(
        tables=market, as_of=as_of, settings=make_settings(), champion=Champion(version="1", bundle=shorter)
    )

    told = trained.bundle.evaluation
    # Fewer deals are won within half of the time.
    assert told["champion"]["positive_objects"] < told["positive_objects"]
    assert np.isfinite(told["champion"]["difference"]["log_loss"]["value"])
