"""Published rows for contacts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.matrix import Matrix
from features.tables import CrmTables
from models.bundle import Bundle
from models.calibration import Calibrator, sigmoid
from models.contact_scoring import CUSTOMER, RANK_ONLY, contact_effects
from models.contact_training import train_contacts
from models.rules.points_map import PointsMap
from models.rules.replay import apply_rules
from models.rules.sheet import PointRules
from models.training import Trained
from tests.features.builders import make_tables
from tests.models.market import END, make_market, make_settings
from tests.models.scoring import assert_publishable, score


def changed(bundle: Bundle, **data: object) -> Bundle:
    return replace(bundle, data=bundle.data.model_copy(update=data))


@pytest.fixture(scope="module")
def rows(trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp) -> pd.DataFrame:
    return score(trained_contacts.bundle, market, as_of)


@pytest.fixture(scope="module")
def small() -> tuple[Bundle, CrmTables]:
    """A market too small for a model: its rules are published."""
    tables = make_market(contacts=150)
    bundle = train_contacts(tables=tables, as_of=END, settings=make_settings()).bundle
    assert bundle.data.use == "rules"
    return changed(bundle, calibrated=True), tables


def test_every_known_contact_is_listed_once_and_the_rows_can_be_published(
    rows: pd.DataFrame, market: CrmTables, as_of: pd.Timestamp
) -> None:
    known = market["contacts"].loc[market["contacts"]["created_at"] < as_of, "contact_id"]

    assert sorted(rows["contact_id"]) == sorted(known)
    assert_publishable("contacts", rows)


def test_customers_are_listed_but_not_scored(rows: pd.DataFrame, market: CrmTables, as_of: pd.Timestamp) -> None:
    history = market["deal_stage_history"]
    won = history.loc[(history["stage"] == "won") & (history["entered_at"] < as_of), "deal_id"]
    links = market["deal_contacts"]
    customers = links.loc[links["deal_id"].isin(won), "contact_id"]

    assert set(rows.index[rows["not_scored"] == CUSTOMER]) == set(customers)
    assert rows.loc[customers, ["close_likelihood", "tier", "points", "reasons"]].isna().all(axis=None)
    assert rows.loc[~rows.index.isin(customers), "close_likelihood"].notna().all()


def test_reasons_add_up_to_every_published_likelihood(rows: pd.DataFrame) -> None:
    scored = rows.loc[rows["not_scored"].isna()]

    for likelihood, base_rate, text in zip(
        scored["close_likelihood"], scored["base_rate"], scored["reasons"], strict=True
    ):
        reasons = json.loads(text)
        assert base_rate + sum(reason["effect"] for reason in reasons) == pytest.approx(likelihood, abs=1e-9)
        for reason in reasons:
            assert sum(part["effect"] for part in reason["features"]) == pytest.approx(reason["effect"], abs=1e-9)
            assert len([part for part in reason["features"] if part["feature"] != "other"]) <= 3


def test_who_has_a_hot_open_deal_is_likelier_than_who_has_none(rows: pd.DataFrame, market: CrmTables) -> None:
    scored = rows.loc[rows["not_scored"].isna()]
    hot = scored.index.isin(market["activities"].query("type == 'demo_request'")["contact_id"])

    assert scored.loc[hot, "close_likelihood"].mean() > 3 * scored.loc[~hot, "close_likelihood"].mean()
    assert scored.loc[scored["tier"] == "very_high", "close_likelihood"].min() >= (
        scored.loc[scored["tier"] == "low", "close_likelihood"].max()
    )


def test_points_stand_beside_the_likelihood(rows: pd.DataFrame, trained_contacts: Trained) -> None:
    scored = rows.loc[rows["not_scored"].isna()]
    points_map = trained_contacts.bundle.data.points_map

    assert points_map is not None
    assert (scored["points"] == scored["points_fit"] + scored["points_engagement"]).all()
    assert scored["points_likelihood"].to_numpy() == pytest.approx(points_map.predict(scored["points"].to_numpy()))
    assert set(scored["points_fit"]) == {0.0, 10.0}
    assert scored["points_grade"].str.fullmatch("[ABC][123]").all()
    assert scored["agreement"].notna().all()


def test_an_interval_holds_the_likelihood_and_is_narrower_than_knowing_nothing(rows: pd.DataFrame) -> None:
    scored = rows.loc[rows["not_scored"].isna()]

    assert (scored["likelihood_low"] <= scored["close_likelihood"]).all()
    assert (scored["likelihood_high"] >= scored["close_likelihood"]).all()
    assert (scored["likelihood_high"] - scored["likelihood_low"]).max() < 0.8


def test_the_trend_is_told_against_the_previous_batch(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp, rows: pd.DataFrame
) -> None:
    scored = rows.loc[rows["not_scored"].isna()]
    one, two, three, four = scored.index[:4]
    now = scored["close_likelihood"]
    previous = pd.Series({one: now[one] - 0.004, two: now[two] - 0.006, three: now[three] + 0.006, "gone": 0.5})

    again = score(trained_contacts.bundle, market, as_of, previous=previous)

    assert again.loc[[one, two, three], "trend"].tolist() == ["steady", "up", "down"]
    assert again.loc[two, "previous_likelihood"] == pytest.approx(now[two] - 0.006)
    assert pd.isna(again.loc[four, "trend"])
    assert again["close_likelihood"].equals(rows["close_likelihood"])


def test_probabilities_that_failed_their_test_are_not_published(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp, rows: pd.DataFrame
) -> None:
    ranked = score(changed(trained_contacts.bundle, calibrated=False), market, as_of)

    in_play = rows["not_scored"].isna()
    assert ranked["close_likelihood"].isna().all()
    assert ranked[["likelihood_low", "likelihood_high", "base_rate", "reasons"]].isna().all(axis=None)
    assert set(ranked.loc[in_play, "not_scored"]) == {RANK_ONLY}
    assert ranked.loc[in_play, "tier"].tolist() == rows.loc[in_play, "tier"].tolist()
    assert ranked.loc[in_play, "points"].notna().all()
    assert set(ranked.loc[~in_play, "not_scored"]) == {CUSTOMER}
    assert_publishable("contacts", ranked)


def test_a_calibrator_is_applied_and_explained(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    plain = changed(trained_contacts.bundle, calibrator=Calibrator())
    moved = changed(trained_contacts.bundle, calibrator=Calibrator(kind="platt", slope=0.5, intercept=-1.0))

    before, after = score(plain, market, as_of), score(moved, market, as_of)

    raw = before["close_likelihood"].dropna()
    expected = 1 / (1 + np.exp(1.0 - 0.5 * np.log(raw / (1 - raw))))
    assert after["close_likelihood"].dropna().to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-12)
    assert_publishable("contacts", after)


def test_a_calibrator_that_bends_is_explained_to_the_last_digit(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    bent = changed(trained_contacts.bundle, calibrator=Calibrator(kind="beta", slope=0.7, slope_no=1.4, intercept=0.2))

    rows = score(bent, market, as_of)

    assert_publishable("contacts", rows)


def test_rules_are_explained_by_their_criteria(small: tuple[Bundle, CrmTables]) -> None:
    bundle, tables = small

    rows = score(bundle, tables, END)

    assert_publishable("contacts", rows)
    scored = rows.loc[rows["not_scored"].isna()]
    told = {
        part["words"].split(":")[0]
        for text in scored["reasons"]
        for reason in json.loads(text)
        for part in reason["features"]
    }
    assert told - {"everything else here"} == {
        "points for 'Toys'", "points for 'Asked for a demo'", "points for 'Silent'",
    }  # fmt: skip
    assert scored["close_likelihood"].to_numpy() == pytest.approx(scored["points_likelihood"].to_numpy())


def test_the_mean_of_rule_effects_over_their_reference_population_is_zero(small: tuple[Bundle, CrmTables]) -> None:
    reference = small[0].data.reference

    # The three criteria, and the part of those whose points are unknown.
    assert len(reference.mean_effects) == 4
    assert 0 < reference.base_rate < 1


def test_unknown_points_have_a_likelihood_and_an_effect_of_their_own(small: tuple[Bundle, CrmTables]) -> None:
    tables = make_tables(contacts=[{"contact_id": "anna", "industry": "toys"}, {"contact_id": "ben", "industry": None}])
    toys = PointRules.model_validate(
        {"fit": {"criteria": [{"name": "Toys", "property": "industry", "is": "toys", "points": 10}]}}
    )
    bundle = changed(
        small[0], rules=toys, points_map=PointsMap(intercept=-2.0, slope=0.5, unknown=-3.0), points_center=(4.0,)
    )
    snapshots = pd.DataFrame({"contact_id": ["anna", "ben"], "as_of": END.as_unit("us")}).astype({"contact_id": "str"})
    points = apply_rules(rules=toys, tables=tables, snapshots=snapshots, properties=bundle.data.properties)

    probability, effects, described = contact_effects(
        bundle=bundle, matrix=Matrix(snapshots=snapshots, features=pd.DataFrame(index=[0, 1])), points=points
    )

    assert probability == pytest.approx(sigmoid(np.array([-1.5, -3.0])))
    # What is unknown counts against the average of 4 points, and for what the unknown meant in the past.
    assert effects[1, 1] < 0 == effects[0, 1]
    base = sigmoid(np.array([-2.0 + 0.5 * 0.4]))[0]
    assert base + effects.sum(axis=1) == pytest.approx(probability, abs=1e-12)
    assert described.values.to_numpy().tolist() == [[10, 1], [0, 0]]


def test_where_one_rate_holds_for_all_the_points_rank(small: tuple[Bundle, CrmTables]) -> None:
    bundle, tables = small
    data = bundle.data
    flat = changed(
        bundle,
        use="base_rate",
        reference=data.reference.model_copy(update={"mean_effects": (0.0,) * len(data.contract.features)}),
    )

    rows = score(flat, tables, END)

    scored = rows.loc[rows["not_scored"].isna()]
    assert scored["close_likelihood"].to_numpy() == pytest.approx(data.base_rate)
    by_tier = scored.groupby("tier")["points"]
    assert by_tier.min()["very_high"] >= by_tier.max()["high"] >= by_tier.max()["low"]
    assert set(scored["agreement"]) == {"both_high", "both_low"}


def test_without_rules_there_are_no_points(market: CrmTables, as_of: pd.Timestamp) -> None:
    tables = make_market(contacts=150)
    bundle = train_contacts(tables=tables, as_of=END, settings=make_settings(rules={})).bundle

    rows = score(changed(bundle, calibrated=True), tables, END)

    assert rows[["points", "points_grade", "points_likelihood", "agreement"]].isna().all(axis=None)
    assert_publishable("contacts", rows)


def test_who_was_silent_for_too_long_is_listed_but_not_scored(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    rows = score(changed(trained_contacts.bundle, max_idle_days=60.0), market, as_of)

    told = rows["not_scored"].value_counts()
    assert told["nothing happened for 60 days"] > 100
    assert rows["close_likelihood"].notna().sum() > 50
    assert_publishable("contacts", rows)


def test_a_crm_of_customers_only_is_listed_whole(trained_contacts: Trained, as_of: pd.Timestamp) -> None:
    tables = make_market(contacts=20)
    history = tables["deal_stage_history"]
    links = tables["deal_contacts"]
    won = history.loc[(history["stage"] == "won") & (history["entered_at"] < as_of), "deal_id"]
    customers = links.loc[links["deal_id"].isin(won), "contact_id"]
    frames = {
        **tables.frames,
        "contacts": tables["contacts"].loc[tables["contacts"]["contact_id"].isin(customers)].reset_index(drop=True),
    }

    rows = score(trained_contacts.bundle, CrmTables(frames=frames), as_of)

    assert len(rows) == len(set(customers)) > 0
    assert set(rows["not_scored"]) == {CUSTOMER}
    assert_publishable("contacts", rows)
