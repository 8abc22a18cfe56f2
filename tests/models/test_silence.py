"""Contacts of whom nothing is known but who they are: one observed rate, one reason, and when the model may speak."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.bundle import save_bundle
from models.calibration import Calibrator
from models.contact_scoring import contact_matrix, contact_population
from models.model_card import model_card
from models.published import open_published
from models.score_change import Earlier, explain_changes
from models.silence import SilenceTest, against_rate, silence_of
from models.training import Trained
from tests.models.scoring import assert_publishable, score

NAN = float("nan")
NAMES = ["days_since_any", "colleagues_active_90d", "open_deals", "property_country"]
ROWS = pd.DataFrame(
    [[NAN, 0.0, 0.0, 1.0], [NAN, NAN, NAN, 2.0], [NAN, 3.0, 0.0, 1.0], [NAN, 0.0, 1.0, 1.0], [1e-9, 0.0, 0.0, 1.0]],
    columns=NAMES,
)
EARLY = pd.Timedelta(days=200)


def test_who_did_nothing_and_has_neither_deals_nor_active_colleagues_is_silent() -> None:
    silence = silence_of(names=NAMES, features=ROWS, y_obs=np.zeros(5), objects=np.arange(5), base_rate=0.5)

    assert silence is not None
    assert silence.among(ROWS).tolist() == [True, True, False, False, False]
    assert silence.apply(np.full(5, 0.9), features=ROWS).tolist() == [silence.rate, silence.rate, 0.9, 0.9, 0.9]


def test_the_rate_is_that_of_their_snapshots_drawn_to_the_base_rate_by_ten() -> None:
    silent = pd.concat([ROWS[:1]] * 40 + [ROWS[4:]] * 60, ignore_index=True)
    won = np.zeros(100)
    won[:4] = won[40:70] = 1.0

    found = silence_of(names=NAMES, features=silent, y_obs=won, objects=np.arange(100) // 2, base_rate=0.34)

    # (4 of 40 + 0.34 x 10) / (40 + 10), counted on 20 contacts with two snapshots each.
    assert found is not None
    assert found.rate == pytest.approx(0.148)
    assert found.contacts == 20


def test_where_no_silent_contact_was_ever_seen_the_base_rate_is_told() -> None:
    found = silence_of(names=NAMES, features=ROWS[2:], y_obs=np.ones(3), objects=np.arange(3), base_rate=0.2)

    assert found is not None
    assert (found.rate, found.contacts) == (0.2, 0)


def test_without_activities_nobody_is_silent() -> None:
    told = silence_of(names=NAMES[1:], features=ROWS, y_obs=np.zeros(5), objects=np.arange(5), base_rate=0.5)

    assert told is None


def knows(won: int) -> SilenceTest:
    """The model says 0.9 of winners and 0.1 of others, where the rate is one half."""
    y_obs = np.repeat([1.0, 0.0], won)
    return against_rate(
        model=np.where(y_obs == 1.0, 0.9, 0.1), rate=np.full(2 * won, 0.5), y_obs=y_obs, objects=np.arange(2 * won)
    )


def test_the_model_speaks_for_the_silent_only_where_twenty_winners_surely_say_so() -> None:
    sure, few = knows(20), knows(19)

    # Each row: -ln 0.9 beside -ln 0.5, whoever is drawn.
    assert sure.difference == pytest.approx(np.log(0.5 / 0.9))
    assert (sure.low, sure.high) == (pytest.approx(sure.difference), pytest.approx(sure.difference))
    assert (sure.rows, sure.contacts, sure.won) == (40, 40, 20)
    assert sure.model_knows_more
    assert not few.model_knows_more
    assert not replace(sure, high=0.001).model_knows_more


@pytest.fixture(scope="module")
def silent(trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp) -> pd.DataFrame:
    """The published rows of contacts who had done nothing yet."""
    then = as_of - EARLY
    rows = score(trained_contacts.bundle, market, then)
    assert_publishable("contacts", rows)
    known = market["activities"]["occurred_at"] < then
    active = rows.index.isin(market["activities"].loc[known, "contact_id"])
    return rows.loc[rows["not_scored"].isna() & ~active]


def test_silent_contacts_get_one_rate_and_their_silence_as_the_only_reason(
    silent: pd.DataFrame, trained_contacts: Trained
) -> None:
    data = trained_contacts.bundle.data
    assert data.silence is not None
    assert len(silent) > 5
    assert silent["close_likelihood"].unique().tolist() == data.calibrator.apply(np.array([data.silence.rate])).tolist()
    for text in silent["reasons"]:
        first, *others = json.loads(text)
        assert first["effect"] == pytest.approx(silent["close_likelihood"].iloc[0] - data.reference.base_rate)
        assert [part["feature"] for part in first["features"]] == ["days_since_any"]
        assert data.silence.words in first["words"]
        assert {other["effect"] for other in others} == {0}
    assert trained_contacts.bundle.evaluation["silence"]["model_knows_more"] is False
    assert "all get the observed rate of their like" in model_card(trained_contacts.bundle)


def test_a_process_without_leadline_gives_the_silent_the_same(
    silent: pd.DataFrame, trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp, tmp_path: Path
) -> None:
    bundle = replace(
        trained_contacts.bundle,
        data=trained_contacts.bundle.data.model_copy(update={"calibrator": Calibrator(kind="platt", slope=0.7)}),
    )
    then = as_of - EARLY
    population = contact_population(bundle=bundle, tables=market, as_of=then)
    matrix = contact_matrix(bundle=bundle, tables=market, population=population, as_of=then)

    told = open_published(save_bundle(bundle, tmp_path)).predict(matrix.features)

    rows = score(bundle, market, then).loc[matrix.snapshots["contact_id"]]
    assert told == pytest.approx(rows["close_likelihood"].to_numpy(), abs=1e-12)
    assert rows.loc[silent.index, "close_likelihood"].nunique() == 1


def test_the_first_activity_explains_all_that_it_moved(
    silent: pd.DataFrame, trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    bundle, since = trained_contacts.bundle, as_of - EARLY
    later = since + pd.Timedelta(days=14)
    population = contact_population(bundle=bundle, tables=market, as_of=later)
    matrix = contact_matrix(bundle=bundle, tables=market, population=population, as_of=later)
    after = score(bundle, market, later)["close_likelihood"].reindex(matrix.snapshots["contact_id"])
    before = score(bundle, market, since)["close_likelihood"].reindex(after.index)

    texts = explain_changes(
        bundle=bundle,
        earlier=Earlier(as_of=since, bundle=bundle),
        tables=market,
        matrix=matrix,
        as_of=later,
        probability=after.to_numpy(),
        previous=before.fillna(0.0).to_numpy(),
    )

    told = dict(zip(after.index, map(json.loads, texts), strict=True))
    spoke = [name for name in silent.index if abs(after[name] - before[name]) > 0.01]
    assert spoke
    for name in spoke:
        facts, time, *others = told[name]["parts"]
        assert facts["effect"] + time["effect"] == pytest.approx(after[name] - before[name], abs=1e-9)
        assert [family["family"] for family in facts["families"] if family["effect"]] == ["recency"]
        assert {part["effect"] for part in others} == {0}
