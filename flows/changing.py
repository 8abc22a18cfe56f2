"""The step that says why scores changed since the batch before, while the model that gave those is still at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from features.catalogue import Question
from features.tables import CrmTables
from flows.extracting import Extract
from flows.pipeline import bundle_for
from flows.run_files import read_matrix, run_folder, write_parquet
from flows.wiring import Workplace

if TYPE_CHECKING:
    from models.score_change import Earlier


def explain_changes(workplace: Workplace, extracted: Extract, *, question: Question, as_of: pd.Timestamp) -> Path:
    """Write, for each object whose probability moved, why it did; nothing for a first batch.

    Only the rows that moved are looked at again, one partition of the contacts after the other.
    """
    from features.engines.engine import computing_with
    from features.matrix import Matrix
    from models.score_change import explain_changes as explain
    from models.score_change import has_moved
    from serving.contract import contract_of

    contract = contract_of(question)
    id_column, folder = contract.id_column, run_folder(workplace, as_of)
    columns = [id_column, contract.probability, contract.previous]
    scores = pd.read_parquet(folder / f"{question}_scores.parquet", columns=columns).astype({id_column: "str"})
    moved = scores.loc[has_moved(scores[contract.probability].to_numpy(), scores[contract.previous].to_numpy())]
    told = [pd.Series(dtype="str", name="change")]
    earlier = earlier_batch(workplace, question=question, as_of=as_of) if len(moved) else None
    if earlier is not None:
        bundle = bundle_for(workplace, question=question, as_of=as_of)
        matrix = read_matrix(folder / f"{question}_matrix.parquet", names=bundle.data.contract.names)
        both = moved.set_index(id_column)
        place = pd.Series(range(len(matrix.snapshots)), index=matrix.snapshots[id_column])
        with computing_with(workplace.engine()):
            for ids, tables in _partitions(extracted, question=question):
                own = both.index if ids is None else both.index.intersection(ids)
                if not len(own):
                    continue
                rows = place[own].to_numpy()
                texts = explain(
                    bundle=bundle,
                    earlier=earlier,
                    tables=tables,
                    matrix=Matrix(
                        snapshots=matrix.snapshots.iloc[rows].reset_index(drop=True),
                        features=matrix.features.iloc[rows].reset_index(drop=True),
                    ),
                    as_of=as_of,
                    probability=both.loc[own, contract.probability].to_numpy(),
                    previous=both.loc[own, contract.previous].to_numpy(),
                )
                told.append(pd.Series(texts, index=own, name="change"))
    file = folder / f"{question}_change.parquet"
    write_parquet([pd.concat(told).rename_axis(id_column).reset_index()], file)
    return file


def _partitions(extracted: Extract, *, question: Question) -> Iterator[tuple[pd.Index | None, CrmTables]]:
    if question == "contacts":
        yield from extracted.contact_tables()
    else:
        yield None, extracted.deal_tables()


def earlier_batch(workplace: Workplace, *, question: Question, as_of: pd.Timestamp) -> Earlier | None:
    """Return the batch before with the model that scored it; a model that cannot be loaded is not at hand."""
    from models.bundle import load_bundle
    from models.bundle_files import BundleError
    from models.score_change import Earlier

    with closing(workplace.store()) as store:
        before = store.batch_before(question, before=as_of.to_pydatetime())
    if before is None:
        return None
    since = pd.Timestamp(before.as_of).as_unit("us")
    version = before.model_versions[question]
    found = next((one for one in workplace.registry().versions(question) if one.tags["bundle"] == version), None)
    if found is None:
        return Earlier(as_of=since, bundle=None)
    try:
        return Earlier(as_of=since, bundle=load_bundle(found.bundle, version=version, trust=workplace.trust))
    except BundleError:
        return Earlier(as_of=since, bundle=None)
