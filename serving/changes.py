"""Which objects a batch changed against the latest one before it, and which it holds no more.

A row has changed where a material column of the contract has, or where its probability, counted in steps and rounded,
has. The count knows no history: whoever holds the row of the last change agrees with the latest batch to the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.engine import Connection

from serving.batch import Batch, StoredBatch
from serving.bulk import fetch_columns, python_values
from serving.contract import contract_of
from serving.schema import SCORES, removed

NO_LONGER_SCORED = "no_longer_scored"


def changed_sequences(
    connection: Connection,
    question: str,
    frame: pd.DataFrame,
    *,
    before: StoredBatch | None,
    sequence: int,
    step: float,
) -> tuple[pd.Series[int], list[str]]:
    """Return, for each row, the sequence of the batch in which it last changed, and the ids that are gone.

    ``before`` is the latest batch so far; a step other than its own makes every row a changed one.
    """
    contract = contract_of(question)
    sequences = pd.Series(sequence, index=frame.index, dtype="int64")
    if before is None:
        return sequences, []
    table = SCORES[question]
    names = [contract.probability, *contract.material]
    query = select(table.c[contract.id_column], table.c.changed_sequence, *(table.c[name] for name in names))
    ids, changed, *values = fetch_columns(connection, query.where(table.c.batch_id == before.batch_id))
    old = pd.Index(ids, dtype="str")
    positions = old.get_indexer(pd.Index(frame[contract.id_column]))
    known = positions >= 0
    gone = old.difference(pd.Index(frame[contract.id_column])).sort_values().tolist()
    if before.change_step != step or not known.any():
        return sequences, gone
    fresh, places = frame.loc[known], positions[known]
    same = np.ones(int(known.sum()), dtype=bool)
    for name, held in zip(names, values, strict=True):
        was, new = _objects(held)[places], _objects(python_values(fresh[name]))
        if name == contract.probability:
            new, was = _steps(new, step), _steps(was, step)
        same &= np.asarray(new == was, dtype=bool)
    first_changed = np.array([one or 0 for one in changed], dtype="int64")[places]
    sequences.loc[known] = np.where(same, first_changed, sequence)
    return sequences, gone


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def record_gone(connection: Connection, question: str, ids: list[str], *, sequence: int, batch: Batch) -> None:
    """Leave a tombstone for each id that a new latest batch holds no more."""
    whys = {object_id: batch.why_gone(question, object_id) for object_id in ids}
    rows = [
        {
            "question": question,
            "object_id": object_id,
            "sequence": sequence,
            "reason": NO_LONGER_SCORED if why is None else why.reason,
            "merged_into": None if why is None else why.merged_into,
        }
        for object_id, why in whys.items()
    ]
    if rows:
        connection.execute(removed.insert(), rows)


def _steps(probabilities: np.ndarray, step: float) -> np.ndarray:
    """Count steps; a missing probability is minus one, so that missing equals missing."""
    numbers = np.array([np.nan if value is None else value for value in probabilities], dtype="float64")
    return np.where(np.isnan(numbers), -1, np.rint(np.nan_to_num(numbers) / step))
