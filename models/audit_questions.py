"""The leak audit of each question, on labelled snapshots of all that was known before an as-of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.catalogue import Question
from features.episodes import OPEN, WON, Closings
from features.feature_contract import FeatureSettings, learn_contract
from features.properties import PropertySettings
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, instant
from models.audit import Audit, AuditSettings, judge_columns
from models.audit_columns import AuditRows, measure, proxies, sampled
from models.boosting import FloatArray
from models.contact_fit import ContactInputs, label_contacts, wins_of
from models.deal_fit import DealInputs, deal_rows, won_in_support
from models.landmark import Buckets


def audit_contacts(
    *, known: CrmTables, as_of: pd.Timestamp, first: pd.Timestamp, inputs: ContactInputs, replicates: int, seed: int
) -> Audit:
    """Audit the contact question on tables that hold nothing after ``as_of``; won contacts are those that ended."""
    labelled = label_contacts(tables=known, start=first, end=as_of, known_until=as_of, inputs=inputs).ripe()
    wins, ids = wins_of(known)
    return _audit(
        question="contacts",
        known=known,
        as_of=as_of,
        snapshots=labelled.snapshots,
        y_obs=labelled.y_obs,
        weight=np.ones(len(labelled.y_obs)),
        closed_at=_closing_times(wins, count=len(ids), as_of=as_of, only_won=True),
        features=inputs.features,
        properties=inputs.properties,
        settings=inputs.audit,
        replicates=replicates,
        seed=seed,
    )


def audit_deals(
    *,
    known: CrmTables,
    as_of: pd.Timestamp,
    first: pd.Timestamp,
    buckets: Buckets,
    inputs: DealInputs,
    replicates: int,
    seed: int,
) -> Audit:
    """Audit the deal question on tables that hold nothing after ``as_of``; closed deals are those that ended."""
    rows, timelines = deal_rows(tables=known, start=first, end=as_of, inputs=inputs)
    y_obs = won_in_support(rows=rows, timelines=timelines, buckets=buckets, known_until=as_of)
    ripe = ~np.isnan(y_obs)
    return _audit(
        question="deals",
        known=known,
        as_of=as_of,
        snapshots=rows.keep(ripe).snapshots,
        y_obs=y_obs[ripe],
        weight=rows.weight[ripe],
        closed_at=_closing_times(timelines.closings, count=len(timelines.deal_ids), as_of=as_of, only_won=False),
        features=inputs.features,
        properties=inputs.properties,
        settings=inputs.audit,
        replicates=replicates,
        seed=seed,
    )


def _audit(
    *,
    question: Question,
    known: CrmTables,
    as_of: pd.Timestamp,
    snapshots: pd.DataFrame,
    y_obs: FloatArray,
    weight: FloatArray,
    closed_at: Int64Array,
    features: FeatureSettings,
    properties: PropertySettings,
    settings: AuditSettings,
    replicates: int,
    seed: int,
) -> Audit:
    contract, left_out = learn_contract(question=question, tables=known, settings=features, properties=properties)
    rows = sampled(
        AuditRows(
            question=question,
            tables=known,
            cutoff=as_of,
            contract=contract,
            left_out=tuple(left_out),
            snapshots=snapshots,
            y_obs=y_obs,
            weight=weight,
            closed_at=closed_at,
        ),
        settings=settings,
    )
    matrix = rows.matrix()
    positives = len(np.unique(rows.codes[rows.y_obs > 0.0]))
    columns, reference = judge_columns(
        measure(rows, matrix=matrix, replicates=replicates, seed=seed),
        question=question,
        positive_objects=positives,
        settings=settings,
    )
    return Audit(
        question=question,
        as_of=as_of.isoformat(),
        rows=len(rows.y_obs),
        objects=len(np.unique(rows.codes)),
        positive_objects=positives,
        reference=reference,
        columns=tuple(columns),
        proxies=tuple(proxies(rows, matrix=matrix, settings=settings)),
    )


def _closing_times(closings: Closings, *, count: int, as_of: pd.Timestamp, only_won: bool) -> Int64Array:
    """Return when the first outcome of each object became known, ``NEVER`` where there is none."""
    outcome, closed = closings.first_standing(
        objects=np.arange(count), start=np.full(count, -NEVER), end=np.full(count, instant(as_of))
    )
    return np.where(outcome == WON if only_won else outcome != OPEN, closed, NEVER)
