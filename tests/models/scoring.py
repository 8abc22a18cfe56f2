"""Score a whole market with a bundle, as the pipeline does."""

from __future__ import annotations

import pandas as pd

from features.tables import CrmTables
from models.bundle import Bundle
from models.contact_scoring import contact_matrix, contact_points, contact_population, score_contacts
from models.deal_scoring import deal_matrix, deal_population, score_deals
from serving.contract import check_rows, contract_of


def score(bundle: Bundle, tables: CrmTables, as_of: pd.Timestamp, *, previous: pd.Series | None = None) -> pd.DataFrame:
    """Return the rows of the published contract, indexed by id."""
    if bundle.data.question == "contacts":
        population = contact_population(bundle=bundle, tables=tables, as_of=as_of)
        matrix = contact_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
        points = contact_points(bundle=bundle, tables=tables, snapshots=matrix.snapshots, as_of=as_of)
        frame = score_contacts(bundle=bundle, points=points, population=population, matrix=matrix, previous=previous)
    else:
        population = deal_population(tables=tables, as_of=as_of, staleness=bundle.data.staleness)
        matrix = deal_matrix(bundle=bundle, tables=tables, population=population, as_of=as_of)
        frame = score_deals(
            bundle=bundle, tables=tables, population=population, matrix=matrix, as_of=as_of, previous=previous
        )
    contract = contract_of(bundle.data.question)
    unknown = set(frame.columns) - set(contract.unstamped_names)
    assert not unknown, f"not in the contract: {sorted(unknown)}"
    return frame.reindex(columns=list(contract.unstamped_names)).set_index(contract.id_column, drop=False)


def assert_publishable(question: str, rows: pd.DataFrame) -> None:
    """Raise if a row breaks the published contract, as the score store would."""
    check_rows(question, rows.reset_index(drop=True))
