"""Reasons that add up, and the Shapley values they rest on."""

from __future__ import annotations

import json
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.catalogue import Feature
from features.episodes import LOST, WON
from models.boosting import BoosterSettings, FloatArray
from models.calibration import Calibrator, sigmoid
from models.explanation import (
    Effects,
    Reference,
    additive_effects,
    booster_parts,
    centred,
    family_codes,
    landmark_effects,
    reasons_json,
    reference_of,
)
from models.landmark import Buckets, LandmarkModel, LandmarkSettings, accumulate, fit_landmark
from tests.models.boosters import CONTRACT, make_booster, make_features

CALIBRATED = Calibrator(kind="platt", slope=0.8, intercept=-0.3)


@cache
def landmark() -> LandmarkModel:
    """A model of 1200 deals that close on day 3, 10 or 20; a high number wins."""
    features = make_features(1200)
    generator = np.random.default_rng(5)
    score = features["number"].fillna(0.0).to_numpy() + features["count"].fillna(4.0).to_numpy() / 4 - 1
    return fit_landmark(
        features=features,
        categories=["category"],
        pipelines=np.array(["sales"] * 1200, dtype=object),
        outcome=np.where(generator.random(1200) < sigmoid(score), WON, LOST).astype(np.int8),
        days_to_outcome=generator.choice([3.0, 10.0, 20.0], 1200),
        days_known=np.full(1200, 100.0),
        weight=np.ones(1200),
        buckets=Buckets(edges={}, shared=(7.0, 14.0, 28.0)),
        settings=LandmarkSettings(booster=BoosterSettings(trees=30, learning_rate=0.1, min_leaf_rows=20, threads=1)),
    )


def won(features: FloatArray) -> FloatArray:
    frame = pd.DataFrame(features, columns=[feature.name for feature in CONTRACT])
    return accumulate(landmark().hazards(frame))[0][:, -1]


@settings(max_examples=60, deadline=None)
@given(parts=arrays(np.float64, (5, 4), elements=st.floats(-6.0, 6.0)), start=st.floats(-8.0, 8.0))
def test_parts_of_log_odds_become_effects_that_add_up(parts: FloatArray, start: float) -> None:
    base, effects = additive_effects(parts=parts, start=start)

    assert base == pytest.approx(sigmoid(np.array([start]))[0], abs=1e-15)
    assert base + effects.sum(axis=1) == pytest.approx(sigmoid(start + parts.sum(axis=1)), abs=1e-12)


def test_parts_that_cancel_have_effects_that_cancel() -> None:
    base, effects = additive_effects(parts=np.array([[2.0, -2.0], [0.0, 0.0]]), start=0.0)

    # At even odds a unit of log-odds is a quarter of probability.
    assert base == 0.5
    assert effects == pytest.approx(np.array([[0.5, -0.5], [0.0, 0.0]]))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # importing shap 0.51 beside matplotlib 3.11
def test_contributions_are_those_of_the_shap_package() -> None:
    import shap

    booster = make_booster(classes=2)
    features = make_features(40, seed=3)

    parts, start = booster_parts(booster=booster, features=features, calibrator=Calibrator())

    explained = shap.TreeExplainer(booster)(features.to_numpy())
    assert parts == pytest.approx(explained.values, abs=1e-9)
    assert start == pytest.approx(explained.base_values[0], abs=1e-9)


def test_a_calibrator_stretches_the_contributions_and_moves_the_start() -> None:
    booster = make_booster(classes=2)
    features = make_features(40, seed=3)

    parts, start = booster_parts(booster=booster, features=features, calibrator=CALIBRATED)
    base, effects = additive_effects(parts=parts, start=start)

    published = CALIBRATED.apply(np.asarray(booster.predict(features.to_numpy())))
    assert base + effects.sum(axis=1) == pytest.approx(published, abs=1e-12)


def test_no_rows_have_no_effects() -> None:
    booster, features = make_booster(classes=2), make_features(40)

    parts, start = booster_parts(booster=booster, features=features.iloc[:0], calibrator=CALIBRATED)

    assert parts.shape == (0, 4)
    assert start == booster_parts(booster=booster, features=features, calibrator=CALIBRATED)[1]


