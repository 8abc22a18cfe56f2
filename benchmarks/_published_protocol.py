"""The protocol under which figures on the BPI Challenge 2012 log were published, with our features and our booster.

Teinemaa, Dumas, La Rosa and Maggi, "Outcome-oriented predictive process monitoring: review and benchmark" (ACM TKDD
2019), as their published code has it: cases whose last offer event is an acceptance, a refusal or a cancellation; the
first 80 % by start train, on events before the first start of the other 20 %; every prefix of 1 to min(40, the .9
quantile of the positive cases' lengths) events is a row; the AUC is taken per prefix length and averaged over lengths
by their numbers of cases. Prefixes may reach beyond the outcome and look at closed deals: the product never does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.feature_contract import FeatureContract, learn_contract
from features.matrix import build_matrix
from features.tables import CrmTables
from features.visibility import as_known_at
from models.boosting import fit_booster
from models.bootstrap import cluster_weights, interval
from models.metrics import auc, brier
from models.training import TrainingSettings

PUBLISHED = {"o_accepted": (0.678, 0.21), "o_declined": (0.566, 0.15), "o_cancelled": (0.709, 0.16)}
"""AUC and Brier score, as stated for this log."""

TRAIN_SHARE, LONGEST, LONG_SHARE = 0.8, 40, 0.9
REPLICATES = 200


def published_protocol(tables: CrmTables, *, settings: TrainingSettings) -> dict[str, Any]:
    """Fit and measure each of the three tasks, print and return the figures."""
    events = offer_events(tables)
    started = events.groupby("deal_id", sort=False)["time"].min().sort_values(kind="stable")
    early = started.index[: int(TRAIN_SHARE * len(started))]
    split = started.iloc[len(early)]
    known = as_known_at(tables, as_of=split)
    contract, _ = learn_contract(
        question="deals", tables=known, settings=settings.features, properties=settings.properties
    )
    events = events.loc[events["nr"] <= LONGEST]
    in_train = events["deal_id"].isin(early).to_numpy()
    train, test = events.loc[in_train & (events["time"] < split).to_numpy()], events.loc[~in_train]
    matrices = [_matrix(part, tables=tables, contract=contract) for part in (train, test)]
    print(
        f"\nbpic2012 under the protocol of Teinemaa et al.: {len(started):,} cases with an offer that came to an end, "
        f"split at {split:%Y-%m-%d}, {len(train):,} prefixes to learn from, {len(test):,} to be judged"
    )
    print(f"{'':14}{'AUC':>7}{'(95 %)':>17}{'published':>11}{'Brier':>8}{'published':>11}")
    figures = []
    for outcome, (their_auc, their_brier) in PUBLISHED.items():
        most = _longest(events, outcome=outcome, lengths=events["length"])
        keep = [(part["nr"] <= most).to_numpy() for part in (train, test)]
        booster = fit_booster(
            features=matrices[0].loc[keep[0]],
            label=(train["outcome"] == outcome).to_numpy(dtype=np.float64)[keep[0]],
            weight=None,
            categories=[feature.name for feature in contract.features if feature.is_category],
            settings=settings.deals.booster,
        )
        judged = test.loc[keep[1]]
        y_obs = (judged["outcome"] == outcome).to_numpy(dtype=np.float64)
        y_pred = np.asarray(booster.predict(matrices[1].loc[keep[1]].to_numpy()))
        deals = np.unique(judged["deal_id"], return_inverse=True)[1]
        nr = judged["nr"].to_numpy()
        value = weighted_auc(y_obs, y_pred, nr, np.ones(len(y_obs)))
        drawn = [
            weighted_auc(y_obs, y_pred, nr, row)
            for block in cluster_weights(
                cluster=deals, replicates=REPLICATES, seed=settings.seed, weight=np.ones(len(y_obs))
            )
            for row in block
        ]
        ends = interval(np.array(drawn))
        loss = brier(y_obs=y_obs, y_pred=y_pred, weight=np.ones(len(y_obs)))
        print(
            f"{outcome:14}{value:7.3f}{f'({ends.low:.3f}-{ends.high:.3f})':>17}{their_auc:11.3f}{loss:8.3f}"
            f"{their_brier:11.2f}"
        )
        figures.append({"task": outcome, "auc": value, "low": ends.low, "high": ends.high, "brier": loss, "most": most})
    return {"title": "bpic2012, published protocol", "tasks": figures}


def offer_events(tables: CrmTables) -> pd.DataFrame:
    """Return the events of every case whose last offer event ended it: deal, time, number, length and outcome."""
    stages, activities = tables["deal_stage_history"], tables["activities"]
    events = pd.concat(
        [
            stages[["deal_id", "stage", "entered_at"]].set_axis(["deal_id", "name", "time"], axis=1),
            activities[["deal_id", "type", "occurred_at"]].set_axis(["deal_id", "name", "time"], axis=1),
        ],
        ignore_index=True,
    ).sort_values(["deal_id", "time"], kind="stable")
    events["name"] = events["name"].str.lower()
    offers = events.loc[events["name"].str.startswith("o_")]
    last = offers.groupby("deal_id")["name"].last()
    events["outcome"] = events["deal_id"].map(last)
    events = events.loc[events["outcome"].isin(list(PUBLISHED))].reset_index(drop=True)
    cases = events.groupby("deal_id")
    return events.assign(nr=cases.cumcount() + 1, length=cases["time"].transform("size"))


def weighted_auc(
    y_obs: NDArray[np.float64], y_pred: NDArray[np.float64], nr: NDArray[np.int64], weight: NDArray[np.float64]
) -> float:
    """Return the AUC of each prefix length, averaged by numbers of cases; a length with one outcome is left out."""
    values, cases = [], []
    for number in np.unique(nr):
        here = nr == number
        mass = weight[here]
        if 0 < (mass * y_obs[here]).sum() < mass.sum():
            values.append(auc(y_obs=y_obs[here], y_pred=y_pred[here], weight=mass))
            cases.append(mass.sum())
    return float(np.average(values, weights=cases))


def _longest(events: pd.DataFrame, *, outcome: str, lengths: pd.Series) -> int:
    positive = events.loc[events["outcome"] == outcome, "deal_id"].drop_duplicates().index
    return min(LONGEST, int(np.ceil(lengths.loc[positive].quantile(LONG_SHARE))))


def _matrix(events: pd.DataFrame, *, tables: CrmTables, contract: FeatureContract) -> pd.DataFrame:
    snapshots = pd.DataFrame({"deal_id": events["deal_id"], "as_of": events["time"] + pd.Timedelta(microseconds=1)})
    return build_matrix(tables=tables, snapshots=snapshots.reset_index(drop=True), contract=contract).features
