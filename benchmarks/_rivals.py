"""What a data scientist would try instead: the usual models on ripe snapshots, tuned inside their own past.

Every rival is handed the very matrix that the product's model is fitted on and answers the very question that is
measured: won within the horizon. Each picks among its settings by log loss on the latest fifth of its past, whose
labels lie after all that it was then fitted on, and is fitted once more on everything.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.metrics import log_loss

AUTOML = Path(__file__).with_name("_automl.py")
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
LATEST_SHARE = 0.2
LEAST_ROWS = 200
AGGREGATE = ("_total", "days_since_any", "days_since_first", "age_days", "days_in_stage", "stages_passed", "stage")
"""Columns of the plain aggregate encoding: how often each kind of event happened, how long ago, and where it stands."""

Predictor = Callable[[pd.DataFrame], NDArray[np.float64]]
Fitter = Callable[["Past", Any], Predictor]


@dataclass(frozen=True)
class Past:
    """Ripe snapshots to learn from: codes of categories are numbers, missing values NaN; times in microseconds."""

    features: pd.DataFrame
    categories: tuple[str, ...]
    y_obs: NDArray[np.float64]
    weight: NDArray[np.float64]
    as_of: NDArray[np.int64]
    ripe_at: NDArray[np.int64]

    def keep(self, mask: NDArray[np.bool_]) -> Past:
        """Return the chosen rows."""
        rows = {name: getattr(self, name)[mask] for name in ("y_obs", "weight", "as_of", "ripe_at")}
        return replace(self, features=self.features.loc[mask], **rows)

    def only(self, names: list[str]) -> Past:
        """Return the chosen columns."""
        chosen = tuple(name for name in self.categories if name in names)
        return replace(self, features=self.features[names], categories=chosen)


def aggregate_columns(features: pd.DataFrame) -> list[str]:
    """Return the columns that a plain aggregate encoding of the event log has."""
    also = ("amount", "last_kind", "pipeline", "tenure_days")
    return [name for name in features if name in also or str(name).endswith(AGGREGATE)]


def fit_tuned(fitter: Fitter, past: Past, settings: list[Any]) -> Predictor:
    """Fit with the settings that did best on the latest part of the past; where there is none, with the first."""
    cut = np.quantile(past.as_of, 1 - LATEST_SHARE)
    early, late = past.ripe_at <= cut, past.as_of >= cut
    usable = all(
        side.sum() >= LEAST_ROWS and 0 < past.y_obs[side].sum() < side.sum() and len(settings) > 1
        for side in (early, late)
    )
    best = settings[0]
    if usable:
        judge, train = past.keep(late), past.keep(early)
        losses = [
            log_loss(y_obs=judge.y_obs, y_pred=fitter(train, one)(judge.features), weight=judge.weight)
            for one in settings
        ]
        best = settings[int(np.argmin(losses))]
    return fitter(past, best)


def logistic_regression(past: Past, strength: float) -> Predictor:
    """Fit a penalised logistic regression on standardised numbers, missing marks and one column per category."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in past.features if name not in past.categories and past.features[name].notna().any()]
    model = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
            (OneHotEncoder(min_frequency=0.01, handle_unknown="infrequent_if_exist"), list(past.categories)),
        ),
        LogisticRegression(C=strength, max_iter=300, tol=1e-3),
    )
    model.fit(past.features, past.y_obs, logisticregression__sample_weight=past.weight)
    return lambda features: np.asarray(model.predict_proba(features)[:, 1])


def lightgbm(past: Past, settings: tuple[int, int, float]) -> Predictor:
    """Fit a plain LightGBM classifier: trees, leaves and learning rate; everything else as it comes."""
    from lightgbm import LGBMClassifier

    trees, leaves, rate = settings
    model = LGBMClassifier(
        n_estimators=trees, num_leaves=leaves, learning_rate=rate, random_state=7, n_jobs=THREADS, verbosity=-1
    )
    categories = [list(past.features).index(name) for name in past.categories]
    model.fit(past.features.to_numpy(), past.y_obs, past.weight, categorical_feature=categories)
    return lambda features: np.asarray(model.booster_.predict(features.to_numpy()))


def hist_gradient_boosting(past: Past, settings: tuple[int, int, float]) -> Predictor:
    """Fit scikit-learn's histogram gradient boosting: trees, leaves and learning rate."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees, leaves, rate = settings
    # It fails on a column without a single value.
    usable = past.features.columns[past.features.notna().any()]
    model = HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=rate,
        categorical_features=[place for place, name in enumerate(usable) if name in past.categories],
        early_stopping=False,
        random_state=7,
    )
    model.fit(past.features[usable].to_numpy(), past.y_obs, past.weight)
    return lambda features: np.asarray(model.predict_proba(features[usable].to_numpy())[:, 1])


BOOSTERS = [(140, 7, 0.06), (60, 7, 0.06), (300, 15, 0.04), (200, 31, 0.05)]
STRENGTHS = [0.001, 0.0001, 0.01, 0.1]
RIVALS: Mapping[str, tuple[Fitter, list[Any]]] = {
    "logistic regression": (logistic_regression, STRENGTHS),
    "LightGBM": (lightgbm, BOOSTERS),
    "HistGradientBoosting": (hist_gradient_boosting, BOOSTERS),
}


def rival_scores(past: Past, features: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Fit every rival on the past and score ``features``, on the whole matrix and on the aggregate encoding."""
    scores = {name: fit_tuned(fitter, past, list(grid))(features) for name, (fitter, grid) in RIVALS.items()}
    columns = aggregate_columns(past.features)
    for name in ("LightGBM", "HistGradientBoosting"):
        fitter, grid = RIVALS[name]
        scores[f"{name}, aggregates"] = fit_tuned(fitter, past.only(columns), list(grid))(features[columns])
    return scores


def automl_scores(
    past: Past, features: pd.DataFrame, *, python: str, seconds: float, folder: Path | None = None
) -> NDArray[np.float64]:
    """Let FLAML search for ``seconds`` in a Python of its own, which has it, and score ``features``."""
    order = np.argsort(past.as_of, kind="stable")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        task, answer = Path(name) / "task.npz", Path(name) / "answer.npy"
        np.savez(
            task,
            past=past.features.to_numpy(dtype=np.float64)[order],
            y_obs=past.y_obs[order],
            weight=past.weight[order],
            features=features.to_numpy(dtype=np.float64),
            categories=np.array([list(past.features).index(one) for one in past.categories], dtype=np.int64),
            seconds=seconds,
        )
        subprocess.run([python, str(AUTOML), str(task), str(answer)], check=True, stdout=subprocess.DEVNULL)
        return np.asarray(np.load(answer))
