"""Both models as scikit-learn knows estimators: its own checks, and the same fits as in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from features.episodes import LOST, OPEN, WON
from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.estimators import ContactClassifier, DealClassifier
from models.landmark import LandmarkSettings, fit_landmark, learn_buckets
from tests.models.boosters import make_features

SMALL: dict[str, Any] = {
    "trees": 30,
    "learning_rate": 0.3,
    "min_leaf_rows": 1,
    "l2": 0.0,
    "feature_share": 1.0,
    "threads": 1,
}
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "LightGBM bins features and limits leaves by rows, so a row of weight 2 is not two rows"
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [ContactClassifier(**SMALL), DealClassifier(**SMALL)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
def test_scikit_learn_finds_nothing_wrong(estimator: Any, check: Any) -> None:
    check(estimator)


def frame_and_label(rows: int = 600) -> tuple[pd.DataFrame, FloatArray]:
    features = make_features(rows)
    score = features["number"].fillna(0.0) + features["category"].fillna(0.0) % 2
    label = (score + np.random.default_rng(3).normal(size=rows) > 0.5).to_numpy().astype(float)
    return features, label


def with_words(features: pd.DataFrame) -> pd.DataFrame:
    """The category as a person has it in a notebook: words instead of codes."""
    words = features["category"].map(lambda code: None if np.isnan(code) else f"k{int(code):02d}")
    return features.assign(category=pd.Categorical(words, categories=[f"k{code:02d}" for code in range(80)]))


def test_the_contact_estimator_is_the_contact_model() -> None:
    features, label = frame_and_label()
    settings = BoosterSettings(**{**SMALL, "min_leaf_rows": 5})

    estimator = ContactClassifier(**{**SMALL, "min_leaf_rows": 5}).fit(with_words(features), label)

    booster = fit_booster(features=features, label=label, weight=None, categories=["category"], settings=settings)
    assert estimator.predict_proba(with_words(features))[:, 1].tolist() == booster.predict(features.to_numpy()).tolist()


def test_the_defaults_are_those_of_the_configuration() -> None:
    from models.contact_fit import ContactSettings

    assert ContactClassifier()._settings() == ContactSettings().booster
    assert DealClassifier()._settings() == LandmarkSettings().booster
    assert DealClassifier().quantiles == LandmarkSettings().quantiles


def test_parameters_are_read_set_and_cloned() -> None:
    estimator = DealClassifier(leaves=4)

    assert estimator.get_params()["leaves"] == 4
    assert clone(estimator.set_params(trees=9)).get_params() == estimator.get_params()
    assert estimator.get_params()["trees"] == 9


def test_a_category_that_is_new_counts_as_missing() -> None:
    features, label = frame_and_label()
    estimator = ContactClassifier(**SMALL).fit(with_words(features), label)
    new = with_words(features.head(20)).assign(category=pd.Categorical(["never seen"] * 20))
    missing = with_words(features.head(20).assign(category=np.nan))

    assert estimator.predict_proba(new).tolist() == estimator.predict_proba(missing).tolist()


def test_words_that_are_no_category_are_refused() -> None:
    features, label = frame_and_label()

    with pytest.raises(ValueError, match="could not convert string to float"):
        ContactClassifier(**SMALL).fit(features.assign(number="much"), label)


def deals(rows: int = 600) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    """Deals that close on day 3, 10 or 20, the good ones sooner; one in six is still open."""
    features, label = frame_and_label(rows)
    generator = np.random.default_rng(5)
    days = np.where(label == 1.0, generator.choice([3.0, 10.0], rows), generator.choice([10.0, 20.0], rows))
    return features, label, np.where(np.arange(rows) % 6 == 0, np.nan, days)


def test_the_deal_estimator_is_the_deal_model() -> None:
    features, label, days = deals()
    known = np.full(600, 100.0)

    estimator = DealClassifier(**SMALL).fit(with_words(features), label, days_to_outcome=days, days_known=known)

    closed, one = ~np.isnan(days), np.full(600, "sales", dtype=object)
    settings = LandmarkSettings(booster=BoosterSettings(**SMALL))
    buckets = learn_buckets(
        pipeline=one[closed],
        remaining_days=days[closed],
        weight=np.ones(closed.sum()),
        deal=np.arange(600)[closed],
        history_days=100.0,
        settings=settings,
    )
    model = fit_landmark(
        features=features,
        categories=["category"],
        pipelines=one,
        outcome=np.where(closed, np.where(label == 1.0, WON, LOST), OPEN).astype(np.int8),
        days_to_outcome=days,
        days_known=known,
        weight=np.ones(600),
        buckets=buckets,
        settings=settings,
    )
    expected = model.curve(features=features, pipelines=one)
    found = estimator.win_curve(with_words(features))
    assert found.won.tolist() == expected.won.tolist()
    assert found.edges.tolist() == expected.edges.tolist()
    assert estimator.predict_proba(with_words(features))[:, 1].tolist() == expected.won[:, -1].tolist()
    assert estimator.support_days_ == pytest.approx(20.0)


def test_what_became_of_a_deal_that_is_still_open_is_not_looked_at() -> None:
    features, label, days = deals()
    other = np.where(np.isnan(days), 1.0 - label, label)

    one, two = (DealClassifier(**SMALL).fit(features, y, days_to_outcome=days) for y in (label, other))

    assert one.predict_proba(features).tolist() == two.predict_proba(features).tolist()


def test_an_open_deal_counts_for_the_time_it_was_seen_open() -> None:
    features, label, days = deals()
    known = np.where(np.isnan(days), 50.0, 100.0)

    ignored = DealClassifier(**SMALL).fit(features, label, days_to_outcome=days)
    seen = DealClassifier(**SMALL).fit(features, label, days_to_outcome=days, days_known=known)

    assert seen.predict_proba(features)[:, 1].mean() < ignored.predict_proba(features)[:, 1].mean()


def test_deals_of_which_none_has_closed_are_refused() -> None:
    features, label, _ = deals()

    with pytest.raises(ValueError, match="at least one closed deal"):
        DealClassifier(**SMALL).fit(features, label, days_to_outcome=np.full(600, np.nan))
