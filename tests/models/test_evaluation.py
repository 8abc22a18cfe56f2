"""Behaviour of models.evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from models.calibration_error import ece, integrated_calibration, recalibration
from models.evaluation import GAIN_SHARES, Evaluation, EvaluationError, Protocol, Verdict, evaluate, share_that_holds
from models.metrics import auc, auc_within, brier, brier_skill, capture, lift, log_loss, pr_auc, predicted_over_observed

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
PROTOCOL = Protocol(
    train_from=datetime(2024, 1, 1, tzinfo=UTC),
    train_to=datetime(2025, 1, 1, tzinfo=UTC),
    calibrate_from=None,
    calibrate_to=None,
    test_from=datetime(2025, 4, 1, tzinfo=UTC),
    test_to=datetime(2025, 12, 1, tzinfo=UTC),
    purge_days=90.0,
    note="one test window",
)


def make_rows(*, rows: int = 400, seed: int = 1) -> dict[str, Any]:
    """Three rows for each deal; the model knows the log odds that a deal was drawn from, the rules only half."""
    generator = np.random.default_rng(seed)
    objects = np.arange(rows) // 3
    log_odds = generator.normal(-1.5, 1.5, rows // 3 + 1)
    won = generator.random(rows // 3 + 1) < 1 / (1 + np.exp(-log_odds))
    noise = generator.normal(0.0, 2.0, rows)
    return {
        "y_obs": won[objects].astype(float),
        "scores": {
            "model": 1 / (1 + np.exp(-log_odds[objects])),
            "point_rules": np.round(1 / (1 + np.exp(-(log_odds[objects] + noise))), 1),
            "base_rate": np.full(rows, 0.25),
        },
        "labels": {"model": "Model", "point_rules": "Point rules", "base_rate": "Base rate"},
        "objects": np.array([f"deal-{number}" for number in objects], dtype=object),
        "stage": np.array(["demo", "offer"])[np.arange(rows) % 2],
    }


def run(**changes: Any) -> Evaluation:
    arguments: dict[str, Any] = {
        "question": "deals",
        "as_of": AS_OF,
        "horizon_days": 90,
        "protocol": PROTOCOL,
        "replicates": 40,
        "seed": 7,
        **make_rows(),
        **changes,
    }
    return evaluate(**arguments)


def test_the_json_has_the_agreed_shape() -> None:
    plain = run(segments={"stage": make_rows()["stage"]}).to_dict()

    assert list(plain) == [
        "question", "as_of", "horizon_days", "protocol", "rows", "objects", "positives", "positive_objects",
        "base_rate", "scorers", "differences", "segments",
    ]  # fmt: skip
    assert plain["as_of"] == "2026-03-01T00:00:00+00:00"
    assert plain["protocol"]["calibrate_from"] is None
    scorer = plain["scorers"]["model"]
    assert list(scorer) == ["label", "metrics", "reliability", "gains", "calibration_null"]
    assert list(scorer["metrics"]) == [
        "log_loss", "brier", "brier_skill", "auc", "pr_auc", "auc_within_stage", "lift_10", "lift_20", "capture_10",
        "capture_20", "reach_60", "predicted_over_observed", "slope", "ece", "ici",
    ]  # fmt: skip
    assert list(scorer["metrics"]["auc"]) == ["value", "low", "high"]
    assert list(scorer["reliability"][0]) == ["predicted", "observed", "low", "high", "rows"]
    assert len(scorer["reliability"]) <= 10
    assert scorer["gains"][0]["share"] == 0.05
    assert scorer["gains"][-1] == {"share": 1.0, "captured": pytest.approx(1.0)}
    assert list(scorer["calibration_null"]) == ["ece_95", "ici_95"]
    assert list(plain["differences"]) == ["point_rules", "base_rate"]
    assert list(plain["differences"]["base_rate"]) == ["log_loss", "brier", "auc", "auc_within_stage"]
    assert list(plain["segments"][0]) == [
        "segment", "value", "rows", "objects", "positives", "observed", "low", "high", "predicted", "chance",
    ]  # fmt: skip


def test_what_is_undefined_is_null_and_the_json_is_finite() -> None:
    plain = run().to_dict()

    json.dumps(plain, allow_nan=False)
    assert plain["scorers"]["base_rate"]["metrics"]["slope"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_class_only_is_evaluated_without_error(outcome: float) -> None:
    plain = run(y_obs=np.full(400, outcome)).to_dict()

    json.dumps(plain, allow_nan=False)
    assert plain["scorers"]["model"]["metrics"]["auc"]["value"] is None
    assert plain["scorers"]["model"]["metrics"]["log_loss"]["value"] > 0.0


def test_rows_and_objects_are_counted_apart() -> None:
    evaluation = run(
        y_obs=np.array([1, 1, 0, 0, 1]),
        scores={"model": np.array([0.9, 0.8, 0.2, 0.1, 0.5])},
        labels={"model": "Model"},
        objects=np.array(["a", "a", "b", "b", "c"]),
        stage=None,
    )

    counts = (evaluation.rows, evaluation.objects, evaluation.positives, evaluation.positive_objects)
    assert counts == (5, 3, 3, 2)
    assert evaluation.base_rate == pytest.approx(3 / 5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["model", "point_rules", "base_rate"])
def test_every_value_is_that_of_its_own_function(name: str, weighted: bool) -> None:
    rows = make_rows()
    weight = np.random.default_rng(3).random(400) if weighted else None
    common: dict[str, Any] = {"y_obs": rows["y_obs"], "y_pred": rows["scores"][name], "weight": weight}

    metrics = run(weight=weight).scorers[name].metrics

    expected = {
        "log_loss": log_loss(**common),
        "brier": brier(**common),
        "brier_skill": brier_skill(**common),
        "auc": auc(**common),
        "pr_auc": pr_auc(**common),
        "auc_within_stage": auc_within(**common, strata=rows["stage"]),
        "lift_10": lift(**common, share=0.1),
        "lift_20": lift(**common, share=0.2),
        "capture_10": capture(**common, share=0.1),
        "capture_20": capture(**common, share=0.2),
        "reach_60": share_that_holds(np.array([[capture(**common, share=share) for share in GAIN_SHARES]]), wanted=0.6)[
            0
        ],
        "predicted_over_observed": predicted_over_observed(**common),
        "slope": recalibration(**common).slope,
        "ece": ece(**common),
        "ici": integrated_calibration(**common).ici,
    }
    assert {metric: part.value for metric, part in metrics.items()} == pytest.approx(expected, nan_ok=True)


def test_the_list_that_holds_sixty_percent_lies_between_two_measured_shares() -> None:
    """The first 5 % hold 40 % of the wins, the first 10 % hold 80 %: half of the second step is wanted."""
    held = np.minimum(1.0, 0.4 * np.arange(1, 21))

    found = share_that_holds(np.array([held, np.full(20, np.nan)]), wanted=0.6)

    assert found[0] == pytest.approx(0.075)
    assert np.isnan(found[1])


def test_contacts_without_an_open_deal_are_ranked_apart() -> None:
    rows = make_rows()
    warm = np.arange(400) % 4 == 0

    evaluation = run(question="contacts", has_open_deal=warm, stage=None)

    expected = auc(y_obs=rows["y_obs"][~warm], y_pred=rows["scores"]["model"][~warm])
    metrics = evaluation.scorers["model"].metrics
    assert metrics["auc_no_open_deal"].value == pytest.approx(expected)
    assert "auc_within_stage" not in metrics


def test_differences_are_model_minus_baseline_and_paired() -> None:
    rows = make_rows()
    twin = {"model": rows["scores"]["model"], "twin": rows["scores"]["model"], "rules": rows["scores"]["point_rules"]}

    evaluation = run(scores=twin, labels={name: name for name in twin})

    same = evaluation.differences["twin"]["log_loss"]
    better = evaluation.differences["rules"]["brier"]
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    scorers = evaluation.scorers
    assert better.value == scorers["model"].metrics["brier"].value - scorers["rules"].metrics["brier"].value
    assert better.low <= better.value <= better.high < 0.0


def test_intervals_are_those_of_objects_and_not_of_rows() -> None:
    by_object = run(replicates=200).scorers["model"].metrics["log_loss"]
    by_row = run(replicates=200, objects=np.arange(400)).scorers["model"].metrics["log_loss"]

    assert by_object.value == by_row.value
    # Three rows of a deal say the same thing, so the interval is about the square root of three wider.
    assert 1.4 < (by_object.high - by_object.low) / (by_row.high - by_row.low) < 2.1


def test_a_seed_gives_the_same_evaluation_and_another_seed_other_intervals() -> None:
    first, again, other = run(), run(), run(seed=8)

    assert first.to_dict() == again.to_dict()
    assert first.scorers["model"].metrics["auc"] != other.scorers["model"].metrics["auc"]
    assert first.scorers["model"].metrics["auc"].value == other.scorers["model"].metrics["auc"].value


def test_segments_show_observed_and_predicted_largest_first() -> None:
    evaluation = run(
        y_obs=np.array([1, 0, 1, 0]),
        scores={"model": np.array([0.9, 0.1, 0.6, 0.2])},
        labels={"model": "Model"},
        objects=np.array(["a", "b", "c", "c"]),
        stage=None,
        weight=np.array([1.0, 1.0, 3.0, 1.0]),
        segments={"source": np.array(["web", None, "fair", "fair"], dtype=object)},
    )

    fair, missing, web = evaluation.segments
    assert [part.value for part in (fair, missing, web)] == ["fair", "missing", "web"]
    assert (fair.rows, fair.objects, fair.positives) == (2, 1, 1)
    assert fair.observed == pytest.approx(3 / 4)
    # One object, whose rows share one outcome with the mean probability .5: 1.96 x sqrt(.5 x .5).
    assert fair.chance["model"] == pytest.approx(0.98, abs=1e-3)
    assert not fair.is_off("model")
    assert fair.predicted["model"] == pytest.approx((3 * 0.6 + 0.2) / 4)
    assert (missing.observed, web.observed) == (0.0, 1.0)


def test_a_verdict_is_in_the_json_once_it_was_given() -> None:
    judged = replace(run(), verdict=Verdict(use="rules", reasons=("too few wins",)))

    assert judged.to_dict()["verdict"] == {
        "use": "rules",
        "reasons": ["too few wins"],
        "promote": True,
        "answer": "",
    }


def test_without_a_model_the_baselines_are_measured_alone() -> None:
    evaluation = run(scores={"base_rate": np.full(400, 0.25)})

    assert evaluation.differences == {}
    assert list(evaluation.scorers) == ["base_rate"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_obs": np.array([]), "scores": {}, "objects": np.array([])}, "at least one test row"),
        ({"y_obs": np.append(np.nan, np.zeros(399))}, "must be 0 or 1, found nan"),
        ({"scores": {"model": np.append(np.nan, np.zeros(399))}}, "'model' must give a probability .* found nan"),
        ({"scores": {"model": np.full(400, 1.5)}}, "found 1.5 among 400 bad"),
        ({"scores": {"model": np.zeros(3)}}, "one value for each of the 400 rows, found 3"),
        ({"scores": {"rival": np.zeros(400)}}, "'rival' must have a label"),
        ({"weight": np.full(400, -1.0)}, "not negative"),
        ({"weight": np.zeros(400)}, "above zero"),
        ({"stage": np.array(["demo"])}, "'stage' must have one value"),
        ({"segments": {"source": np.array(["web"])}}, "'source' must have one value"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        run(**changes)
