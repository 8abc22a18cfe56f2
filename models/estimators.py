"""Both models with the manners of scikit-learn, for notebooks: the same fits as in training, on any frame.

They fit and predict; the audit, the tests in time order, calibration and the verdict belong to ``leadline train``.
Columns of pandas' category type are taken as categories (a value that was not there at the fit counts as missing),
all others must be numbers; missing values are welcome.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data

from features.episodes import LOST, OPEN, WON
from models.boosting import BoosterSettings, FloatArray, fit_booster
from models.landmark import Buckets, LandmarkModel, LandmarkSettings, WinCurve, fit_landmark, learn_buckets

ONE_PIPELINE: Final = "all"


class _BoosterClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """What both have in common: the booster's parameters, frames in, two classes."""

    def __init__(
        self,
        *,
        trees: int = 200,
        leaves: int = 7,
        learning_rate: float = 0.04,
        min_leaf_rows: int = 100,
        l2: float = 50.0,
        feature_share: float = 0.2,
        seed: int = 7,
        threads: int = 2,
    ) -> None:
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.min_leaf_rows = min_leaf_rows
        self.l2 = l2
        self.feature_share = feature_share
        self.seed = seed
        self.threads = threads

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803 - scikit-learn's name
        """Return the likelier class of each row."""
        chosen = self.predict_proba(X)[:, 1] > 0.5
        return np.asarray(self.classes_[chosen.astype(int)])

    def predict_proba(self, X: Any) -> FloatArray:  # noqa: N803 - scikit-learn's name
        """Return the probability of both classes, shape (n, 2), in the order of ``classes_``."""
        positive = self._probability(self._features(X))
        return np.column_stack([1.0 - positive, positive])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _probability(self, features: pd.DataFrame) -> FloatArray:
        raise NotImplementedError

    def _settings(self) -> BoosterSettings:
        return BoosterSettings(**{name: getattr(self, name) for name in BoosterSettings.model_fields})

    def _learn_columns(self, X: Any, y: Any) -> tuple[pd.DataFrame, FloatArray]:  # noqa: N803 - scikit-learn's name
        """Remember columns, categories and classes; return features and labels (1.0 for the later class)."""
        self.levels_ = {
            name: X[name].cat.categories
            for name in getattr(X, "columns", ())
            if isinstance(X[name].dtype, pd.CategoricalDtype)
        }
        values, y = validate_data(self, self._coded(X), y, dtype=np.float64, ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_, label = np.unique(y, return_inverse=True)
        if type_of_target(y, input_name="y") != "binary" or len(self.classes_) != 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}, with {len(self.classes_)} class(es)."
            )
        return self._named(values), label.astype(np.float64)

    def _features(self, X: Any) -> pd.DataFrame:  # noqa: N803 - scikit-learn's name
        check_is_fitted(self)
        values = validate_data(self, self._coded(X), dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return self._named(values)

    def _coded(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        if not self.levels_ or not isinstance(X, pd.DataFrame):
            return X
        codes = {name: levels.get_indexer(X[name]) for name, levels in self.levels_.items() if name in X.columns}
        return X.assign(**{name: np.where(code < 0, np.nan, code) for name, code in codes.items()})

    def _named(self, values: FloatArray) -> pd.DataFrame:
        names = getattr(self, "feature_names_in_", [f"x{place}" for place in range(values.shape[1])])
        return pd.DataFrame(values, columns=list(names))


class ContactClassifier(_BoosterClassifier):
    """The contact model: a small, strongly regularised booster for whether a contact is won within the horizon."""

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit on snapshots of contacts (n, features) and whether each was won."""
        features, label = self._learn_columns(X, y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, features)
        self.booster_ = fit_booster(
            features=features, label=label, weight=weight, categories=list(self.levels_), settings=self._settings()
        )
        return self

    def _probability(self, features: pd.DataFrame) -> FloatArray:
        return np.asarray(self.booster_.predict(features.to_numpy(dtype=np.float64)))


class DealClassifier(_BoosterClassifier):
    """The deal model: landmark discrete-time competing risks, with the whole curve of winning over time.

    ``support_days_`` is how far ahead the history supports a statement; ``predict_proba`` is about being won by then.
    """

    def __init__(
        self,
        *,
        trees: int = 140,
        leaves: int = 7,
        learning_rate: float = 0.06,
        min_leaf_rows: int = 100,
        l2: float = 50.0,
        feature_share: float = 0.2,
        seed: int = 7,
        threads: int = 2,
        quantiles: tuple[float, ...] = LandmarkSettings().quantiles,
    ) -> None:
        super().__init__(
            trees=trees,
            leaves=leaves,
            learning_rate=learning_rate,
            min_leaf_rows=min_leaf_rows,
            l2=l2,
            feature_share=feature_share,
            seed=seed,
            threads=threads,
        )
        self.quantiles = quantiles

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's name
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        days_to_outcome: ArrayLike | None = None,
        days_known: ArrayLike | None = None,
        deals: ArrayLike | None = None,
    ) -> Self:
        """Fit on snapshots of open deals (n, features) and whether each was won in the end (else lost).

        ``days_to_outcome`` is the time from the snapshot to the closing, NaN for a deal that is still open (its ``y``
        is not looked at); ``days_known`` the time from the snapshot to the end of what is known (by default every
        closing is known, and nothing later); ``deals`` tells which rows are snapshots of one deal. Without
        ``days_to_outcome`` there is no curve, only who wins.
        """
        features, label = self._learn_columns(X, y)
        count = len(features)
        weight = _check_sample_weight(sample_weight, features, dtype=np.float64)
        settings = LandmarkSettings(booster=self._settings(), quantiles=self.quantiles)
        pipelines = np.full(count, ONE_PIPELINE, dtype=object)
        days = np.full(count, 0.5) if days_to_outcome is None else np.asarray(days_to_outcome, dtype=np.float64)
        closed = ~np.isnan(days)
        known = np.where(closed, np.inf, 0.0) if days_known is None else np.asarray(days_known, dtype=np.float64)
        deal = np.arange(count) if deals is None else np.unique(np.asarray(deals), return_inverse=True)[1]
        check_consistent_length(features, days, known, deal)
        if not closed.any():
            raise ValueError("days_to_outcome must tell of at least one closed deal; all of it is NaN.")
        buckets = Buckets(edges={}, shared=(1.0,))
        if days_to_outcome is not None:
            buckets = learn_buckets(
                pipeline=pipelines[closed],
                remaining_days=days[closed],
                weight=weight[closed],
                deal=deal[closed],
                history_days=float(known.max()),
                settings=settings,
            )
        self.model_: LandmarkModel = fit_landmark(
            features=features,
            categories=list(self.levels_),
            pipelines=pipelines,
            outcome=np.where(closed, np.where(label == 1.0, WON, LOST), OPEN).astype(np.int8),
            days_to_outcome=days,
            days_known=known,
            weight=weight,
            buckets=buckets,
            settings=settings,
        )
        self.support_days_ = float(buckets.support_days(pipelines[:1])[0])
        return self

    def win_curve(self, X: Any) -> WinCurve:  # noqa: N803 - scikit-learn's name
        """Return P(won by) and P(lost by) at the end of each future bucket."""
        return self._curve(self._features(X))

    def _probability(self, features: pd.DataFrame) -> FloatArray:
        return np.asarray(self._curve(features).won[:, -1])

    def _curve(self, features: pd.DataFrame) -> WinCurve:
        return self.model_.curve(features=features, pipelines=np.full(len(features), ONE_PIPELINE, dtype=object))
