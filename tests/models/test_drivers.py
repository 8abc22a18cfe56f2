"""What drives the outcome: families and features by mean effect, and bins along a feature's values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Feature
from models.drivers import drivers
from models.explanation import Effects

NUMBER = Feature(name="number", family="pace", unit="count", words="visits")
KIND = Feature(name="kind", family="stage", unit="category", words="kind", levels=("red", "blue"))


def describe(
    values: dict[str, list[float]],
    effects: dict[str, list[float]],
    *,
    won: list[float] | None = None,
    weight: list[float] | None = None,
) -> list[dict[str, object]]:
    contract = [feature for feature in (NUMBER, KIND) if feature.name in values]
    count = len(next(iter(values.values())))
    return drivers(
        effects=Effects(base_rate=0.3, by_feature=np.array(list(effects.values())).T),
        features=pd.DataFrame(values),
        contract=contract,
        y_obs=np.zeros(count) if won is None else np.array(won),
        weight=np.ones(count) if weight is None else np.array(weight),
    )


def bins_of(values: list[float], **more: list[float]) -> list[dict[str, float]]:
    told = describe({"number": values}, {"number": [0.1] * len(values)}, **more)
    bins: list[dict[str, float]] = told[0]["features"][0]["bins"]  # type: ignore[index]
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

    bins = told[0]["features"][0]["bins"]  # type: ignore[index]
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

    assert told == [
        {"family": "pace", "words": "how long things take, and when", "mean_abs_effect": 0.0, "features": []},
    ]


def test_no_more_than_six_features_of_a_family_are_told() -> None:
    contract = [Feature(name=f"f{place}", family="pace", unit="count", words="x") for place in range(9)]

    told = drivers(
        effects=Effects(base_rate=0.3, by_feature=np.arange(1.0, 10.0)[None, :]),
        features=pd.DataFrame(np.ones((1, 9)), columns=[feature.name for feature in contract]),
        contract=contract,
        y_obs=np.ones(1),
        weight=np.ones(1),
    )

    assert [feature["feature"] for feature in told[0]["features"]] == ["f8", "f7", "f6", "f5", "f4", "f3"]
