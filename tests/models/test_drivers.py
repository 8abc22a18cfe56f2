"""What drives the outcome: families and features by mean effect, and bins along a feature's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Feature
from models.calibration import Calibrator, sigmoid
from models.driver_refits import DriverSettings, Refits, half_width, refits_of
from models.drivers import drivers
from models.explanation import Effects
from models.refit import Refitted, Refitter

NUMBER = Feature(name="number", family="pace", unit="count", words="visits")
KIND = Feature(name="kind", family="stage", unit="category", words="kind", levels=("red", "blue"))


def describe(
    values: dict[str, list[float]],
    effects: dict[str, list[float]],
    *,
    won: list[float] | None = None,
    weight: list[float] | None = None,
    refits: Refits | None = None,
) -> list[dict[str, Any]]:
    contract = [feature for feature in (NUMBER, KIND) if feature.name in values]
    count = len(next(iter(values.values())))
    return drivers(
        effects=Effects(base_rate=0.3, by_feature=np.array(list(effects.values())).T),
        features=pd.DataFrame(values),
        contract=contract,
        y_obs=np.zeros(count) if won is None else np.array(won),
        weight=np.ones(count) if weight is None else np.array(weight),
        objects=np.arange(count) // 2,
        refits=refits,
    )


def bins_of(values: list[float], **more: list[float]) -> list[dict[str, float]]:
    told = describe({"number": values}, {"number": [0.1] * len(values)}, **more)
    bins: list[dict[str, float]] = told[0]["features"][0]["bins"]
    return bins


def test_families_come_by_the_mean_size_of_their_effect() -> None:
    told = describe(
        {"number": [1.0, 2.0], "kind": [0.0, 1.0]}, {"number": [0.1, -0.1], "kind": [0.3, 0.1]}, weight=[1.0, 3.0]
    )

    assert [family["family"] for family in told] == ["stage", "pace"]
    assert [family["mean_abs_effect"] for family in told] == pytest.approx([(0.3 + 3 * 0.1) / 4, 0.1])
    assert [family["words"] for family in told] == ["where the deal stands", "how long things take, and when"]


def test_a_category_has_a_bin_for_each_value_and_one_for_none() -> None:
    told = describe(
        {"kind": [0.0, 0.0, 1.0, np.nan]}, {"kind": [0.1, 0.3, -0.2, 0.0]}, won=[1, 0, 0, 1], weight=[1, 3, 1, 1]
    )

    bins = told[0]["features"][0]["bins"]
    assert [(each["label"], each["rows"]) for each in bins] == [("red", 2), ("blue", 1), ("unknown", 1)]
    assert [each["effect"] for each in bins] == pytest.approx([0.25, -0.2, 0.0])
    assert [each["observed"] for each in bins] == pytest.approx([0.25, 0.0, 1.0])


def test_few_distinct_numbers_have_a_bin_each() -> None:
    assert [(each["label"], each["rows"]) for each in bins_of([0.0, 2.0, 2.0, np.nan, 7.0])] == [
        ("0", 1), ("2", 2), ("7", 1), ("unknown", 1),
    ]  # fmt: skip


def test_many_distinct_numbers_are_cut_into_five_ranges() -> None:
    assert [(each["label"], each["rows"]) for each in bins_of([float(value) for value in range(10)])] == [
        ("0 to 1", 2), ("2 to 3", 2), ("4 to 5", 2), ("6 to 7", 2), ("8 to 9", 2),
    ]  # fmt: skip


def test_a_number_that_is_mostly_zero_keeps_zero_apart() -> None:
    found = bins_of([0.0] * 20 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    assert (found[0]["label"], found[0]["rows"]) == ("0", 20)
    assert sum(each["rows"] for each in found) == 26


@given(st.lists(st.one_of(st.just(float("nan")), st.integers(-5, 30).map(float)), min_size=1, max_size=60))
def test_every_row_is_in_one_bin(values: list[float]) -> None:
    assert sum(each["rows"] for each in bins_of(values)) == len(values)


def test_a_feature_without_effect_is_left_out() -> None:
    told = describe({"number": [1.0, 2.0]}, {"number": [0.0, 0.0]})

    assert [(family["family"], family["mean_abs_effect"], family["features"]) for family in told] == [("pace", 0.0, [])]


def test_no_more_than_six_features_of_a_family_are_told() -> None:
    contract = [Feature(name=f"f{place}", family="pace", unit="count", words="x") for place in range(9)]

    told = drivers(
        effects=Effects(base_rate=0.3, by_feature=np.arange(1.0, 10.0)[None, :]),
        features=pd.DataFrame(np.ones((1, 9)), columns=[feature.name for feature in contract]),
        contract=contract,
        y_obs=np.ones(1),
        weight=np.ones(1),
        objects=np.zeros(1),
    )

    assert [feature["feature"] for feature in told[0]["features"]] == ["f8", "f7", "f6", "f5", "f4", "f3"]


def logistic(slope: float) -> Refitted:
    """A model whose log-odds are slope x (the first fact - 1.5), and whose second fact says nothing."""
    return Refitted(
        probability=lambda rows, _: sigmoid(slope * (rows.to_numpy()[:, 0] - 1.5)),
        contributions=lambda rows: np.column_stack([slope * rows.to_numpy()[:, 0], 0.0 * rows.to_numpy()[:, 1:]]),
    )


def moved(slope: float) -> list[float]:
    """How far its probability lies from one half at 0, 1, 2 and 3."""
    return [float(value) - 0.5 for value in sigmoid(slope * np.array([-1.5, -0.5, 0.5, 1.5]))]


def told_of(*slopes: float, spread: float = 1.0) -> dict[str, Any]:
    refits = Refits(
        fitted=logistic(0.4),
        redrawn=tuple(logistic(slope) for slope in slopes),
        spread=spread,
        calibrator=Calibrator(),
        pipelines=None,
    )
    return describe({"number": [0.0, 1.0, 2.0, 3.0]}, {"number": moved(0.4)}, refits=refits)[0]


def test_the_range_of_a_family_is_as_wide_as_its_refits_scatter() -> None:
    told = told_of(0.39, 0.41)

    size, *again = (float(np.mean(np.abs(moved(slope)))) for slope in (0.4, 0.39, 0.41))
    # Of two values the standard deviation is their distance / sqrt(2); Student's t(1) = 12.7062.
    half = 12.7062 * (again[1] - again[0]) / np.sqrt(2.0)
    assert told["mean_abs_effect"] == pytest.approx(size)
    assert (told["low"], told["high"]) == pytest.approx((size - half, size + half), rel=1e-4)
    assert told_of(0.4, 0.4)["low"] == pytest.approx(size)
    assert told_of(0.1, 0.9)["low"] == 0.0
    assert (told["refits"], told["in_top_three"]) == (2, 2)


def test_refits_on_a_quarter_of_the_objects_scatter_twice_as_much_as_the_fit_does() -> None:
    assert half_width(np.array([1.0, 3.0]), 0.5) == pytest.approx(12.7062 * np.sqrt(2.0) / 2, rel=1e-4)
    wide, narrow = (told_of(0.3999, 0.4001, spread=spread) for spread in (1.0, 0.5))
    size = wide["mean_abs_effect"]
    assert wide["high"] - size == pytest.approx(2 * (narrow["high"] - size))


def test_each_bin_tells_its_objects_and_a_whisker_that_holds_the_effect() -> None:
    (fact,) = told_of(0.4, 0.41, 0.39)["features"]

    assert [(each["rows"], each["objects"]) for each in fact["bins"]] == [(1, 1)] * 4
    assert [each["effect"] for each in fact["bins"]] == pytest.approx(moved(0.4))
    assert all(each["low"] < each["effect"] < each["high"] for each in fact["bins"])
    assert (fact["direction"], fact["agree"]) == ("up", 3)


def test_a_direction_on_which_the_refits_do_not_agree_is_told_as_unclear() -> None:
    (fact,) = told_of(0.4, -0.4, 0.4)["features"]

    assert (fact["direction"], fact["agree"]) == ("unclear", 2)


def test_a_fact_that_helps_in_the_middle_only_has_no_single_direction() -> None:
    told = describe({"number": [0.0, 1.0, 2.0]}, {"number": [-0.1, 0.2, -0.1]})

    assert told[0]["features"][0]["direction"] == "mixed"
    assert describe({"kind": [0.0, 1.0]}, {"kind": [0.1, -0.1]})[0]["features"][0]["direction"] == "values"
    assert describe({"number": [1.0, 1.0]}, {"number": [0.1, 0.1]})[0]["features"][0]["direction"] == "none"


def test_a_family_says_how_many_it_lifts_and_lowers_and_by_how_much() -> None:
    (told,) = describe({"number": [1.0, 2.0, 3.0]}, {"number": [0.3, -0.1, -0.1]}, weight=[1.0, 1.0, 2.0])

    assert told["lifts"] == {"share": 0.25, "effect": 0.3}
    assert told["lowers"] == {"share": 0.75, "effect": pytest.approx(-0.1)}


def test_facts_that_say_nearly_the_same_are_told_together_under_the_largest() -> None:
    values = np.arange(20.0)
    facts = {"visits": values, "visits_twice": 2 * values, "coins": np.array([0.0, 1.0] * 10)}
    contract = [Feature(name=name, family="pace", unit="count", words=name) for name in facts]
    effects = np.column_stack([np.full(20, 0.1), np.full(20, 0.2), np.full(20, -0.25)])

    told = drivers(
        effects=Effects(base_rate=0.3, by_feature=effects),
        features=pd.DataFrame(facts),
        contract=contract,
        y_obs=np.zeros(20),
        weight=np.ones(20),
        objects=np.arange(20),
    )

    largest, other = told[0]["features"]
    assert (largest["feature"], [one["feature"] for one in largest["together"]]) == ("visits_twice", ["visits"])
    assert largest["mean_abs_effect"] == pytest.approx(0.3)
    assert (other["feature"], other["together"]) == ("coins", [])


def test_refits_draw_whole_objects_and_no_more_rows_than_allowed() -> None:
    drawn: list[np.ndarray] = []

    def fit(rows: np.ndarray) -> Refitted:
        drawn.append(rows)
        return logistic(0.1)

    refitter = Refitter(
        catalogue=[NUMBER],
        features=pd.DataFrame({"number": np.zeros(1000)}),
        objects=np.arange(1000) // 2,
        y_obs=np.zeros(1000),
        weight=np.ones(1000),
        pipelines=None,
        fitted=logistic(0.1),
        fit=fit,
        fit_with=lambda _: logistic(0.1),
        booster_rows=1000,
    )

    refits = refits_of(
        refitter, calibrator=Calibrator(), pipelines=None, settings=DriverSettings(refits=3, max_refit_rows=250), seed=1
    )

    assert refits is not None
    assert len(drawn) == 3
    assert all(150 < len(rows) < 350 for rows in drawn)
    assert all(
        (np.bincount(rows, minlength=1000)[::2] == np.bincount(rows, minlength=1000)[1::2]).all() for rows in drawn
    )
    assert refits.spread == pytest.approx(0.5)
    assert refits_of(None, calibrator=Calibrator(), pipelines=None, settings=DriverSettings(), seed=1) is None


def test_refits_are_ranked_on_the_scale_of_the_published_effects() -> None:
    families = ("stage", "pace", "recency", "people")
    contract = [
        Feature(name=f"f{place}", family=family, unit="count", words="x") for place, family in enumerate(families)
    ]
    rows = pd.DataFrame({feature.name: [0.0, 1.0, 2.0, 3.0] for feature in contract})

    def model(scale: float) -> Refitted:
        return Refitted(
            probability=lambda values, _: sigmoid(scale * (values.to_numpy()[:, 0] - 1.5)),
            contributions=lambda values: scale * (values.to_numpy() - 1.5) * np.array([0.1, 0.2, 0.3, 0.4]),
        )

    told = drivers(
        # The first three are the largest in what is published, the last three in the contributions.
        effects=Effects(base_rate=0.5, by_feature=np.outer([-1.0, -1.0, 1.0, 1.0], [0.4, 0.3, 0.2, 0.1])),
        features=rows,
        contract=contract,
        y_obs=np.zeros(4),
        weight=np.ones(4),
        objects=np.arange(4),
        refits=Refits(
            fitted=model(1.0), redrawn=(model(0.99), model(1.01)), spread=1.0, calibrator=Calibrator(), pipelines=None
        ),
    )

    assert [(family["family"], family["in_top_three"]) for family in told] == [
        ("stage", 2), ("pace", 2), ("recency", 2), ("people", 0),
    ]  # fmt: skip
