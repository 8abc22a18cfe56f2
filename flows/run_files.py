"""The files that the steps of a run hand on to each other."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from features.catalogue import Question
from flows.wiring import Workplace

if TYPE_CHECKING:
    from features.matrix import Matrix


def run_folder(workplace: Workplace, as_of: pd.Timestamp) -> Path:
    """Return where the steps of a run leave their files."""
    return workplace.work / f"{as_of:%Y%m%dT%H%M%S%fZ}"


def write_parquet(frames: Iterable[pd.DataFrame], file: Path) -> None:
    """Write frames of the same columns aside, one after the other, and move the whole into place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.partial")
    writer: pq.ParquetWriter | None = None
    try:
        for frame in frames:
            with warnings.catch_warnings():
                # pyarrow 25 uses what pandas 3.1 has deprecated.
                warnings.filterwarnings("ignore", "Series.values", DeprecationWarning)
                rows = pa.Table.from_pandas(frame, schema=writer.schema if writer else None, preserve_index=False)
            writer = writer or pq.ParquetWriter(aside, rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
    aside.replace(file)


def matrix_frame(matrix: Matrix) -> pd.DataFrame:
    """Return a matrix as it is written."""
    return pd.concat([matrix.snapshots, matrix.features], axis=1)


def read_matrix(file: Path, *, names: list[str]) -> Matrix:
    """Return the matrix that ``build_features`` wrote."""
    from features.matrix import Matrix

    frame = pd.read_parquet(file)
    return Matrix(snapshots=frame.drop(columns=names), features=frame[names])


def read_scores(folder: Path, question: Question) -> pd.DataFrame:
    """Return the scores of a run, each with what changed it."""
    rows = pd.read_parquet(folder / f"{question}_scores.parquet")
    change = pd.read_parquet(folder / f"{question}_change.parquet")
    id_column = str(change.columns[0])
    return rows.assign(change=rows[id_column].map(change.set_index(id_column)["change"]))