@pytest.mark.parametrize("calibrator", [Calibrator(), CALIBRATED])
def test_effects_of_the_deal_model_add_up_to_the_published_probability(calibrator: Calibrator) -> None:
    features, background = make_features(20, seed=3), make_features(6, seed=4).to_numpy()

    base, effects = landmark_effects(
        model=landmark(), calibrator=calibrator, features=features, background=background, contract=CONTRACT
    )

    assert base == pytest.approx(calibrator.apply(won(background)).mean(), abs=1e-12)
    assert base + effects.sum(axis=1) == pytest.approx(calibrator.apply(won(features.to_numpy())), abs=1e-12)


def test_family_effects_are_shapley_values_of_the_published_probability() -> None:
    features, background = make_features(8, seed=3), make_features(5, seed=4).to_numpy()
    families, family = family_codes(CONTRACT)

    _, effects = landmark_effects(
        model=landmark(), calibrator=CALIBRATED, features=features, background=background, contract=CONTRACT
    )

    # By the definition: predict every mix of row and background, and average the gains over all orders of arrival.
    value = {}
    for present in product([False, True], repeat=3):
        mine = np.array(present)[family]
        mixed = np.where(mine, features.to_numpy()[:, None, :], background[None, :, :]).reshape(-1, 4)
        value[present] = CALIBRATED.apply(won(mixed)).reshape(8, 5).mean(axis=1)
    expected = np.zeros((8, 3))
    for order in permutations(range(3)):
        present = [False, False, False]
        for member in order:
            before = value[tuple(present)]
            present[member] = True
            expected[:, member] += (value[tuple(present)] - before) / 6
    assert families == ["stage", "pace", "people"]
    assert np.stack([effects[:, family == place].sum(axis=1) for place in range(3)], axis=1) == pytest.approx(
        expected, abs=1e-12
    )


def test_no_deals_have_no_effects() -> None:
    _, effects = landmark_effects(
        model=landmark(),
        calibrator=CALIBRATED,
        features=make_features(5).iloc[:0],
        background=make_features(5).to_numpy(),
        contract=CONTRACT,
    )

    assert effects.shape == (0, 4)


def test_the_base_is_the_mean_probability_of_the_reference_population() -> None:
    probability = np.array([0.1, 0.3, 0.6])
    weight = np.array([1.0, 1.0, 2.0])
    effects = np.array([[0.0, -0.1], [0.1, 0.0], [0.2, 0.2]])

    reference = reference_of(probability=probability, effects=effects, weight=weight)
    told = centred(effects=effects, reference=reference)

    assert reference.base_rate == pytest.approx(0.4)
    assert reference.mean_effects == pytest.approx((0.125, 0.075))
    assert told.base_rate + told.by_feature.sum(axis=1) == pytest.approx(probability)
    assert weight @ told.by_feature == pytest.approx([0.0, 0.0])


PLAIN = (
    *(Feature(name=f"stage_{place}", family="stage", unit="number", words=f"thing {place}") for place in range(5)),
    Feature(name="days_since_call", family="recency", unit="days", words="days since the last call"),
    Feature(name="property_industry", family="profile", unit="category", words="industry", levels=("toys", "(other)")),
)


def tell(effects: list[float], values: list[float], *, base_rate: float = 0.2) -> list[dict[str, Any]]:
    by_feature = np.array([effects])
    written = reasons_json(
        effects=Effects(base_rate=base_rate, by_feature=by_feature),
        features=pd.DataFrame([values], columns=[feature.name for feature in PLAIN]),
        contract=PLAIN,
        probability=base_rate + by_feature.sum(axis=1),
    )
    told: list[dict[str, Any]] = json.loads(written[0])
    return told


