"""A rule sheet priced against the past in a training: one that is the truth, and one that is its opposite."""

from __future__ import annotations

import pytest

from features.tables import CrmTables
from models.rules.evidence import rule_evidence
from models.rules.sheet import PointRules, RuleGroup
from models.training import TrainingSettings
from tests.models.market import make_settings
from tests.models.rule_market import END, TRUTH, make_rule_market


def turned(group: RuleGroup) -> RuleGroup:
    criteria = tuple(one.model_copy(update={"points": -one.points}) for one in group.criteria)
    return group.model_copy(update={"criteria": criteria})


OPPOSITE = TRUTH.model_copy(update={"fit": turned(TRUTH.fit), "engagement": turned(TRUTH.engagement)})


@pytest.fixture(scope="module")
def market() -> CrmTables:
    return make_rule_market(contacts=600)


def settings(rules: PointRules) -> TrainingSettings:
    return make_settings(rules=rules)


def test_the_truth_is_kept_and_its_points_lie_within_their_ranges(market: CrmTables) -> None:
    told = rule_evidence(tables=market, as_of=END, settings=settings(TRUTH), model_scores=None)

    assert told is not None
    assert told["advice"] == "keep"
    assert told["test"]["metrics"]["manual"]["auc"]["low"] > 0.5
    demo = next(each for each in told["criteria"] if each["name"] == "Asked for a demo")
    assert demo["mispriced"] == 0
    assert demo["learned"]["low"] <= 25 <= demo["learned"]["high"]
    assert demo["lift"] == pytest.approx(demo["rate_held"] / told["base_rate"])
    # Nobody vouches for the country, so the past cannot be asked about it.
    far = next(each for each in told["criteria"] if each["name"] == "Far away")
    assert far["learned"] == {"value": None, "low": None, "high": None}
    assert "no history" in far["why_not"]


def test_the_opposite_of_the_truth_is_supported_by_no_point_and_puts_buyers_last(market: CrmTables) -> None:
    told = rule_evidence(tables=market, as_of=END, settings=settings(OPPOSITE), model_scores=None)

    assert told is not None
    assert told["advice"] != "keep"
    assert told["test"]["metrics"]["manual"]["auc"]["high"] < 0.5
    demo = next(each for each in told["criteria"] if each["name"] == "Asked for a demo")
    assert (demo["manual"], demo["learned"]["value"], demo["mispriced"]) == (-25.0, 0.0, 1)


def test_without_rules_or_winners_there_is_no_evidence(market: CrmTables) -> None:
    empty = make_rule_market(contacts=3)

    assert rule_evidence(tables=market, as_of=END, settings=settings(PointRules()), model_scores=None) is None
    told = rule_evidence(tables=empty, as_of=END, settings=settings(TRUTH), model_scores=None)
    assert told is not None
    assert told["why_not"]
    assert told["criteria"] == []
