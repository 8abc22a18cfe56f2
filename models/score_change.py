"""Why a score changed since the batch before: split exactly into facts, passing time, model and calibration.

The way from the old score to the new one leads through worlds that could have been, each of which answers a question
that a person may ask: what would the old model have said then of what is known of that moment today, what would it say
today had nothing more become known, what does it say today, and what does the new model say with the old calibration?
A part is the step from one answer to the next, so the parts add up to the difference whatever the models are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from features.matrix import Matrix, UnusableTableError
from features.properties import MissingPropertyError, UnknownPropertyError
from features.tables import CrmTables
from features.visibility import as_known_at
from models.boosting import FloatArray
from models.bundle import Bundle
from models.change_words import Step, write_change, write_unsplit
from models.worlds import World, calibrated, known_by, move, world_of, worlds

Part = Literal["facts", "time", "model", "calibration"]
PARTS: Final[tuple[Part, ...]] = ("facts", "time", "model", "calibration")
LEAST_MOVE: Final = 0.0005
"""A probability that moved by less shows the same to a tenth of a percentage point; there is nothing to explain."""
_USES: Final = {
    "model": "the model",
    "rules": "your point rules",
    "stage_rate": "the observed stage rate",
    "base_rate": "the base rate",
}
NO_MODEL: Final = "the model that gave the earlier score is not at hand any more"
NOT_THERE: Final = "today's tables know nothing of it at the time of the earlier score"


@dataclass(frozen=True)
class Earlier:
    """The batch before: its as-of and the bundle that scored it, or None and in ``why_not`` why it is not at hand."""

    as_of: pd.Timestamp
    bundle: Bundle | None
    why_not: str = NO_MODEL


def has_moved(probability: FloatArray, previous: FloatArray) -> np.ndarray:
    """Say which rows have two probabilities that differ enough to be explained."""
    with np.errstate(invalid="ignore"):
        return np.abs(probability - previous) >= LEAST_MOVE


def explain_changes(
    *,
    bundle: Bundle,
    earlier: Earlier,
    tables: CrmTables,
    matrix: Matrix,
    as_of: pd.Timestamp,
    probability: FloatArray,
    previous: FloatArray,
) -> list[str]:
    """Return, as JSON, why each row of ``matrix`` has its ``probability`` now and had ``previous`` before.

    ``matrix`` was built as of ``as_of`` for ``bundle``. Costs one more building of features, of each row at two
    moments, and another where the model was exchanged.
    """
    id_column = f"{bundle.data.question.removesuffix('s')}_id"
    ids = matrix.snapshots[id_column]
    old = earlier.bundle
    if old is None:
        return write_unsplit(previous=previous, probability=probability, since=earlier.as_of, why=earlier.why_not)
    then, now = as_known_at(tables, as_of=earlier.as_of), as_known_at(tables, as_of=as_of)
    seen = known_by(question=bundle.data.question, known=then, ids=ids, as_of=earlier.as_of)
    told = np.full(len(ids), None, dtype=object)
    told[~seen] = write_unsplit(
        previous=previous[~seen], probability=probability[~seen], since=earlier.as_of, why=NOT_THERE
    )
    if seen.any():
        rows = Matrix(
            snapshots=matrix.snapshots.loc[seen].reset_index(drop=True),
            features=matrix.features.loc[seen].reset_index(drop=True),
        )
        try:
            told[seen] = _split(
                old=old,
                new=bundle,
                then=then,
                now=now,
                since=earlier.as_of,
                as_of=as_of,
                matrix=rows,
                probability=probability[seen],
                previous=previous[seen],
            )
        except (UnusableTableError, MissingPropertyError, UnknownPropertyError) as error:
            told[seen] = write_unsplit(
                previous=previous[seen], probability=probability[seen], since=earlier.as_of, why=str(error)
            )
    return [str(text) for text in told]


def _split(
    *,
    old: Bundle,
    new: Bundle,
    then: CrmTables,
    now: CrmTables,
    since: pd.Timestamp,
    as_of: pd.Timestamp,
    matrix: Matrix,
    probability: FloatArray,
    previous: FloatArray,
) -> list[str]:
    ids = matrix.snapshots[f"{new.data.question.removesuffix('s')}_id"]
    was, waited = worlds(bundle=old, known=then, ids=ids, as_ofs=[since, as_of])
    same = old.version == new.version
    today = world_of(bundle=new, known=now, matrix=matrix)
    is_now = today if same else worlds(bundle=old, known=now, ids=ids, as_ofs=[as_of])[0]
    exchanged = is_now.probability if same else _under_old_calibration(old, new, today)
    return write_change(
        previous=previous,
        probability=probability,
        since=since,
        days=(as_of - since) / pd.Timedelta(days=1),
        contract=old.data.contract,
        # What is known of the past today may not be what was known of it then.
        corrected=was.probability - previous,
        facts=_step(old, waited, is_now),
        time=_step(old, was, waited),
        model=exchanged - is_now.probability,
        calibration=probability - exchanged,
        exchange=_exchange(old, new),
    )


def _exchange(old: Bundle, new: Bundle) -> tuple[str, str]:
    """Say what was exchanged of the model, and of its calibration."""
    if old.version == new.version:
        return "the same model", "the same calibration"
    if old.data.use != new.data.use:
        return f"scored by {_USES[new.data.use]}, before by {_USES[old.data.use]}", "goes with it"
    if new.data.use == "model":
        return "a new model", "its calibration was learnt anew"
    if new.data.use == "rules":
        return "other point rules", "what points are worth was learnt anew"
    return "the rates were counted anew", "none"


def _step(bundle: Bundle, before: World, after: World) -> Step:
    return Step(
        features=before.described.features,
        effects=move(bundle=bundle, before=before, after=after),
        before=before.described.values.to_numpy(dtype=np.float64),
        after=after.described.values.to_numpy(dtype=np.float64),
    )


def _under_old_calibration(old: Bundle, new: Bundle, today: World) -> FloatArray:
    """Return what the new model says with the old calibration; of another kind of scorer it cannot be asked."""
    kinds = {old.data.use, new.data.use}
    return calibrated(old, today.raw) if kinds in ({"model"}, {"rules"}) else today.probability
