"""Drift: the stability index worked by hand, missing values as a bin of their own, and what chance alone gives."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Feature
from models.drift import DriftReference, FeatureDrift, drift, drift_reference, drift_summary, psi

CALLS = Feature(name="call_7d", family="our_activity", unit="count", words="calls")
LEVEL = Feature(name="property_level", family="profile", unit="category", words="level", levels=("a", "b", "(other)"))
NAN = float("nan")


def compared(feature: Feature, past: list[float], now: list[float]) -> FeatureDrift:
    reference = drift_reference(
        features=[feature], matrix=pd.DataFrame({feature.name: past}), objects=np.arange(len(past))
    )
    (found,) = drift(reference=reference, matrix=pd.DataFrame({feature.name: now}), objects=np.arange(len(now)))
    return found


def test_index_is_the_sum_over_bins() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5) = 0.1 (0.182322 + 0.223144)
    assert psi(past=np.array([0.5, 0.5]), now=np.array([0.6, 0.4])) == pytest.approx(0.0405465, abs=1e-6)


def test_categories_are_compared_level_by_level() -> None:
    found = compared(LEVEL, [0, 0, 0, 1, 2], [0, 0, 1, 1, 2])

    # a: 0.6 -> 0.4, b: 0.2 -> 0.4, other unchanged
    assert found.psi == pytest.approx(-0.2 * math.log(0.4 / 0.6) + 0.2 * math.log(2.0))
    assert (found.words, found.missing_then, found.missing_now) == ("level", 0.0, 0.0)


def test_missing_values_are_a_bin_of_their_own() -> None:
    found = compared(CALLS, [1, 1, 1, 1, NAN], [1, 1, 1, NAN, NAN])

    assert found.psi == pytest.approx(-0.2 * math.log(0.6 / 0.8) + 0.2 * math.log(0.4 / 0.2))
    assert [found.missing_then, found.missing_now] == pytest.approx([0.2, 0.4])


def test_bins_hold_equal_mass_and_tied_values_share_one() -> None:
    plain = drift_reference(
        features=[CALLS], matrix=pd.DataFrame({"call_7d": np.arange(1.0, 101.0)}), objects=np.arange(100)
    ).features[0]
    tied = drift_reference(
        features=[CALLS], matrix=pd.DataFrame({"call_7d": [0.0] * 90 + [1.0] * 5 + [2.0] * 5}), objects=np.arange(100)
    ).features[0]

    assert plain.edges == (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)
    assert plain.shares == pytest.approx([0.1] * 10 + [0.0])
    assert tied.edges == (0.0,)
    assert tied.shares == pytest.approx([0.9, 0.1, 0.0])


def test_a_new_value_does_not_make_the_index_infinite() -> None:
    found = compared(CALLS, [1.0] * 10, [NAN] * 10)

    # all mass moves from a bin to one that counts as 0.0001
    assert found.psi == pytest.approx(2 * (1 - 1e-4) * math.log(1e4))
    assert found.level == "large"


def test_rows_count_by_their_weight() -> None:
    matrix = pd.DataFrame({"call_7d": [1.0, 2.0]})
    reference = drift_reference(features=[CALLS], matrix=matrix, objects=np.arange(2), weight=np.array([3.0, 1.0]))

    assert reference.features[0].shares == pytest.approx([0.75, 0.25, 0.0])


@pytest.mark.parametrize(
    ("index", "chance", "level"),
    [(0.09, 0.0, "none"), (0.1, 0.0, "some"), (0.25, 0.0, "large"), (0.3, 0.4, "none")],
)
def test_index_is_read_by_the_usual_limits_unless_chance_explains_it(index: float, chance: float, level: str) -> None:
    one = FeatureDrift(name="x", words="x", psi=index, chance=chance, missing_then=0.0, missing_now=0.0)

    assert one.level == level


def test_chance_is_measured_in_objects_not_rows() -> None:
    past, now = pd.DataFrame({"call_7d": [1.0, 2.0] * 50}), pd.DataFrame({"call_7d": [1.0, 2.0] * 10})
    reference = drift_reference(features=[CALLS], matrix=past, objects=np.arange(100) // 2)

    (found,) = drift(reference=reference, matrix=now, objects=np.arange(20) // 2)

    # two bins: chi-squared with one degree of freedom, 95 %: 3.8415, times 1/50 + 1/10
    assert found.chance == pytest.approx(3.841459 * 0.12, rel=1e-5)


def test_the_same_distribution_rarely_exceeds_chance() -> None:
    generator = np.random.default_rng(5)
    past = generator.normal(size=500)
    exceeded = 0

    for _ in range(100):
        found = compared(CALLS, past.tolist(), generator.normal(size=200).tolist())
        exceeded += found.psi > found.chance

    assert exceeded <= 12


def test_nothing_is_compared_without_rows() -> None:
    empty = pd.DataFrame({"call_7d": np.zeros(0)})
    reference = drift_reference(features=[CALLS], matrix=empty, objects=np.zeros(0))

    assert drift(reference=reference, matrix=pd.DataFrame({"call_7d": [1.0]}), objects=np.arange(1)) == []
    assert drift_summary([]) == {"some": 0, "large": 0, "features": []}


@given(st.lists(st.floats(-1e6, 1e6) | st.just(NAN), min_size=1, max_size=50))
def test_no_change_is_no_drift_also_after_storing(values: list[float]) -> None:
    matrix = pd.DataFrame({"call_7d": values}, dtype=np.float64)
    reference = drift_reference(features=[CALLS], matrix=matrix, objects=np.arange(len(values)))
    stored = DriftReference.model_validate_json(reference.model_dump_json())

    (found,) = drift(reference=stored, matrix=matrix, objects=np.arange(len(values)))

    assert stored == reference
    assert found.psi == pytest.approx(0.0, abs=1e-12)
    assert found.missing_now == found.missing_then
