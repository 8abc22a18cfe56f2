"""What a batch's report shows beyond its scores, gathered while the tables are at hand and kept with the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.tables import CrmTables
from features.visibility import newest_fact
from flows.wiring import Workplace

if TYPE_CHECKING:
    from features.catalogue import Question
    from models.bundle import Bundle
    from serving.store import ScoreStore, StoredBatch


def report_facts(
    workplace: Workplace,
    tables: CrmTables,
    store: ScoreStore,
    *,
    frames: Mapping[Question, pd.DataFrame],
    bundles: Mapping[Question, Bundle],
    as_of: pd.Timestamp,
    newest_activity: pd.Timestamp | None,
) -> dict[str, Any]:
    """Return plain data that hangs on nothing but the settings, the tables, the models and earlier batches.

    The tables need not hold the activities, of which ``newest_activity`` is the last one known before the as-of.
    """
    settings = workplace.settings
    known = [one for one in (newest_fact(tables, before=as_of), newest_activity) if one is not None]
    newest = max(known, default=None)
    return {
        "language": settings.language,
        "calls_a_week": settings.calls_a_week,
        "retrain_after_days": settings.retrain_after_days,
        # An invented history ends when it was told to, and does not age.
        "stale_after_hours": None if settings.source.kind == "synthetic" else settings.api.stale_after_hours,
        "newest_fact": None if newest is None else newest.isoformat(),
        "questions": {
            question: _question(workplace, tables, store, question, frame, bundle=bundles[question], as_of=as_of)
            for question, frame in frames.items()
        },
    }


def _question(
    workplace: Workplace,
    tables: CrmTables,
    store: ScoreStore,
    question: Question,
    frame: pd.DataFrame,
    *,
    bundle: Bundle,
    as_of: pd.Timestamp,
) -> dict[str, Any]:
    before = _batch_before(store, question, as_of=as_of)
    return {
        "groups": _groups(tables, question, frame, bundle=bundle, as_of=as_of),
        "changes": None if before is None else _changes(workplace, store, question, frame, before, bundle=bundle),
        "drivers_before": _drivers_before(workplace, store, question, bundle=bundle, as_of=as_of),
    }


def _batch_before(
    store: ScoreStore, question: Question, *, as_of: pd.Timestamp, not_by: str | None = None
) -> StoredBatch | None:
    """Return the newest batch of a question with an earlier as-of; with ``not_by``, of another model than that."""
    earlier = (
        batch
        for batch in store.batches()
        if question in batch.rows and pd.Timestamp(batch.as_of) < as_of and batch.model_versions[question] != not_by
    )
    return next(earlier, None)


def _changes(
    workplace: Workplace,
    store: ScoreStore,
    question: Question,
    frame: pd.DataFrame,
    before: StoredBatch,
    *,
    bundle: Bundle,
) -> dict[str, Any]:
    """Count what is new, gone and moved since the batch before."""
    from models.ranking import STEADY
    from serving.contract import contract_of

    contract = contract_of(question)
    probability, key = contract.probability, contract.id_column
    then = store.read(question, before.batch_id).set_index(key)[probability].astype("float64")
    now = frame.set_index(key)[probability].astype("float64")
    both = now.index.intersection(then.index)
    moved = (now.loc[both] - then.loc[both]).dropna()
    same = before.model_versions[question] == bundle.version
    return {
        "batch_id": before.batch_id,
        "as_of": pd.Timestamp(before.as_of).isoformat(),
        "same_model": same,
        "trained_as_of": _trained_as_of(workplace, question, before.model_versions[question]),
        "new": len(now.index.difference(then.index)),
        "gone": len(then.index.difference(now.index)),
        "both": len(both),
        "step": STEADY,
        "up": int((moved > STEADY).sum()),
        "down": int((moved < -STEADY).sum()),
        "mean_before": float(then.loc[moved.index].mean()) if len(moved) else None,
        "mean_now": float(now.loc[moved.index].mean()) if len(moved) else None,
    }


def _drivers_before(
    workplace: Workplace, store: ScoreStore, question: Question, *, bundle: Bundle, as_of: pd.Timestamp
) -> dict[str, Any] | None:
    """Return how large the families were in the model that scored before this one; None where there was none."""
    from models.bundle import load_bundle

    before = _batch_before(store, question, as_of=as_of, not_by=bundle.version)
    if before is None:
        return None
    version = workplace.registry().of_bundle(question, before.model_versions[question])
    if version is None:
        return None
    then = load_bundle(version.bundle, version=version.tags["bundle"], trust=workplace.trust)
    if then.data.use != "model" or bundle.data.use != "model":
        return None
    return {
        "trained_as_of": then.data.trained_as_of.isoformat(),
        "families": [
            {name: each.get(name) for name in ("family", "mean_abs_effect", "low", "high")}
            for each in then.data.drivers
        ],
    }


def _trained_as_of(workplace: Workplace, question: Question, bundle: str) -> str | None:
    version = workplace.registry().of_bundle(question, bundle)
    return None if version is None else version.tags["trained_as_of"]


def _groups(
    tables: CrmTables, question: Question, frame: pd.DataFrame, *, bundle: Bundle, as_of: pd.Timestamp
) -> dict[str, list[dict[str, Any]]]:
    """Count the scored, and their average, by each value of the columns that the test was broken down by."""
    from features.properties import property_at
    from features.visibility import instant
    from serving.contract import contract_of

    contract = contract_of(question)
    scored = frame.loc[frame[contract.probability].notna()]
    segments = bundle.evaluation.get("segments", ())
    ids = pd.Index(tables[question][contract.id_column])
    objects = ids.get_indexer(pd.Index(scored[contract.id_column])).astype(np.int64)
    told = {}
    for column in (bundle.evaluation.get("by") or {}).get("columns", ()):
        values = (
            scored[column].to_numpy(dtype=object)
            if column in scored
            else property_at(
                tables=tables,
                object_type="contact" if question == "contacts" else "deal",
                name=column,
                ids=ids,
                objects=objects,
                as_of=np.full(len(scored), instant(as_of)),
            ).value
        )
        known = {str(each["value"]) for each in segments if each["segment"] == column}
        told[column] = _counted(values, scored[contract.probability].to_numpy(dtype=np.float64), known=known)
    return told


def _counted(values: np.ndarray, probability: np.ndarray, *, known: set[str]) -> list[dict[str, Any]]:
    """Count by the words that the test knows: what it does not know is among ``other``, if that is one of them."""
    words = pd.Series(values, dtype=object)
    missing = words.isna() | (words == "")
    plain = words.astype(str)
    rest = "other" if "other" in known else None
    plain = plain.where(plain.isin(known), rest if rest is not None else plain)
    for word in ("missing", "unknown"):
        if word in known:
            plain = plain.where(~missing, word)
            break
    grouped = pd.Series(probability).groupby(plain.to_numpy(dtype=object))
    return [
        {"value": str(value), "rows": int(count), "mean": float(mean)}
        for (value, count), mean in zip(grouped.size().items(), grouped.mean(), strict=True)
    ]
