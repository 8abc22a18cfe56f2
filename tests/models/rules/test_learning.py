"""Learned points: what the past gives for a company's own criteria."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.properties import PropertySettings, SafeColumns
from models.evaluation import Estimate
from models.rules.learning import LearnedPoint, LearnedPoints, learn_points
from models.rules.past import NoPastError, Past, labelled_past
from models.rules.replay import apply_rules
from models.rules.sheet import PointRules
from tests.models.market import END as MARKET_END
from tests.models.market import make_market, make_settings
from tests.models.rule_market import END, TRUTH, make_rule_market

SETTINGS = make_settings(properties=PropertySettings(contacts=SafeColumns(safe=("industry", "country", "source"))))


@pytest.fixture(scope="module")
def past() -> Past:
    return labelled_past(tables=make_rule_market(contacts=900), as_of=END, settings=SETTINGS)


def learn(past: Past, rules: PointRules, *, double: float = 10.0, replicates: int = 20) -> LearnedPoints:
    points = apply_rules(rules=rules, tables=past.tables, snapshots=past.snapshots, properties=past.inputs.properties)
    return learn_points(past=past, rules=rules, points=points, double=double, replicates=replicates, seed=1)


def by_name(learned: LearnedPoints) -> dict[str, LearnedPoint]:
    return {one.name: one for one in learned.points}


def sheet(*criteria: dict[str, Any], **more: Any) -> PointRules:
    named = [{"name": f"rule {place}", "points": 10, **one} for place, one in enumerate(criteria)]
    return PointRules.model_validate({"engagement": {"criteria": named}, **more})


TOYS = {"name": "Toys", "property": "industry", "is": "toys"}
TOOLS = {"name": "Tools", "property": "industry", "is": "tools"}
NOISE = {"name": "Noise", "activity": "noise", "within_days": 30}
DEMO = {"name": "Demo", "activity": "demo_request", "within_days": 60}


def test_points_are_found_on_the_scale_of_doubled_odds(past: Past) -> None:
    found = by_name(learn(past, TRUTH))

    # Ten points double the hazard. A fact that lasts keeps its points; one that ends within the horizon is worth less.
    assert found["Toys"].learned.low <= 15 <= found["Toys"].learned.high
    assert 5 < found["Asked for a demo"].learned.value < 25
    assert found["Asked for a demo"].learned.low > 0
    assert found["Far away"].learned.value < 0
    assert found["Toys"].held > found["Toys"].winners > 0


def test_a_point_of_another_size_is_the_same_odds(past: Past) -> None:
    ten, twenty = (by_name(learn(past, TRUTH, double=double))["Toys"].learned for double in (10.0, 20.0))

    assert twenty.value == pytest.approx(2 * ten.value)
    assert twenty.low == pytest.approx(2 * ten.low)


def test_the_manual_points_change_nothing_but_the_sign(past: Past) -> None:
    big, small = (learn(past, sheet({**TOYS, "points": points}, {**DEMO, "points": 3})) for points in (90, 1))

    assert by_name(big)["Toys"].learned == by_name(small)["Toys"].learned


def test_points_never_turn_their_sign(past: Past) -> None:
    found = by_name(learn(past, sheet({**TOYS, "points": -10}, {**TOOLS, "points": 10})))

    assert found["Toys"].learned.value == 0.0
    assert found["Tools"].learned == Estimate(0.0, 0.0, 0.0)
    assert found["Toys"].learned.high == 0.0


def test_a_criterion_without_points_may_go_either_way(past: Past) -> None:
    assert by_name(learn(past, sheet({**TOOLS, "points": 0}, DEMO)))["Tools"].learned.value < -5


def test_what_never_held_or_cannot_be_judged_is_said(past: Past) -> None:
    found = by_name(
        learn(
            past, sheet(DEMO, {"name": "Ships", "property": "industry", "is": "ships"}, {"name": "F", "activity": "f"})
        )
    )

    assert found["Ships"].why_not == "it never held"
    assert found["F"].why_not == "no activity of kind 'f' in the tables"
    assert found["Demo"].why_not is None


def test_criteria_that_hold_for_the_same_contacts_are_named(past: Past) -> None:
    found = by_name(learn(past, sheet(TOYS, {**DEMO}, {"name": "Games", "property": "industry", "contains": "toy"})))

    assert (found["Toys"].same_as, found["Games"].same_as, found["Demo"].same_as) == (("Games",), ("Toys",), ())
    # The ridge shares the points out between them.
    assert found["Toys"].learned.value == pytest.approx(found["Games"].learned.value, rel=0.01)


def test_points_for_each_event_are_learnt_up_to_their_cap(past: Past) -> None:
    each = {"name": "Each", "activity": "noise", "per_event": True, "points": 2, "cap": 4}

    found = by_name(learn(past, sheet(each, DEMO)))

    assert found["Each"].held > 0
    assert abs(found["Each"].learned.value) < 5


def test_open_deals_do_not_drown_the_rest() -> None:
    past = labelled_past(tables=make_market(contacts=500), as_of=MARKET_END, settings=make_settings())
    rules = sheet({"name": "Open deal", "deal": "open"}, DEMO, TOYS)

    with_deals, without = by_name(learn(past, rules)), by_name(learn(past, sheet(DEMO, TOYS)))

    # What was learnt without open deals stays as it is; the criterion on them is priced after it.
    assert with_deals["Demo"].learned.value == pytest.approx(without["Demo"].learned.value, abs=1e-6)
    assert with_deals["Open deal"].learned.value > 5


def test_too_few_winners_teach_nothing(past: Past) -> None:
    few = labelled_past(tables=make_rule_market(contacts=60), as_of=END, settings=SETTINGS)

    with pytest.raises(NoPastError, match="10 are needed to learn points"):
        learn(few, TRUTH)


@pytest.mark.parametrize(
    ("manual", "scale", "said"),
    [(10.0, 1.0, 1), (4.0, 1.0, 0), (1.0, 1.0, -1), (10.0, 2.0, 0), (-3.0, 1.0, -1)],
)
def test_manual_points_are_judged_on_the_scale_of_the_sheet(manual: float, scale: float, said: int) -> None:
    point = LearnedPoint(
        name="a",
        group="fit",
        manual=manual,
        learned=Estimate(5.0, 3.0, 7.0),
        held=9,
        winners=3,
        why_not=None,
        same_as=(),
    )

    assert point.mispriced(scale) == said


def test_the_scale_makes_learned_points_as_large_together_as_the_sheets(past: Past) -> None:
    learned = learn(past, TRUTH)

    together = sum(abs(one.learned.value) for one in learned.points)
    assert together * learned.scale == pytest.approx(15 + 10 + 25 + 5)


def test_the_same_seed_gives_the_same_points(past: Past) -> None:
    first, second = learn(past, TRUTH), learn(past, TRUTH)

    assert first == second
    assert np.isfinite([one.learned.low for one in first.points]).all()