def test_families_come_by_size_with_their_three_largest_features_and_the_rest() -> None:
    told = tell([0.01, -0.04, 0.03, 0.02, 0.005, -0.05, 0.002], [1.0, 2.0, 3.0, 4.0, 5.0, 12.0, 0.0])

    assert [(family["family"], family["effect"]) for family in told] == [
        ("recency", -0.05), ("stage", 0.025), ("profile", 0.002),
    ]  # fmt: skip
    assert [(part["feature"], part["effect"]) for part in told[1]["features"]] == [
        ("stage_1", -0.04), ("stage_2", 0.03), ("stage_3", 0.02), ("other", 0.015),
    ]  # fmt: skip
    assert told[0]["words"] == "how recently something happened (days since the last call: 12)"


def test_a_feature_without_effect_is_not_shown() -> None:
    told = tell([0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 0.0], [1.0] * 6 + [0.0])

    assert told[0]["family"] == "recency"
    assert [family["features"] for family in told[1:]] == [[], []]
    assert {family["words"] for family in told[1:]} == {"who they are", "where the deal stands"}


def test_values_are_told_as_people_know_them() -> None:
    nan = float("nan")
    known = tell([0.0, 0, 0, 0, 0, 0.01, 0.02], [0.0] * 5 + [3.25, 0.0])
    missing = tell([0.03, 0, 0, 0, 0, 0.01, 0.02], [nan] + [0.0] * 4 + [nan, nan])

    parts = {part["feature"]: part for family in [*known, *missing] for part in family["features"]}
    first = {part["feature"]: part for family in known for part in family["features"]}
    assert (first["property_industry"]["value"], first["property_industry"]["words"]) == ("toys", "industry: toys")
    assert (first["days_since_call"]["value"], first["days_since_call"]["words"]) == (
        3.25,
        "days since the last call: 3.2",
    )
    assert {part["value"] for part in parts.values()} == {None}
    assert parts["days_since_call"]["words"] == "days since the last call: never"
    assert parts["property_industry"]["words"] == "industry: unknown"
    assert parts["stage_0"]["words"] == "thing 0: unknown"


@settings(max_examples=60, deadline=None)
@given(
    effects=arrays(np.float64, (3, 7), elements=st.floats(-0.1, 0.1)),
    base_rate=st.floats(0.0, 1.0),
    off=st.floats(-1e-6, 1e-6),
)
def test_reasons_always_add_up_and_are_sorted(effects: FloatArray, base_rate: float, off: float) -> None:
    probability = base_rate + effects.sum(axis=1) + off

    written = reasons_json(
        effects=Effects(base_rate=base_rate, by_feature=effects),
        features=pd.DataFrame(np.zeros((3, 7)), columns=[feature.name for feature in PLAIN]),
        contract=PLAIN,
        probability=probability,
    )

    for text, published in zip(written, probability, strict=True):
        families = json.loads(text)
        sizes = [abs(family["effect"]) for family in families]
        assert sizes == sorted(sizes, reverse=True)
        assert base_rate + sum(family["effect"] for family in families) == pytest.approx(published, abs=1e-9)
        for family in families:
            assert sum(part["effect"] for part in family["features"]) == pytest.approx(family["effect"], abs=1e-9)
            assert len(family["features"]) <= 4
            assert {part["feature"] for part in family["features"][3:]} <= {"other"}


def test_what_the_effects_leave_unexplained_goes_to_the_largest_family() -> None:
    written = reasons_json(
        effects=Effects(base_rate=0.2, by_feature=np.array([[0.01, 0.0, 0.0, 0.0, 0.0, -0.05, 0.0]])),
        features=pd.DataFrame(np.zeros((1, 7)), columns=[feature.name for feature in PLAIN]),
        contract=PLAIN,
        probability=np.array([0.161]),
    )

    # .2 + .01 - .05 is .16, and .001 is left.
    largest = json.loads(written[0])[0]
    assert (largest["family"], largest["effect"]) == ("recency", -0.049)
    assert [(part["feature"], part["effect"]) for part in largest["features"]] == [
        ("days_since_call", -0.05), ("other", 0.001),
    ]  # fmt: skip


def test_a_reference_survives_being_written() -> None:
    reference = Reference(base_rate=1 / 3, mean_effects=(0.1, -1e-17))

    assert Reference.model_validate_json(reference.model_dump_json()) == reference
