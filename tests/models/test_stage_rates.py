"""Behaviour of models.stage_rates."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from models.stage_rates import ManualStageProbabilities, StageRateError, StageRates


def text(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def small_rates() -> StageRates:
    # Deal a (won) was seen twice in demo, deal b (lost) once in demo and once in offer, deal c (won) once elsewhere.
    return StageRates.fit(
        pipeline=text("sales", "sales", "sales", "sales", "renewal"),
        stage=text("demo", "demo", "demo", "offer", "demo"),
        y=np.array([1, 1, 0, 0, 1]),
        deal_id=text("a", "a", "b", "b", "c"),
        pseudo_deals=2.0,
    )


def test_a_rate_leans_on_its_parent_by_distinct_deals() -> None:
    rates = small_rates()

    overall = (3 * 0.6 + 1 * 0.5) / 4
    sales = (2 * 0.5 + 2 * overall) / 4
    demo = (2 * (2 / 3) + 2 * sales) / 4
    offer = (1 * 0.0 + 2 * sales) / 3
    assert rates.overall == pytest.approx(overall)
    assert rates.pipelines["sales"] == pytest.approx(sales)
    assert rates.predict(pipeline=text("sales", "sales"), stage=text("demo", "offer")) == pytest.approx([demo, offer])


def test_repeating_a_deal_s_rows_does_not_strengthen_its_stage() -> None:
    once = StageRates.fit(pipeline=text("p", "p"), stage=text("x", "y"), y=np.array([1, 0]), deal_id=text("a", "b"))
    often = StageRates.fit(
        pipeline=text("p", "p", "p", "p"),
        stage=text("x", "x", "y", "y"),
        y=np.array([1, 1, 0, 0]),
        deal_id=text("a", "a", "b", "b"),
    )

    assert often == once


def test_row_weights_weigh_the_mean() -> None:
    weighted = StageRates.fit(
        pipeline=text("p", "p"),
        stage=text("x", "x"),
        y=np.array([1, 0]),
        deal_id=text("a", "b"),
        weight=np.array([3.0, 1.0]),
        pseudo_deals=0.0,
    )

    assert weighted.predict(pipeline=text("p"), stage=text("x")) == pytest.approx([0.75])


def test_an_unseen_stage_takes_the_pipeline_s_rate_and_an_unseen_pipeline_the_overall_one() -> None:
    rates = small_rates()

    predicted = rates.predict(pipeline=text("sales", "partner"), stage=text("closing", "demo"))

    assert predicted.tolist() == [rates.pipelines["sales"], rates.overall]


def test_no_rate_is_certain_even_if_every_deal_was_lost() -> None:
    rates = StageRates.fit(pipeline=text("p"), stage=text("x"), y=np.array([0]), deal_id=text("a"))

    assert 0.0 < rates.predict(pipeline=text("p"), stage=text("x"))[0] < 0.5


def test_saving_and_loading_gives_the_same_rates() -> None:
    rates = small_rates()

    assert StageRates.from_dict(json.loads(json.dumps(rates.to_dict()))) == rates


def test_no_snapshot_is_refused() -> None:
    with pytest.raises(StageRateError, match="at least one snapshot"):
        StageRates.fit(pipeline=text(), stage=text(), y=np.array([]), deal_id=text())


def manual() -> ManualStageProbabilities:
    stages = pd.DataFrame(
        {
            "pipeline": ["sales"] * 4,
            "stage": ["demo", "offer", "won", "lost"],
            "probability": [0.4, np.nan, 1.0, 0.0],
        }
    )
    return ManualStageProbabilities.from_stages(stages=stages, base_rate=0.23)


def test_a_stated_probability_is_used_and_a_missing_one_is_the_base_rate() -> None:
    predicted = manual().predict(pipeline=text("sales", "sales", "other"), stage=text("demo", "offer", "demo"))

    assert predicted.tolist() == [0.4, 0.23, 0.23]


def test_stated_certainty_is_softened_so_that_log_loss_stays_finite() -> None:
    predicted = manual().predict(pipeline=text("sales", "sales"), stage=text("won", "lost"))

    assert predicted.tolist() == [0.999, 0.001]


def test_saving_and_loading_gives_the_same_manual_probabilities() -> None:
    assert ManualStageProbabilities.from_dict(json.loads(json.dumps(manual().to_dict()))) == manual()
