"""Training as a whole, for both questions: repeatable, blind to the future, and honest about small data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from features.properties import PropertySettings, SafeColumns
from features.sources.synthetic import SyntheticCrm
from features.tables import CrmTables
from features.visibility import as_known_at
from models.boosting import BoosterSettings
from models.calibration import CalibrationSettings
from models.contact_fit import ContactSettings
from models.contact_training import train_contacts
from models.cutoffs import Cutoffs, SplitSettings, plan_cutoffs
from models.deal_training import train_deals
from models.evaluation import Verdict
from models.training import (
    NothingToLearnError,
    Trained,
    TrainingSettings,
    evaluation_document,
    first_fact,
    in_id_order,
    protocol_of,
    sample_rows,
)
from tests.features.builders import SALES_STAGES, make_tables
from tests.models.market import END, make_market, make_settings
from tests.models.scoring import score

PLAIN = TrainingSettings()
TRAIN: dict[str, Callable[..., Trained]] = {"contacts": train_contacts, "deals": train_deals}
QUESTIONS = pytest.mark.parametrize("question", ["contacts", "deals"])


def shuffled(tables: CrmTables, *, seed: int = 3) -> CrmTables:
    """Return the tables with their rows in another order, except among rows of the same instant."""
    generator = np.random.default_rng(seed)
    frames = {}
    for name, frame in tables.frames.items():
        column = {"activities": "occurred_at", "deal_stage_history": "entered_at"}.get(name)
        group = np.arange(len(frame)) if column is None else frame[column].rank(method="dense").to_numpy()
        place = generator.permutation(len(frame) + 1)[group.astype(int)]
        frames[name] = frame.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    return CrmTables(frames=frames, absent=tables.absent)


def assert_same(first: Trained, second: Trained) -> None:
    assert second.bundle.version == first.bundle.version
    assert second.bundle == first.bundle
    assert second.verdict == first.verdict


@pytest.fixture
def trained(question: str, request: pytest.FixtureRequest) -> Trained:
    found: Trained = request.getfixturevalue(f"trained_{question}")
    return found


@QUESTIONS
def test_a_market_with_plain_signs_is_given_a_model(question: str, trained: Trained) -> None:
    bundle = trained.bundle

    assert trained.verdict.use == "model", trained.verdict.reasons
    assert bundle.data.use == "model"
    assert bundle.data.calibrated
    assert bundle.booster
    assert bundle.version.startswith(f"{question}-20251202T000000Z-")
    assert bundle.evaluation["verdict"]["use"] == "model"
    assert bundle.evaluation["protocol"]["purge_days"] == bundle.evaluation["horizon_days"]


def test_a_bundle_keeps_the_recalibration_that_won_out_of_time_or_none(
    trained_contacts: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    settings = make_settings(horizon_days=30.0, calibration=CalibrationSettings(min_positive_objects=20))
    quick = train_contacts(tables=market, as_of=as_of, settings=settings)

    # The test window is hardly longer than 90 days: no label of its first days is ripe before its last ones begin.
    told = trained_contacts.bundle.evaluation["calibration"]
    assert trained_contacts.bundle.data.calibrator.kind == "none"
    assert max((one["gain"] - one["error"] for one in told["tried"]), default=0.0) <= 0.0
    # So few small trees are too cautious about contacts, whose signs are plain: their log-odds want stretching.
    chosen = quick.bundle.data.calibrator
    assert chosen.kind in ("platt", "beta")
    assert max(chosen.slopes) > 1.2
    assert quick.bundle.evaluation["calibration"]["kind"] == chosen.kind


@QUESTIONS
def test_the_same_input_gives_the_same_model(
    question: str, trained: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    again = TRAIN[question](tables=market, as_of=as_of, settings=make_settings())

    assert_same(trained, again)


@QUESTIONS
def test_facts_after_the_as_of_change_neither_model_nor_scores(
    question: str, trained: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    blind = as_known_at(market, as_of=as_of)
    assert len(blind["activities"]) < len(market["activities"])

    again = TRAIN[question](tables=blind, as_of=as_of, settings=make_settings())

    assert_same(trained, again)
    pd.testing.assert_frame_equal(score(again.bundle, blind, as_of), score(trained.bundle, market, as_of))


@QUESTIONS
def test_the_order_of_rows_changes_neither_model_nor_scores(
    question: str, trained: Trained, market: CrmTables, as_of: pd.Timestamp
) -> None:
    other = shuffled(market)

    again = TRAIN[question](tables=other, as_of=as_of, settings=make_settings())

    assert_same(trained, again)
    scores = score(again.bundle, other, as_of)
    assert scores.index.tolist() != sorted(scores.index)
    pd.testing.assert_frame_equal(scores.sort_index(), score(trained.bundle, market, as_of).sort_index())


@QUESTIONS
def test_the_base_of_the_reasons_is_the_mean_probability_of_a_named_population(question: str, trained: Trained) -> None:
    told = trained.bundle.evaluation

    # The reference population is drawn from the test rows, so its mean lies near the rate that was observed there.
    assert trained.bundle.data.reference.base_rate == pytest.approx(told["base_rate"], rel=0.35)
    assert trained.bundle.data.drivers


@QUESTIONS
@pytest.mark.parametrize("seen", ["stage", "open_deal", "our_activity", "their_activity"])
def test_drivers_tell_families_of_the_question(question: str, trained: Trained, seen: str) -> None:
    families = {driver["family"] for driver in trained.bundle.data.drivers}

    expected = {"stage": {"deals"}, "open_deal": {"contacts"}, "our_activity": set()}.get(seen, {"contacts", "deals"})
    assert (seen in families) == (question in expected)


def test_a_tiny_crm_gets_the_base_rate_and_is_told_the_count(as_of: pd.Timestamp) -> None:
    trained = train_contacts(tables=make_market(contacts=60), as_of=END, settings=make_settings())

    assert trained.verdict.use == "base_rate"
    assert trained.verdict.reasons[0] == (
        "13 winning contacts were found; 20 are needed to put a probability on the points"
    )
    assert trained.bundle.booster == ""


def test_a_small_crm_with_good_rules_gets_its_rules() -> None:
    tables = make_market(contacts=150)

    trained = train_contacts(tables=tables, as_of=END, settings=make_settings())

    assert trained.verdict.use == "rules"
    assert "are needed to try a model" in trained.verdict.reasons[0]
    assert trained.bundle.data.points_map is not None
    assert trained.bundle.data.points_map.slope > 0
    scores = score(
        trained.bundle.__class__(
            data=trained.bundle.data.model_copy(update={"calibrated": True}), booster="", evaluation={}
        ),
        tables,
        END,
    )
    scored = scores.loc[scores["not_scored"].isna()]
    assert scored["close_likelihood"].to_numpy() == pytest.approx(scored["points_likelihood"].to_numpy())


def test_few_closed_deals_get_the_stage_rate() -> None:
    tables = make_market(contacts=80)

    trained = train_deals(tables=tables, as_of=END, settings=make_settings())

    assert trained.verdict.use == "stage_rate"
    assert trained.verdict.reasons[0] == ("23 won and 31 lost deals were found; 40 of each are needed to try a model")
    scores = score(trained.bundle, tables, END)
    assert scores["win_probability"].tolist() == scores["stage_rate_observed"].tolist()


@QUESTIONS
def test_a_model_that_could_not_be_tested_is_not_used(question: str, market: CrmTables, as_of: pd.Timestamp) -> None:
    settings = make_settings(split=SplitSettings(min_train_days=2000.0))

    trained = TRAIN[question](tables=market, as_of=as_of, settings=settings)

    assert trained.evaluation is None
    assert trained.verdict.use == {"contacts": "rules", "deals": "stage_rate"}[question]
    assert trained.verdict.reasons[0].startswith("not proven:")
    assert trained.bundle.evaluation["scorers"] == {}
    assert trained.bundle.evaluation["verdict"]["use"] == trained.verdict.use
    scores = score(trained.bundle, market, as_of)
    assert scores.loc[scores["not_scored"].isna(), "reasons"].notna().all()


def test_without_rules_an_unproven_question_gets_the_base_rate(market: CrmTables, as_of: pd.Timestamp) -> None:
    settings = make_settings(split=SplitSettings(min_train_days=2000.0), rules={})

    trained = train_contacts(tables=market, as_of=as_of, settings=settings)

    assert trained.verdict.use == "base_rate"
    assert trained.bundle.data.points_map is None


@QUESTIONS
def test_nothing_to_learn_from_is_said(question: str) -> None:
    empty = make_tables(stages=SALES_STAGES)

    with pytest.raises(NothingToLearnError, match=f"{question} cannot be scored") as raised:
        TRAIN[question](tables=empty, as_of=END, settings=make_settings())

    assert raised.value.question == question


def test_contacts_that_are_all_new_cannot_teach() -> None:
    tables = make_tables(contacts=[{"created_at": "2025-12-01T00:00:00Z"}], stages=SALES_STAGES)

    with pytest.raises(NothingToLearnError, match="no contact was seen for a whole 90 days"):
        train_contacts(tables=tables, as_of=END, settings=PLAIN)


def test_deals_that_are_all_open_cannot_teach() -> None:
    tables = make_tables(
        deals=[{"created_at": "2025-06-01T00:00:00Z"}],
        deal_stage_history=[{"entered_at": "2025-06-01T00:00:00Z"}],
        stages=SALES_STAGES,
    )

    with pytest.raises(NothingToLearnError, match="no deal that was open for a while had closed"):
        train_deals(tables=tables, as_of=END, settings=PLAIN)


def single_deal(*, opened: str, won: str) -> CrmTables:
    return make_tables(
        deals=[{"deal_id": "d1", "created_at": opened}],
        deal_stage_history=[
            {"deal_id": "d1", "entered_at": opened},
            {"deal_id": "d1", "entered_at": won, "stage": "won"},
        ],
        stages=SALES_STAGES,
    )


@pytest.mark.parametrize(
    ("opened", "won"),
    [
        ("2025-06-01T00:00:00Z", "2025-06-20T00:00:00Z"),
        ("2025-12-31T00:00:00Z", "2025-12-31T23:00:00Z"),
    ],
)
def test_a_single_closed_deal_teaches_a_stage_rate(opened: str, won: str) -> None:
    tables = single_deal(opened=opened, won=won)

    trained = train_deals(tables=tables, as_of=END, settings=PLAIN)

    assert trained.verdict.use == "stage_rate"
    assert trained.verdict.reasons[-1].startswith("1 won and 0 lost deals were found")


def test_a_deal_that_was_open_for_seconds_only_cannot_teach() -> None:
    tables = single_deal(opened="2025-12-31T23:59:00Z", won="2025-12-31T23:59:30Z")

    with pytest.raises(NothingToLearnError, match="no deal that was open for a while had closed"):
        train_deals(tables=tables, as_of=END, settings=PLAIN)


def test_on_a_simulated_crm_the_model_comes_closer_to_the_truth_than_the_base_rate(synthetic: SyntheticCrm) -> None:
    settings = make_settings(
        properties=PropertySettings(contacts=SafeColumns(safe=("industry", "country", "source"))),
        rules={},
        contacts=ContactSettings(booster=BoosterSettings(trees=150, threads=1)),
    )

    trained = train_contacts(tables=synthetic.tables, as_of=END, settings=settings)

    assert trained.verdict.use == "model"
    rows = score(trained.bundle, synthetic.tables, END)
    truth = synthetic.truth.contact_probability(END.to_pydatetime(), draws=100).set_index("contact_id")
    scored = rows.loc[rows["not_scored"].isna()].join(truth["customer_within_horizon"], how="inner")
    assert len(scored) > 1000
    off = (scored["close_likelihood"] - scored["customer_within_horizon"]).abs().mean()
    off_base = (trained.bundle.data.base_rate - scored["customer_within_horizon"]).abs().mean()
    assert off < 0.75 * off_base


def test_first_fact_is_the_first_object() -> None:
    tables = make_tables(
        contacts=[{"created_at": "2024-03-01T00:00:00Z"}, {"created_at": "2024-02-01T00:00:00Z"}],
        activities=[{"occurred_at": "2020-01-01T00:00:00Z"}],
    )

    assert first_fact(tables, question="contacts") == pd.Timestamp("2024-02-01", tz="UTC")


def test_contacts_and_deals_are_put_in_the_order_of_their_ids() -> None:
    tables = make_tables(
        contacts=[{"contact_id": "b"}, {"contact_id": "a"}],
        deals=[{"deal_id": "y"}, {"deal_id": "x"}],
        owners=[{"owner_id": "2"}, {"owner_id": "1"}],
    )

    ordered = in_id_order(tables)

    assert ordered["contacts"]["contact_id"].tolist() == ["a", "b"]
    assert ordered["deals"]["deal_id"].tolist() == ["x", "y"]
    assert ordered["owners"]["owner_id"].tolist() == ["2", "1"]
    assert ordered.absent == tables.absent


def plan(history_days: float) -> Cutoffs:
    return plan_cutoffs(
        first=END - pd.Timedelta(days=history_days), now=END, horizon_days=90.0, settings=SplitSettings()
    )


def test_the_protocol_states_the_windows() -> None:
    protocol = protocol_of(plan(1000))

    assert protocol.train_to == protocol.test_from == END - pd.Timedelta(days=270)
    assert protocol.test_to == END - pd.Timedelta(days=90)
    assert protocol.purge_days == 90.0


def test_without_a_test_the_document_says_only_what_is_known() -> None:
    cutoffs = plan(100)
    verdict = Verdict(use="rules", reasons=("not proven",))

    document = evaluation_document(question="contacts", evaluation=None, cutoffs=cutoffs, verdict=verdict)

    assert document["protocol"] == {
        "train_from": "2025-09-23T00:00:00+00:00", "train_to": None, "calibrate_from": None, "calibrate_to": None,
        "test_from": None, "test_to": None, "purge_days": 90.0, "note": cutoffs.note(),
    }  # fmt: skip
    assert document["base_rate"] is None
    assert document["verdict"] == {"use": "rules", "reasons": ["not proven"], "promote": True, "answer": ""}


@pytest.mark.parametrize(
    ("count", "most", "rows"),
    [(0, 5, []), (3, 5, [0, 1, 2]), (5, 3, [0, 2, 4]), (1, 1, [0])],
)
def test_sampled_rows_are_spread_evenly(count: int, most: int, rows: list[int]) -> None:
    assert sample_rows(count, most=most).tolist() == rows


@pytest.mark.parametrize("change", [{"seed": 8}, {"horizon_days": 60.0}, {"rules": {}}, {"split": {"test_share": 0.3}}])
def test_every_setting_is_in_the_digest(change: dict[str, Any]) -> None:
    assert make_settings(**change).digest() != make_settings().digest() == make_settings().digest()


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="horizon"):
        TrainingSettings.model_validate({"horizon": 90})
