"""What the contact question learns as of a cut-off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.feature_contract import FeatureContract
from features.matrix import Matrix
from features.tables import CrmTables
from models.contact_fit import LabelledContacts, category_fields, fit_contacts, label_contacts, points_of, wins_of
from models.contact_start import contact_inputs
from tests.features.builders import SALES_STAGES, make_tables
from tests.models.boosters import CONTRACT, make_features
from tests.models.market import make_market, make_settings

INPUTS = contact_inputs(make_settings())


def time(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def two_contacts(won_at: str = "2025-05-10T00:00:00Z", *, activities: list[dict[str, str]] | None = None) -> CrmTables:
    """Anna wins a deal in May; Ben never has one."""
    return make_tables(
        activities=activities,
        contacts=[
            {"contact_id": name, "created_at": "2025-01-01T00:00:00Z", "industry": "toys"} for name in ("anna", "ben")
        ],
        deals=[{"deal_id": "d1", "created_at": "2025-04-01T00:00:00Z"}],
        deal_contacts=[{"deal_id": "d1", "contact_id": "anna"}],
        deal_stage_history=[
            {"deal_id": "d1", "stage": "demo", "entered_at": "2025-04-01T00:00:00Z"},
            {"deal_id": "d1", "stage": "won", "entered_at": won_at},
        ],
        stages=SALES_STAGES,
    )


def test_a_snapshot_is_positive_if_the_win_comes_within_the_horizon() -> None:
    found = label_contacts(
        tables=two_contacts(),
        start=time("2025-01-01"),
        end=time("2025-06-01"),
        known_until=time("2025-12-01"),
        inputs=INPUTS,
    )

    labels = pd.Series(found.y_obs, index=pd.MultiIndex.from_frame(found.snapshots[["contact_id", "as_of"]]))
    days_to_win = (time("2025-05-10") - found.snapshots["as_of"]) / pd.Timedelta(days=1)
    anna = (found.snapshots["contact_id"] == "anna").to_numpy()
    # One snapshot a month, and none of Anna once she is a customer.
    assert anna.sum() in (4, 5)
    assert (~anna).sum() == 5
    assert labels.to_numpy()[anna].tolist() == (days_to_win[anna] < 90).astype(float).tolist()
    assert labels.to_numpy()[~anna].tolist() == [0.0] * 5
    assert found.winning_contacts() == 1


def test_a_label_whose_horizon_is_not_over_is_not_ripe() -> None:
    found = label_contacts(
        tables=two_contacts(),
        start=time("2025-01-01"),
        end=time("2025-06-01"),
        known_until=time("2025-06-01"),
        inputs=INPUTS,
    )

    ripe = found.ripe()
    open_ended = found.snapshots["as_of"] + pd.Timedelta(days=90) > time("2025-06-01")
    assert np.isnan(found.y_obs).tolist() == open_ended.tolist()
    assert len(ripe.y_obs) == (~open_ended).sum()
    assert ripe.snapshots.index.tolist() == list(range(len(ripe.y_obs)))


def test_positive_snapshots_of_one_contact_are_one_winner() -> None:
    rows = LabelledContacts(
        snapshots=pd.DataFrame({"contact_id": ["a", "a", "b", "c"]}), y_obs=np.array([1.0, 1.0, 0.0, np.nan])
    )

    assert rows.winning_contacts() == 1


def test_a_fit_knows_nothing_after_its_cut_off() -> None:
    cutoff, first = time("2025-05-01"), time("2025-01-01")
    before = two_contacts()
    later = two_contacts(
        "2025-05-20T00:00:00Z",
        activities=[{"contact_id": "ben", "type": "fax", "occurred_at": "2025-05-02T00:00:00Z"}],
    )

    known, foreseen = (
        fit_contacts(tables=tables, cutoff=cutoff, first=first, inputs=INPUTS) for tables in (before, later)
    )

    assert set(known.train.y_obs) == {0.0}
    assert foreseen.train.y_obs.tolist() == known.train.y_obs.tolist()
    assert foreseen.contract.features == known.contract.features
    assert foreseen.contract.kinds == ()


def test_a_fit_on_some_contacts_looks_at_nobody_else_and_says_so() -> None:
    tables = two_contacts(activities=[{"contact_id": "ben", "type": "call", "occurred_at": "2025-02-01T00:00:00Z"}])
    part = tables.with_activities(tables["activities"], complete_for=pd.Index(["ben"]))

    fit = fit_contacts(tables=part, cutoff=time("2025-12-01"), first=time("2025-01-01"), inputs=INPUTS)

    assert set(fit.train.snapshots["contact_id"]) == {"ben"}
    assert (fit.left_out[0].table, fit.left_out[0].column) == ("contacts", "contact_id")
    assert fit.left_out[0].reason.startswith("1 of 2 were not learnt from, but are scored")


def test_without_enough_winners_there_is_no_booster_and_the_base_rate_answers() -> None:
    fit = fit_contacts(tables=two_contacts(), cutoff=time("2025-12-01"), first=time("2025-01-01"), inputs=INPUTS)

    matrix = fit.matrix(tables=two_contacts(), snapshots=fit.train.snapshots)
    rows, positives = len(fit.train.y_obs), fit.train.y_obs.sum()
    assert fit.booster is None
    assert fit.step.rung == "base_rate"
    # Half a positive row among one more row keeps the rate off zero.
    assert fit.base_rate == pytest.approx((positives + 0.5) / (rows + 1))
    assert fit.raw(matrix.features).tolist() == [fit.base_rate] * rows


def test_every_baseline_answers_on_every_row() -> None:
    tables = make_market(contacts=120)
    fit = fit_contacts(tables=tables, cutoff=time("2026-01-01"), first=time("2024-07-01"), inputs=INPUTS)
    snapshots = fit.train.snapshots

    scores = fit.baselines(
        matrix=fit.matrix(tables=tables, snapshots=snapshots),
        points=points_of(tables=tables, snapshots=snapshots, inputs=INPUTS),
    )

    assert set(scores) == {"base_rate", "point_rules", "naive_bayes"}
    for values in scores.values():
        assert values.shape == (len(snapshots),)
        assert np.all((values > 0) & (values < 1))


def test_without_criteria_the_rules_are_no_baseline() -> None:
    tables = make_market(contacts=60)
    inputs = contact_inputs(make_settings(rules={}))
    fit = fit_contacts(tables=tables, cutoff=time("2026-01-01"), first=time("2024-07-01"), inputs=inputs)
    snapshots = fit.train.snapshots

    scores = fit.baselines(
        matrix=fit.matrix(tables=tables, snapshots=snapshots),
        points=points_of(tables=tables, snapshots=snapshots, inputs=inputs),
    )

    assert "point_rules" not in scores


def test_a_fit_without_a_ripe_snapshot_is_empty_but_whole() -> None:
    fit = fit_contacts(tables=two_contacts(), cutoff=time("2025-02-01"), first=time("2025-01-01"), inputs=INPUTS)

    assert len(fit.train.y_obs) == 0
    assert fit.booster is None
    assert fit.naive_bayes is None
    assert fit.base_rate == 0.5


def test_wins_are_listed_in_the_order_of_the_contacts() -> None:
    wins, ids = wins_of(two_contacts())

    assert ids.tolist() == ["anna", "ben"]
    assert np.diff(wins.stream.starts).tolist() == [1, 0]


def test_category_fields_are_words_and_missing_ones_none() -> None:
    features = make_features(40)
    contract = FeatureContract.model_construct(features=CONTRACT)

    fields = category_fields(Matrix(snapshots=pd.DataFrame(), features=features), contract)

    codes = features["category"]
    assert list(fields.columns) == ["category"]
    assert fields["category"].isna().tolist() == codes.isna().tolist()
    assert fields["category"].dropna().tolist() == [f"k{code:.0f}" for code in codes.dropna()]
