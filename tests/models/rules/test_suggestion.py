"""A suggested sheet, what it did on later outcomes, and the advice."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from features.properties import PropertySettings, SafeColumns
from features.tables import CrmTables
from models.contact_training import train_contacts
from models.evaluation import Estimate
from models.rules.comparison import OrderComparison
from models.rules.past import labelled_past
from models.rules.replay import apply_rules
from models.rules.sheet import PointRules
from models.rules.suggestion import LaterTest, Lesson, advise, learn_from_the_past
from models.training import TrainingSettings
from tests.models.market import make_settings
from tests.models.rule_market import END, TRUTH, make_rule_market

SAFE = PropertySettings(contacts=SafeColumns(safe=("industry", "country", "source")))


def settings_for(rules: PointRules) -> TrainingSettings:
    return make_settings(rules=rules, properties=SAFE, bootstrap_replicates=30)


@pytest.fixture(scope="module")
def small() -> CrmTables:
    return make_rule_market(contacts=1500)


@pytest.fixture(scope="module")
def tiny() -> CrmTables:
    return make_rule_market(contacts=450)


@pytest.fixture(scope="module")
def lesson(small: CrmTables) -> Lesson:
    return teach(small, TRUTH)


@pytest.fixture(scope="module")
def of_noise(small: CrmTables) -> Lesson:
    return teach(small, wrong())


def teach(tables: CrmTables, rules: PointRules, **more: Any) -> Lesson:
    return learn_from_the_past(
        tables=tables, as_of=END, settings=settings_for(rules), **{"calls_a_week": None, "double": 10.0, **more}
    )


def wrong() -> PointRules:
    """Prices what says nothing, and takes points for what is good."""
    return PointRules.model_validate(
        {
            "fit": {
                "criteria": [
                    {"name": "Came over the web", "property": "source", "is": "web", "points": 30},
                    {"name": "Toys", "property": "industry", "is": "toys", "points": 1},
                ]
            },
            "engagement": {
                "criteria": [
                    {"name": "Noise", "activity": "noise", "within_days": 60, "points": 40},
                    {"name": "Asked for a demo", "activity": "demo_request", "within_days": 60, "points": 2},
                ]
            },
            "thresholds": {"mql": 40, "sql": 60},
        }
    )


def test_a_rule_that_is_the_truth_is_kept_on_a_small_crm(small: CrmTables, lesson: Lesson) -> None:
    trained = train_contacts(tables=small, as_of=END, settings=settings_for(TRUTH))

    assert lesson.test is not None
    assert set(lesson.test.order.metrics) == {"manual", "learned", "model"}
    assert lesson.test.order.differences["model"]["auc"].low < 0
    assert (lesson.advice, lesson.reason[:13]) == ("keep", "Keep the rule")
    assert trained.verdict.use == "rules"


def test_a_rule_that_prices_noise_is_shown_as_bad(of_noise: Lesson) -> None:
    lesson = of_noise

    assert lesson.test is not None
    assert lesson.test.order.metrics["manual"]["auc"].low < 0.55
    assert lesson.test.order.differences["learned"]["auc"].low > 0
    assert lesson.advice == "adopt"
    by_name = {one.name: one for one in lesson.learned.points}
    assert [by_name[name].mispriced(lesson.learned.scale) for name in ("Noise", "Came over the web")] == [1, 1]
    assert [by_name[name].mispriced(lesson.learned.scale) for name in ("Toys", "Asked for a demo")] == [-1, -1]


def test_a_suggested_sheet_keeps_the_criteria_and_how_many_reach_its_thresholds(
    small: CrmTables, of_noise: Lesson
) -> None:
    rules, suggested = wrong(), of_noise.suggested

    past = labelled_past(tables=small, as_of=END, settings=settings_for(rules))
    before, now = (
        apply_rules(rules=one, tables=past.tables, snapshots=past.snapshots, properties=SAFE)
        for one in (rules, suggested)
    )
    priced = {one.name: one for one in suggested.criteria}
    assert set(priced) <= {one.name for one in rules.criteria}
    assert priced["Toys"].is_ == "toys"
    assert priced["Toys"].points == round(priced["Toys"].points)
    assert suggested.learned_until is not None
    assert suggested.thresholds.mql is not None
    reached = float(np.mean(before.total >= 40))
    # At least as many, and not many more than tie with the last of them.
    assert np.mean(now.total >= suggested.thresholds.mql) >= reached
    assert np.mean(now.total > suggested.thresholds.mql) <= reached
    assert all("limit" not in line.name for line in now.lines)


def test_what_is_left_out_of_the_suggestion_has_its_reason(tiny: CrmTables) -> None:
    rules = TRUTH.model_validate(
        {
            "fit": {
                "criteria": [
                    *(one.model_dump(by_alias=True) for one in TRUTH.criteria),
                    {"name": "Ships", "property": "industry", "is": "ships", "points": 10},
                    {"name": "Tools", "property": "industry", "is": "tools", "points": 10},
                ]
            }
        }
    )

    lesson = teach(tiny, rules)

    assert ("Ships", "it never held") in lesson.left_out
    assert ("Tools", "the past gives it no points") in lesson.left_out
    assert {"Ships", "Tools"} & {one.name for one in lesson.suggested.criteria} == set()


def test_events_keep_their_cap_in_proportion(tiny: CrmTables) -> None:
    each = {"name": "Each demo", "activity": "demo_request", "per_event": True, "points": 20, "cap": 40}
    rules = PointRules.model_validate({"engagement": {"criteria": [each]}})

    suggested = teach(tiny, rules).suggested.criteria[0]

    assert suggested.cap is not None
    assert suggested.cap == pytest.approx(2 * suggested.points, abs=0.5)


def test_a_short_history_is_learnt_from_but_not_tested() -> None:
    tables = make_rule_market(contacts=1200)
    early = END.replace(year=2025, month=2)

    lesson = learn_from_the_past(
        tables=tables, as_of=early, settings=settings_for(TRUTH), calls_a_week=None, double=10.0
    )

    assert lesson.test is None
    assert "too short for an honest test" in lesson.not_tested
    assert lesson.advice == "untested"


def test_a_lesson_can_be_written_as_json(lesson: Lesson) -> None:
    content = json.loads(json.dumps(lesson.to_dict(), allow_nan=False))

    assert content["advice"] == "keep"
    assert content["test"]["order"]["metrics"]["manual"]["auc"]["value"] > 0.5
    assert PointRules.model_validate(content["suggested"]) == lesson.suggested


def later(*, model_lead: Estimate | None = None, winners: int = 20, **leads: tuple[Estimate, Estimate]) -> LaterTest:
    order = OrderComparison(
        metrics={},
        differences={name: {"auc": both, "auc_no_open_deal": cold} for name, (both, cold) in leads.items()},
    )
    lead = (
        None
        if model_lead is None
        else OrderComparison(metrics={}, differences={"model": {"auc": model_lead, "auc_no_open_deal": model_lead}})
    )
    return LaterTest(since=END, until=END, rows=99, winners=winners, share=0.2, order=order, model_lead=lead)


UP, MAYBE, DOWN = Estimate(0.1, 0.05, 0.15), Estimate(0.1, -0.05, 0.15), Estimate(-0.1, -0.15, -0.05)


@pytest.mark.parametrize(
    ("test", "advice"),
    [
        (None, "untested"),
        (later(learned=(MAYBE, MAYBE)), "keep"),
        (later(learned=(UP, UP), winners=19), "keep"),
        (later(learned=(UP, MAYBE)), "adopt"),
        (later(learned=(MAYBE, UP)), "adopt"),
        # Better among the cold, surely worse among all: not better.
        (later(learned=(DOWN, UP)), "keep"),
        (later(learned=(MAYBE, MAYBE), model=(UP, MAYBE), model_lead=UP), "model"),
        (later(learned=(UP, UP), model=(UP, UP), model_lead=UP), "model"),
        (later(learned=(UP, UP), model=(UP, UP), model_lead=MAYBE), "adopt"),
        (later(learned=(DOWN, DOWN), model=(MAYBE, MAYBE), model_lead=UP), "keep"),
    ],
)
def test_the_advice_follows_from_later_outcomes(test: LaterTest | None, advice: str) -> None:
    assert advise(test, least_winners=20)[0] == advice


def test_a_model_that_is_no_better_among_the_cold_is_said_to_be_so() -> None:
    assert "not surely better" in advise(later(model=(UP, MAYBE)), least_winners=20)[1]
    assert "not surely better" not in advise(later(model=(UP, UP)), least_winners=20)[1]
