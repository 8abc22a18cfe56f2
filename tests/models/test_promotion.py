"""The verdict, from made-up evaluations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.calibration_error import NullBands
from models.evaluation import Estimate, Evaluation, Protocol, ScorerEvaluation
from models.gate import GateSettings, best_fallback, calibration_failures
from models.ladder import Rung, Step
from models.promotion import Evidence, judge

MODEL_STEP = Step("model", "500 winning contacts were found, enough for the full model")
LABELS = {
    "model": "the model",
    "point_rules": "your point rules",
    "stage_observed": "the observed stage rate",
    "stage_manual": "the manual stage probability",
    "naive_bayes": "naive Bayes",
    "base_rate": "the base rate",
}


def make_scorer(name: str, *, log_loss: float, ratio: float = 1.0, ici: float = 0.002) -> ScorerEvaluation:
    values = {"log_loss": log_loss, "predicted_over_observed": ratio, "ici": ici}
    return ScorerEvaluation(
        label=LABELS[name],
        metrics={metric: Estimate(value, value, value) for metric, value in values.items()},
        reliability=(),
        gains=(),
        calibration_null=NullBands(ece_95=0.01, ici_95=0.005),
    )


def make_evaluation(
    *,
    losses: dict[str, float] | None = None,
    leads: dict[str, tuple[float, float, float]] | None = None,
    winners: int = 60,
    ratio: float = 1.0,
    ici: float = 0.002,
) -> Evaluation:
    """An evaluation whose model beats the rules by .02 and the base rate by .05, unless told otherwise."""
    losses = {"model": 0.30, "point_rules": 0.32, "base_rate": 0.35} if losses is None else losses
    leads = {"point_rules": (-0.02, -0.03, -0.01), "base_rate": (-0.05, -0.07, -0.03)} if leads is None else leads
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Evaluation(
        question="contacts",
        as_of=moment,
        horizon_days=90.0,
        protocol=Protocol(None, None, None, None, moment, moment, 90.0, "made up"),
        rows=1000,
        objects=400,
        positives=150,
        positive_objects=winners,
        base_rate=0.15,
        scorers={
            name: make_scorer(name, log_loss=loss, **({"ratio": ratio, "ici": ici} if name == "model" else {}))
            for name, loss in losses.items()
        },
        differences={name: {"log_loss": Estimate(*lead)} for name, lead in leads.items()},
        segments=(),
    )


def verdict_on(evaluation: Evaluation | None, *, step: Step = MODEL_STEP) -> tuple[str, tuple[str, ...]]:
    evidence = Evidence(evaluation=evaluation, step=step, note="the history is short", suspects={})
    verdict = judge(evidence, settings=GateSettings(), publishable=("rules", "base_rate", "stage_rate"))
    return verdict.use, verdict.reasons


def test_a_model_that_clearly_wins_is_used_and_its_lead_is_told() -> None:
    use, reasons = verdict_on(make_evaluation())

    assert use == "model"
    assert "your point rules" in reasons[0]
    assert "log loss -0.0200, 95 % -0.0300 to -0.0100" in reasons[0]
    assert reasons[1] == "its percentages hold: it predicted 1.00 times the wins that came"


def test_a_model_that_loses_to_the_rules_gives_way_to_them() -> None:
    use, reasons = verdict_on(
        make_evaluation(
            losses={"model": 0.33, "point_rules": 0.32, "base_rate": 0.35},
            leads={"point_rules": (0.01, -0.01, 0.03), "base_rate": (-0.02, -0.03, -0.01)},
        )
    )

    assert use == "rules"
    assert reasons == (
        "it does not beat your point rules (log loss +0.0100, 95 % -0.0100 to +0.0300)",
        "best on the same test: your point rules (log loss 0.3200)",
    )


def test_a_lead_that_may_be_chance_is_no_lead() -> None:
    use, reasons = verdict_on(
        make_evaluation(leads={"point_rules": (-0.02, -0.05, 0.001), "base_rate": (-0.05, -0.07, -0.03)})
    )

    assert use == "rules"
    assert reasons[0].startswith("its lead over your point rules may be chance (log loss -0.0200")


def test_an_undefined_interval_proves_nothing() -> None:
    nan = float("nan")

    use, _ = verdict_on(make_evaluation(leads={"point_rules": (-0.02, nan, nan), "base_rate": (-0.05, -0.07, -0.03)}))

    assert use == "rules"


def test_a_baseline_that_cannot_be_published_must_be_beaten_too_but_not_beyond_chance() -> None:
    losses = {"model": 0.30, "naive_bayes": 0.31, "base_rate": 0.35}
    base = {"base_rate": (-0.05, -0.07, -0.03)}

    ahead, _ = verdict_on(make_evaluation(losses=losses, leads={"naive_bayes": (-0.01, -0.03, 0.01), **base}))
    behind, reasons = verdict_on(
        make_evaluation(losses={**losses, "naive_bayes": 0.29}, leads={"naive_bayes": (0.01, -0.01, 0.03), **base})
    )

    assert ahead == "model"
    assert behind == "base_rate"
    assert reasons[0].startswith("it does not beat naive Bayes")


def test_too_few_winners_in_the_test_prove_nothing() -> None:
    enough, _ = verdict_on(make_evaluation(winners=20))
    few, reasons = verdict_on(make_evaluation(winners=19))

    assert (enough, few) == ("model", "rules")
    assert reasons[0] == "the test holds 19 winners; 20 are needed"


def test_a_miscalibrated_model_may_rank_but_not_name_percentages() -> None:
    evaluation = make_evaluation(ratio=1.4, ici=0.04)

    use, reasons = verdict_on(evaluation)

    assert use == "model"
    assert calibration_failures(evaluation, "model", settings=GateSettings()) == [
        "it predicted 1.40 times the wins that came (95 % 1.40 to 1.40, allowed 0.8 to 1.25)",
        # Chance gives .005, and .01 more is allowed.
        "its probabilities were off by 4.0 points on average; chance and the allowed margin explain 1.5",
    ]
    assert reasons[1].startswith("its order may be used, its percentages may not, so none are published")


@pytest.mark.parametrize(
    ("ratio", "ici", "failures"),
    [
        (0.8, 0.015, 0),
        (1.25, 0.0, 0),
        (0.79, 0.0, 1),
        (1.26, 0.0, 1),
        (1.0, 0.0151, 1),
        (0.5, 0.1, 2),
        (float("nan"), 0.0, 1),
    ],
)
def test_the_borders_of_the_calibration_test(ratio: float, ici: float, failures: int) -> None:
    evaluation = make_evaluation(ratio=ratio, ici=ici)

    assert len(calibration_failures(evaluation, "model", settings=GateSettings())) == failures


@pytest.mark.parametrize(("low", "high", "failures"), [(1.0, 1.9, 0), (1.25, 1.9, 0), (1.26, 1.9, 1), (0.3, 0.79, 1)])
def test_a_ratio_fails_only_where_its_whole_interval_lies_outside_the_band(
    low: float, high: float, failures: int
) -> None:
    evaluation = make_evaluation()
    metrics = dict(evaluation.scorers["model"].metrics) | {"predicted_over_observed": Estimate(1.3, low, high)}
    model = replace(evaluation.scorers["model"], metrics=metrics)
    evaluation = replace(evaluation, scorers={**evaluation.scorers, "model": model})

    assert len(calibration_failures(evaluation, "model", settings=GateSettings())) == failures


def test_too_little_data_for_a_model_falls_back_on_what_did_best() -> None:
    step = Step("rules", "40 winning contacts were found; 80 are needed to try a model")

    rules = verdict_on(make_evaluation(losses={"point_rules": 0.32, "base_rate": 0.35}, leads={}), step=step)
    base = verdict_on(make_evaluation(losses={"point_rules": 0.36, "base_rate": 0.35}, leads={}), step=step)

    assert rules == ("rules", (step.reason, "best on the same test: your point rules (log loss 0.3200)"))
    assert base == ("base_rate", (step.reason, "best on the same test: the base rate (log loss 0.3500)"))


@pytest.mark.parametrize(("rung", "label"), [("base_rate", "the base rate"), ("stage_rate", "the observed stage rate")])
def test_with_hardly_any_outcomes_a_lucky_test_changes_nothing(rung: Rung, label: str) -> None:
    step = Step(rung, "15 winning contacts were found")
    losses = {"point_rules": 0.30, "stage_observed": 0.35, "base_rate": 0.35}

    found = verdict_on(make_evaluation(losses=losses, leads={}), step=step)

    assert found == (rung, (step.reason, f"on the same test: {label} (log loss 0.3500)"))


def test_a_model_that_could_not_be_fitted_when_the_test_began_is_not_proven() -> None:
    use, reasons = verdict_on(make_evaluation(losses={"point_rules": 0.32, "base_rate": 0.35}, leads={}))

    assert use == "rules"
    assert reasons[0] == (
        "not proven: 500 winning contacts were found, enough for the full model, "
        "but when the test began there were too few to fit it then"
    )


@pytest.mark.parametrize(
    ("rung", "use"),
    [
        ("base_rate", "base_rate"),
        ("stage_rate", "stage_rate"),
        ("rules", "rules"),
        ("small_model", "rules"),
        ("model", "rules"),
    ],
)
def test_without_a_test_no_model_is_used(rung: Rung, use: str) -> None:
    found, reasons = verdict_on(None, step=Step(rung, "so many were found"))

    assert found == use
    assert reasons == ("not proven: the history is short", "so many were found")


def test_of_equal_fallbacks_the_rules_come_first() -> None:
    evaluation = make_evaluation(losses={"base_rate": 0.3, "stage_observed": 0.3, "point_rules": 0.3}, leads={})

    assert best_fallback(evaluation) == "point_rules"
