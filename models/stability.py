"""Stability: would the same data, drawn again, have led to the same order and the same reasons?

Whole contacts or deals are drawn with replacement and the booster is fitted anew; each refit is compared with the first
fit on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from features.catalogue import Feature
from features.tables import CrmTables
from features.visibility import as_known_at
from models.bootstrap import cluster_weights
from models.contact_fit import ContactFit, ContactInputs, fit_contact_booster
from models.deal_fit import DealFit, DealInputs, deal_rows, fit_deal_model
from models.explanation import family_codes, win_contributions
from models.metrics import AnyArray, FloatArray, IntArray

TOP_SHARE: Final = 0.2
SAMPLE_ROWS: Final = 1000


@dataclass(frozen=True)
class Stability:
    """Means over the refits, each from 0 to 1.

    ``top_family`` is the share of rows whose weightiest family of reasons stays the same, ``top_feature`` the same for
    single features, ``order`` the rank correlation (Spearman) of the scores, ``top_list`` the share of the best fifth
    that stays in the best fifth.
    """

    refits: int
    rows: int
    top_family: float
    top_feature: float
    order: float
    top_list: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _View:
    score: FloatArray
    contributions: FloatArray


def contact_stability(
    *, tables: CrmTables, fit: ContactFit, inputs: ContactInputs, sample: pd.DataFrame, refits: int, seed: int
) -> Stability | None:
    """Refit the contact model of ``fit`` and compare on the features of ``sample``; None without a model."""
    if fit.booster is None or not len(sample):
        return None
    known = as_known_at(tables, as_of=fit.cutoff)
    train = fit.matrix(tables=known, snapshots=fit.train.snapshots).features

    def view(booster: Any, features: pd.DataFrame) -> _View:
        shap = np.asarray(booster.predict(features.to_numpy(dtype=np.float64), pred_contrib=True))
        return _View(score=shap.sum(axis=1), contributions=shap[:, :-1])

    def refit(rows: IntArray) -> Callable[[pd.DataFrame], _View]:
        booster = fit_contact_booster(
            features=train.iloc[rows], y_obs=fit.train.y_obs[rows], contract=fit.contract, step=fit.step, inputs=inputs
        )
        return lambda features: view(booster, features)

    return _stability(
        first=lambda features: view(fit.booster, features),
        refit=refit,
        objects=fit.train.snapshots["contact_id"].to_numpy(),
        sample=sample,
        features=fit.contract.features,
        refits=refits,
        seed=seed,
    )


def deal_stability(
    *,
    tables: CrmTables,
    first: pd.Timestamp,
    fit: DealFit,
    inputs: DealInputs,
    sample: pd.DataFrame,
    pipelines: AnyArray,
    refits: int,
    seed: int,
) -> Stability | None:
    """Refit the deal model of ``fit`` and compare on the features of ``sample``; None without a model."""
    if fit.model is None or not len(sample):
        return None
    known = as_known_at(tables, as_of=fit.cutoff)
    rows, _ = deal_rows(tables=known, start=first, end=fit.cutoff, inputs=inputs)
    train = fit.matrix(tables=known, snapshots=rows.snapshots).features
    kept = _sample_places(len(sample))

    def view(model: Any, features: pd.DataFrame) -> _View:
        return _View(
            score=model.curve(features=features, pipelines=pipelines[kept]).won[:, -1],
            contributions=win_contributions(model, features.to_numpy(dtype=np.float64)),
        )

    def refit(chosen: IntArray) -> Callable[[pd.DataFrame], _View]:
        model = fit_deal_model(
            features=train.iloc[chosen],
            rows=rows.take(chosen),
            contract=fit.contract,
            cutoff=fit.cutoff,
            buckets=fit.buckets,
            inputs=inputs,
        )
        return lambda features: view(model, features)

    return _stability(
        first=lambda features: view(fit.model, features),
        refit=refit,
        objects=rows.deal_id,
        sample=sample,
        features=fit.contract.features,
        refits=refits,
        seed=seed,
    )


def _stability(
    *,
    first: Callable[[pd.DataFrame], _View],
    refit: Callable[[IntArray], Callable[[pd.DataFrame], _View]],
    objects: AnyArray,
    sample: pd.DataFrame,
    features: Sequence[Feature],
    refits: int,
    seed: int,
) -> Stability:
    seen = sample.iloc[_sample_places(len(sample))]
    before = first(seen)
    _, family = family_codes(features)
    found = []
    for block in cluster_weights(cluster=objects, replicates=refits, seed=seed):
        for drawn in block:
            rows = np.repeat(np.arange(len(drawn)), drawn.astype(np.int64))
            found.append(_agreement(before, refit(rows)(seen), family=family))
    means = np.mean(found, axis=0)
    return Stability(
        refits=refits,
        rows=len(seen),
        top_family=float(means[0]),
        top_feature=float(means[1]),
        order=float(means[2]),
        top_list=float(means[3]),
    )


def _agreement(before: _View, after: _View, *, family: IntArray) -> tuple[float, float, float, float]:
    most = max(1, round(TOP_SHARE * len(before.score)))
    best = [set(np.argsort(-view.score, kind="stable")[:most].tolist()) for view in (before, after)]
    return (
        float(np.mean(_top(_by_family(before, family)) == _top(_by_family(after, family)))),
        float(np.mean(_top(before.contributions) == _top(after.contributions))),
        _rank_correlation(before.score, after.score),
        len(best[0] & best[1]) / most,
    )


def _by_family(view: _View, family: IntArray) -> FloatArray:
    # Told against the average, as published reasons are.
    centred = view.contributions - view.contributions.mean(axis=0)
    return np.stack([centred[:, family == code].sum(axis=1) for code in range(int(family.max()) + 1)], axis=1)


def _top(contributions: FloatArray) -> IntArray:
    return np.asarray(np.abs(contributions).argmax(axis=1), dtype=np.int64)


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    ranks = rankdata(first), rankdata(second)
    if np.ptp(ranks[0]) == 0.0 or np.ptp(ranks[1]) == 0.0:
        return float(np.ptp(ranks[0]) == np.ptp(ranks[1]))
    return float(np.corrcoef(*ranks)[0, 1])


def _sample_places(count: int) -> IntArray:
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE_ROWS)).astype(np.int64))
