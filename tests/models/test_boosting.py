"""LightGBM as the product uses it: repeatable, and its settings guarded."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from models.boosting import BoosterSettings, FloatArray, fit_booster
from tests.models.boosters import make_booster, make_features


def label_of(rows: int) -> FloatArray:
    return (make_features(rows)["number"].fillna(0.0).to_numpy() > 0.5).astype(float)


def test_the_same_rows_give_the_same_text() -> None:
    assert make_booster(classes=3).model_to_string() == make_booster(classes=3).model_to_string()


def test_the_trees_do_not_depend_on_the_number_of_threads() -> None:
    features = make_features(600)

    predictions = [
        fit_booster(
            features=features,
            label=label_of(600),
            weight=None,
            categories=["category"],
            settings=BoosterSettings(trees=15, min_leaf_rows=10, threads=threads),
        ).predict(features.to_numpy())
        for threads in (1, 2)
    ]

    assert predictions[0].tolist() == predictions[1].tolist()


def test_two_classes_give_one_probability_and_three_give_three() -> None:
    rows = make_features(20).to_numpy()

    assert make_booster(classes=2).predict(rows).shape == (20,)
    three = make_booster(classes=3).predict(rows)
    assert three.shape == (20, 3)
    assert three.sum(axis=1) == pytest.approx(np.ones(20))


def test_the_base_rate_is_kept() -> None:
    features, label = make_features(2000), label_of(2000)

    booster = fit_booster(
        features=features, label=label, weight=None, categories=[], settings=BoosterSettings(trees=50, threads=1)
    )

    assert booster.predict(features.to_numpy()).mean() == pytest.approx(label.mean(), abs=0.01)


@pytest.mark.parametrize("broken", [{"trees": 0}, {"trees": 5, "leaves": 1}, {"trees": 5, "learning_rate": 0}])
def test_senseless_settings_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BoosterSettings(**broken)  # type: ignore[arg-type]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="depth"):
        BoosterSettings.model_validate({"trees": 5, "depth": 3})
