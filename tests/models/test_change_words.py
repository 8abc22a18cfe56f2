"""A change of score in words: hand-made steps, so that every number can be followed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Feature
from features.feature_contract import FeatureContract
from models.change_words import CORRECTED, Step, write_change, write_unsplit

SINCE = pd.Timestamp("2026-01-01T00:00:00Z")
FEATURES = (
    Feature(name="pricing_view_total", family="their_activity", unit="count", words="pricing view so far"),
    Feature(name="pricing_view_7d", family="their_activity", unit="count", words="pricing view in the last 7 days"),
    Feature(name="meeting_total", family="our_activity", unit="count", words="meeting so far"),
    Feature(name="inbound_7d", family="their_activity", unit="count", words="their activities in the last 7 days"),
    Feature(name="stage", family="stage", unit="category", words="stage", levels=("Demo", "Offer", "rare")),
    Feature(name="days_in_stage", family="pace", unit="days", words="days in this stage"),
    Feature(name="days_since_any", family="recency", unit="days", words="days since anything happened"),
)
CONTRACT = FeatureContract(
    question="deals",
    kinds=("pricing_view", "meeting", "other"),
    windows_days=(7.0,),
    half_lives_days=(),
    properties={},
    deal_columns=(),
    vouched=(),
    pipelines=(),
    stages=(),
    has_activities=True,
    features=FEATURES,
)
BEFORE = [1.0, 0.0, 0.0, 0.0, 0.0, 12.0, 9.0]


def step(after: dict[str, float] | None = None, effects: dict[str, float] | None = None) -> Step:
    """One object's step: the features that changed, and what each moved."""
    names = [feature.name for feature in FEATURES]
    later, moved = list(BEFORE), [0.0] * len(names)
    for name, value in (after or {}).items():
        later[names.index(name)] = value
    for name, value in (effects or {}).items():
        moved[names.index(name)] = value
    return Step(FEATURES, np.array([moved]), np.array([BEFORE]), np.array([later]))


def change(**parts: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "previous": 0.20,
        "probability": 0.25,
        "corrected": 0.0,
        "facts": step(),
        "time": step(),
        "model": 0.0,
        "calibration": 0.0,
    } | parts
    numbers = ("previous", "probability", "corrected", "model", "calibration")
    (text,) = write_change(
        since=SINCE,
        days=6.0,
        contract=CONTRACT,
        exchange=("a new model", "its calibration was learnt anew"),
        **{name: np.array([value]) if name in numbers else value for name, value in given.items()},
    )
    content: dict[str, Any] = json.loads(text)
    return content


def test_news_are_counted_by_kind_and_what_follows_from_them_is_not_told_again() -> None:
    facts = step(
        {"pricing_view_total": 3.0, "pricing_view_7d": 2.0, "meeting_total": 1.0, "inbound_7d": 2.0},
        {"pricing_view_7d": 0.03, "meeting_total": 0.01, "inbound_7d": 0.001},
    )

    told = change(
        facts=facts, time=step(effects={"days_since_any": -0.01}, after={"days_since_any": 15.0}), model=0.019
    )

    assert told["words"] == (
        "+4.1 percentage points: new: 2 × pricing view, 1 × meeting; +1.9: a new model; -1.0: 6 days passed"
    )
    assert [(one["part"], one["effect"]) for one in told["parts"]] == [
        ("facts", 0.041),
        ("time", -0.01),
        ("model", 0.019),
        ("calibration", 0.0),
    ]
    assert told["parts"][0]["families"] == [
        {
            "family": "their_activity",
            "effect": 0.031,
            "words": "what they did (pricing view in the last 7 days: 0 → 2)",
        },
        {"family": "our_activity", "effect": 0.01, "words": "what we did (meeting so far: 0 → 1)"},
    ]
    assert told["parts"][1]["families"][0]["words"] == (
        "how recently something happened (days since anything happened: 9.0 → 15)"
    )


def test_a_new_stage_is_told_rather_than_the_days_that_follow_from_it() -> None:
    facts = step({"stage": 1.0, "days_in_stage": 0.5}, {"stage": 0.03, "days_in_stage": 0.02})

    assert change(facts=facts)["words"] == "+5.0 percentage points: stage: Demo → Offer"


def test_days_without_news_are_quiet() -> None:
    told = change(probability=0.19, time=step({"days_since_any": 15.0}, {"days_since_any": -0.01}))

    assert told["words"] == "-1.0 percentage points: 6 days without anything new"
    assert told["parts"][0] == {"part": "facts", "effect": 0.0, "words": "nothing new", "families": []}


def test_a_past_that_reads_otherwise_today_is_a_fact_of_its_own() -> None:
    told = change(corrected=0.05)

    assert told["words"] == "+5.0 percentage points: the CRM now tells the time before otherwise"
    assert told["parts"][0]["families"] == [
        {"family": CORRECTED, "effect": 0.05, "words": "the CRM now tells the time before otherwise"}
    ]


def test_rounding_is_left_to_the_largest_part_so_that_all_add_up() -> None:
    third = 0.05 / 3

    told = change(facts=step({"meeting_total": 1.0}, {"meeting_total": third}), model=third, calibration=third)

    assert sum(one["effect"] for one in told["parts"]) == pytest.approx(told["difference"], abs=1e-15)


def test_what_cannot_be_split_says_why_and_still_tells_the_difference() -> None:
    (text,) = write_unsplit(
        previous=np.array([0.2]), probability=np.array([0.25]), since=SINCE, why="the model is gone"
    )

    assert json.loads(text) == {
        "since": "2026-01-01T00:00:00Z",
        "difference": 0.05,
        "words": "not split: the model is gone",
        "parts": [],
    }
