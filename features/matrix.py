"""The matrix: snapshots x features, built to a contract that was learnt on the training past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.contact_columns import contact_columns
from features.deal_columns import deal_columns
from features.episodes import build_timelines
from features.errors import LeadScoringError
from features.feature_contract import OBJECT_TYPE, FeatureContract
from features.matrix_inputs import MatrixInputs
from features.tables import CrmTables
from features.visibility import codes, created_times, microseconds


class UnusableTableError(LeadScoringError):
    """A table that the model rests on is missing."""

    def __init__(self, table: str) -> None:
        self.table = table
        super().__init__(
            f"the model was trained with the table {table!r}, which the source no longer has; "
            "bring it back or train again."
        )


class NotYetKnownError(LeadScoringError):
    """A snapshot looks at an object before anything was known of it."""

    def __init__(self, *, question: str, object_id: str, as_of: pd.Timestamp, count: int) -> None:
        self.question, self.object_id, self.as_of = question, object_id, as_of
        super().__init__(
            f"every snapshot must look at one of the {question} known before its as-of; {count} do not, "
            f"the first at {object_id!r} as of {as_of.isoformat()}; leave those out."
        )


@dataclass(frozen=True)
class Matrix:
    """Snapshots (object, id, as-of, weight where sampled) and, row by row, their features (float64, NaN missing)."""

    snapshots: pd.DataFrame
    features: pd.DataFrame


def build_matrix(*, tables: CrmTables, snapshots: pd.DataFrame, contract: FeatureContract) -> Matrix:
    """Compute every feature of the contract at every snapshot.

    Each value rests only on facts whose effective time lies before the snapshot's as-of. Unseen values of a
    category become its rare level; what the contract names and the tables lack is an error, and so is a snapshot
    of an object that was not known by then.
    """
    _refuse_missing_tables(tables, contract)
    inputs = matrix_inputs(tables=tables, snapshots=snapshots, contract=contract)
    columns = contact_columns(inputs) if contract.question == "contacts" else deal_columns(inputs)
    return Matrix(
        snapshots=snapshots.reset_index(drop=True),
        features=pd.DataFrame({name: columns[name] for name in contract.names}, dtype=np.float64),
    )


def matrix_inputs(*, tables: CrmTables, snapshots: pd.DataFrame, contract: FeatureContract) -> MatrixInputs:
    """Look the snapshots' objects up; one that was not known by its as-of is an error."""
    timelines = build_timelines(tables)
    as_of = microseconds(snapshots["as_of"])
    if contract.question == "contacts":
        tables.require_complete(snapshots["contact_id"])
        ids = pd.Index(tables["contacts"]["contact_id"])
        objects = codes(snapshots["contact_id"], index=ids)
        known = created_times(snapshots["contact_id"], table=tables["contacts"], key="contact_id") < as_of
    else:
        ids = timelines.deal_ids
        objects = codes(snapshots["deal_id"], index=ids)
        known = timelines.stream.last_before(objects=objects, as_of=as_of) >= 0
    _refuse_unknown(snapshots, known=known, contract=contract)
    return MatrixInputs(tables=tables, timelines=timelines, contract=contract, ids=ids, objects=objects, as_of=as_of)


def _refuse_missing_tables(tables: CrmTables, contract: FeatureContract) -> None:
    from_history = {*contract.properties, *contract.deal_columns} - set(contract.vouched)
    of_company = set(contract.company_properties) - set(contract.company_vouched)
    unvouched_links = not all(contract.company_links.values())
    needed = {
        "activities": contract.has_activities,
        "companies": bool(contract.company_properties),
        "property_history": bool(from_history or of_company) or unvouched_links,
    }
    for table, is_needed in needed.items():
        if is_needed and not tables.has(table):
            raise UnusableTableError(table)


def _refuse_unknown(snapshots: pd.DataFrame, *, known: NDArray[np.bool_], contract: FeatureContract) -> None:
    unknown = np.flatnonzero(~known)
    if len(unknown):
        first = snapshots.iloc[unknown[0]]
        raise NotYetKnownError(
            question=contract.question,
            object_id=str(first[f"{OBJECT_TYPE[contract.question]}_id"]),
            as_of=first["as_of"],
            count=len(unknown),
        )
