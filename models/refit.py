"""The training rows of a fit, ready to be fitted again on a choice of them: for stability, curves and other splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import Feature
from features.tables import CrmTables
from features.visibility import as_known_at
from models.boosting import BoosterSettings, fit_booster
from models.contact_fit import ContactFit, ContactInputs, fit_contact_booster
from models.deal_fit import DealFit, DealInputs, deal_rows, fit_deal_model, landmark_of, won_in_support
from models.explanation import win_contributions
from models.landmark import LandmarkModel, LandmarkSettings
from models.metrics import AnyArray, FloatArray, IntArray


@dataclass(frozen=True)
class Refitted:
    """A fitted model: its probability, and each feature's contribution on its own additive scale.

    Both take features and, for deals, each row's pipeline.
    """

    probability: Callable[[pd.DataFrame, AnyArray | None], FloatArray]
    contributions: Callable[[pd.DataFrame], FloatArray]


@dataclass(frozen=True)
class Refitter:
    """Training rows, and how to fit on a choice of them or, on all, with another booster.

    ``y_obs`` is NaN where a row's label is not ripe. ``booster_rows`` is how many rows the booster is fitted on, about.
    """

    catalogue: Sequence[Feature]
    features: pd.DataFrame
    objects: AnyArray
    y_obs: FloatArray
    weight: FloatArray
    pipelines: AnyArray | None
    fitted: Refitted
    fit: Callable[[IntArray], Refitted]
    fit_with: Callable[[BoosterSettings], Refitted]
    booster_rows: int


def contact_refitter(*, tables: CrmTables, fit: ContactFit, inputs: ContactInputs) -> Refitter | None:
    """Return the training rows of a contact model; None where the ladder allowed none."""
    if fit.booster is None:
        return None
    known = as_known_at(tables, as_of=fit.cutoff)
    features = fit.matrix(tables=known, snapshots=fit.train.snapshots).features
    y_obs = fit.train.y_obs
    return Refitter(
        catalogue=fit.contract.features,
        features=features,
        objects=fit.train.snapshots["contact_id"].to_numpy(),
        y_obs=y_obs,
        weight=np.ones(len(y_obs)),
        pipelines=None,
        fitted=_of_booster(fit.booster, fit),
        fit=lambda rows: _of_booster(
            fit_contact_booster(
                features=features.iloc[rows], y_obs=y_obs[rows], contract=fit.contract, step=fit.step, inputs=inputs
            ),
            fit,
        ),
        fit_with=lambda booster: _of_booster(
            fit_booster(
                features=features,
                label=y_obs,
                weight=None,
                categories=[feature.name for feature in fit.contract.features if feature.is_category],
                settings=booster,
            ),
            fit,
        ),
        booster_rows=len(y_obs),
    )


def deal_refitter(*, tables: CrmTables, first: pd.Timestamp, fit: DealFit, inputs: DealInputs) -> Refitter | None:
    """Return the training rows of a deal model; None where the ladder allowed none."""
    if fit.model is None:
        return None
    known = as_known_at(tables, as_of=fit.cutoff)
    rows, timelines = deal_rows(tables=known, start=first, end=fit.cutoff, inputs=inputs)
    features = fit.matrix(tables=known, snapshots=rows.snapshots).features

    own = landmark_of(fit.step, settings=inputs.landmark)

    def model(chosen: IntArray, told: LandmarkSettings) -> Refitted:
        return _of_landmark(
            fit_deal_model(
                features=features.iloc[chosen],
                rows=rows.take(chosen),
                contract=fit.contract,
                cutoff=fit.cutoff,
                buckets=fit.buckets,
                landmark=told,
            )
        )

    return Refitter(
        catalogue=fit.contract.features,
        features=features,
        objects=rows.deal_id,
        y_obs=won_in_support(rows=rows, timelines=timelines, buckets=fit.buckets, known_until=fit.cutoff),
        weight=rows.weight,
        pipelines=rows.pipeline,
        fitted=_of_landmark(fit.model),
        fit=lambda chosen: model(chosen, own),
        fit_with=lambda booster: model(np.arange(len(features)), own.model_copy(update={"booster": booster})),
        # Each snapshot has a row for each future bucket in which it was still open, about half of them.
        booster_rows=len(features) * len(fit.buckets.shared) // 2,
    )


def _of_booster(booster: Any, fit: ContactFit) -> Refitted:
    own = replace(fit, booster=booster)
    return Refitted(
        probability=lambda features, _: own.raw(features),
        contributions=lambda features: np.asarray(
            booster.predict(features.to_numpy(dtype=np.float64), pred_contrib=True)
        )[:, :-1],
    )


def _of_landmark(model: LandmarkModel) -> Refitted:
    def probability(features: pd.DataFrame, pipelines: AnyArray | None) -> FloatArray:
        where = np.full(len(features), None, dtype=object) if pipelines is None else pipelines
        return model.curve(features=features, pipelines=where).won[:, -1]

    return Refitted(
        probability=probability,
        contributions=lambda features: win_contributions(model, features.to_numpy(dtype=np.float64)),
    )
