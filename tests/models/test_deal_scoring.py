"""Published rows for deals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.bundle import Bundle
from models.calibration import Calibrator
from models.contact_scoring import RANK_ONLY
from models.deal_scoring import NO_STAGE
from models.training import Trained
from tests.features.builders import make_frame
from tests.models.scoring import assert_publishable, score


def changed(bundle: Bundle, **data: object) -> Bundle:
    return replace(bundle, data=bundle.data.model_copy(update=data))


def with_rows(tables: CrmTables, table: str, *rows: dict[str, object]) -> CrmTables:
    frame = pd.concat([tables[table], make_frame(table, list(rows)).reindex(columns=tables[table].columns)])
    return CrmTables(frames={**tables.frames, table: frame.reset_index(drop=True)}, absent=tables.absent)


@pytest.fixture(scope="module")
def rows(trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp) -> pd.DataFrame:
    return score(trained_deals.bundle, market, as_of)


@pytest.fixture
def hot(market: CrmTables, rows: pd.DataFrame) -> pd.Series:
    """Which of the open deals have a contact who asked for a demo."""
    asked = market["activities"].query("type == 'demo_request'")["contact_id"]
    links = market["deal_contacts"].set_index("deal_id")["contact_id"]
    return links[rows.index].isin(asked)


def test_every_open_deal_is_listed_once_and_the_rows_can_be_published(
    rows: pd.DataFrame, market: CrmTables, as_of: pd.Timestamp
) -> None:
    history = market["deal_stage_history"].query("entered_at < @as_of")
    last = history.sort_values("entered_at").groupby("deal_id")["stage"].last()

    assert sorted(rows.index) == sorted(last.index[last.isin(["demo", "offer"])])
    assert rows["stage"].to_dict() == last[rows.index].to_dict()
    assert_publishable("deals", rows)


def test_reasons_add_up_to_every_published_probability(rows: pd.DataFrame) -> None:
    for probability, base_rate, text in zip(rows["win_probability"], rows["base_rate"], rows["reasons"], strict=True):
        reasons = json.loads(text)
        assert base_rate + sum(reason["effect"] for reason in reasons) == pytest.approx(probability, abs=1e-9)
        for reason in reasons:
            assert sum(part["effect"] for part in reason["features"]) == pytest.approx(reason["effect"], abs=1e-9)


def test_hot_deals_are_told_from_cold_ones_and_why(rows: pd.DataFrame, hot: pd.Series) -> None:
    assert rows.loc[hot, "win_probability"].mean() > 0.7
    assert rows.loc[~hot, "win_probability"].mean() < 0.25
    behaviour = {"their_activity", "our_activity", "recency", "activity"}
    first = rows.loc[hot, "reasons"].map(lambda text: json.loads(text)[0]["family"])
    assert first.isin(behaviour).mean() > 0.8


def test_the_win_curve_is_in_order(rows: pd.DataFrame, trained_deals: Trained, as_of: pd.Timestamp) -> None:
    longest = pd.Timedelta(days=trained_deals.bundle.data.shared_edges[-1] + 1)

    assert (rows["expected_close_low"] <= rows["expected_close_at"]).all()
    assert (rows["expected_close_at"] <= rows["expected_close_high"]).all()
    assert (rows["expected_close_low"] >= as_of).all()
    assert (rows["expected_close_high"] <= as_of + longest).all()
    assert (rows["win_within_horizon"] <= rows["win_probability"] + 1e-12).all()


def test_a_shorter_horizon_means_fewer_wins_within_it(
    rows: pd.DataFrame, trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    soon = score(changed(trained_deals.bundle, horizon_days=10.0), market, as_of)

    assert (soon["win_within_horizon"] < rows["win_within_horizon"]).all()
    assert soon["win_probability"].equals(rows["win_probability"])


def test_baselines_amount_and_value_stand_beside_it(rows: pd.DataFrame, market: CrmTables) -> None:
    amount = market["deals"].set_index("deal_id")["amount"][rows.index]

    manual = rows["stage"].map({"demo": 0.2, "offer": 0.5})
    assert rows["stage_probability_manual"].tolist() == manual.tolist()
    assert rows.groupby("stage")["stage_rate_observed"].nunique().tolist() == [1, 1]
    assert rows["amount"].tolist() == amount.tolist()
    assert rows["expected_value"].to_numpy() == pytest.approx((amount * rows["win_probability"]).to_numpy())


def test_days_in_stage_decide_what_is_stalled(
    rows: pd.DataFrame, trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    strict = changed(trained_deals.bundle, stall_days={"sales/demo": 10.0})

    found = score(strict, market, as_of)

    assert found["stalled"].tolist() == ((rows["stage"] == "demo") & (rows["days_in_stage"] > 10.0)).tolist()
    assert 0 < found["stalled"].sum() < len(found)


def test_a_deal_without_a_stage_is_listed_but_not_scored(
    trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp, rows: pd.DataFrame
) -> None:
    tables = with_rows(market, "deals", {"deal_id": "new", "created_at": as_of - pd.Timedelta(days=1)})

    found = score(trained_deals.bundle, tables, as_of)

    assert found.loc["new", "not_scored"] == NO_STAGE
    assert found.loc["new", ["win_probability", "stage", "reasons"]].isna().all()
    assert len(found) == len(rows) + 1
    assert_publishable("deals", found)


def test_without_an_open_deal_there_is_nothing_to_publish(trained_deals: Trained, market: CrmTables) -> None:
    long_after = pd.Timestamp("2024-07-03", tz="UTC")

    found = score(trained_deals.bundle, market, long_after)

    assert len(found) == 0
    assert_publishable("deals", found)


def test_a_calibrator_is_applied_and_explained(
    trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp, rows: pd.DataFrame
) -> None:
    plain = changed(trained_deals.bundle, calibrator=Calibrator())
    moved = changed(trained_deals.bundle, calibrator=Calibrator(kind="platt", slope=0.6, intercept=0.5))

    before, after = score(plain, market, as_of), score(moved, market, as_of)

    raw = before["win_probability"]
    expected = 1 / (1 + np.exp(-0.5 - 0.6 * np.log(raw / (1 - raw))))
    assert after["win_probability"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-12)
    # The curve is brought along by the same factor as its end.
    assert (after["win_within_horizon"] / after["win_probability"]).to_numpy() == pytest.approx(
        (before["win_within_horizon"] / before["win_probability"]).to_numpy()
    )
    assert_publishable("deals", after)


def test_probabilities_that_failed_their_test_are_not_published(
    trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    found = score(changed(trained_deals.bundle, calibrated=False), market, as_of)

    assert set(found["not_scored"]) == {RANK_ONLY}
    assert found[["win_probability", "win_low", "expected_value", "reasons"]].isna().all(axis=None)
    assert found["stage_rate_observed"].notna().all()
    assert_publishable("deals", found)


@pytest.mark.parametrize(
    ("use", "column", "family"),
    [
        ("stage_rate", "stage_rate_observed", "stage"),
        ("rules", "points_likelihood", "people"),
        ("base_rate", None, None),
    ],
)
def test_a_fallback_is_published_and_explained_by_what_it_rests_on(
    use: str,
    column: str | None,
    family: str | None,
    trained_deals: Trained,
    market: CrmTables,
    as_of: pd.Timestamp,
) -> None:
    data = trained_deals.bundle.data
    none = data.reference.model_copy(
        update={"base_rate": data.base_rate, "mean_effects": (0.0,) * len(data.contract.features)}
    )
    bundle = changed(trained_deals.bundle, use=use, calibrator=Calibrator(), reference=none)

    found = score(bundle, market, as_of)

    expected = np.full(len(found), data.base_rate) if column is None else found[column].to_numpy()
    assert found["win_probability"].to_numpy() == pytest.approx(expected, abs=1e-12)
    told = {reason["family"] for text in found["reasons"] for reason in json.loads(text) if reason["effect"]}
    assert told == ({family} if family else set())
    assert_publishable("deals", found)


def test_the_trend_is_told_against_the_previous_batch(
    rows: pd.DataFrame, trained_deals: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    one, two, three = rows.index[:3]
    previous = rows.loc[[one, two], "win_probability"] + np.array([0.2, -0.2])

    found = score(trained_deals.bundle, market, as_of, previous=previous)

    assert found.loc[[one, two], "trend"].tolist() == ["down", "up"]
    assert pd.isna(found.loc[three, "trend"])
