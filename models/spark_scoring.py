"""Score a matrix that lies in Apache Spark, partition by partition, with the numbers that this machine gives."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from features.errors import LeadScoringError
from models.bundle import Bundle
from models.bundle_files import dump
from models.intervals import VennAbers
from models.published import PublishedModel

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_VERSION: Final = "model_version"
_NAMES: Final = {
    "contacts": ("close_likelihood", "likelihood_low", "likelihood_high"),
    "deals": ("win_probability", "win_low", "win_high"),
}


class SparkScoringError(LeadScoringError):
    """A frame in Spark is no matrix of the model; ``missing`` are the columns that it lacks."""

    def __init__(self, message: str, *, missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__(message)


def score_on_spark(*, matrix: DataFrame, bundle: Bundle, keep: Sequence[str]) -> DataFrame:
    """Return the columns to ``keep`` with the published probability, its range and the model's version.

    ``matrix`` has the columns of the bundle's contract (null for a missing value); where the point rules are
    published, also ``points``. Where only ranks are published the three numbers are null. Executors need Leadline.
    Reasons are not told here. Nothing is computed before the result is asked for.
    """
    from pyspark.sql.types import DoubleType, StringType, StructField, StructType

    data, booster, venn_abers = dump(bundle.plain()), bundle.booster, bundle.data.venn_abers
    columns = _model(data, booster).columns
    missing = tuple(name for name in (*keep, *columns) if name not in matrix.columns)
    if missing:
        raise SparkScoringError(
            f"a matrix to score with {bundle.version} must have its columns and those to keep; it lacks "
            f"{', '.join(missing)}. Build it to the model's contract",
            missing=missing,
        )
    # Numbers in place of names: a property may be called anything.
    asked = matrix.select(
        *(_column(name) for name in keep),
        *(_column(name).cast("double").alias(f"_{place}") for place, name in enumerate(columns)),
    )
    names = _NAMES[bundle.data.question]
    schema = StructType(
        [
            *(asked.schema[name] for name in keep),
            *(StructField(name, DoubleType()) for name in names),
            StructField(_VERSION, StringType(), nullable=False),
        ]
    )
    scorer = _scorer(data, booster, venn_abers, version=bundle.version, keep=len(keep), names=(*keep, *names, _VERSION))
    with warnings.catch_warnings():
        # Newer releases warn of pandas 3, which Spark is handed nothing of here.
        warnings.simplefilter("ignore", FutureWarning)
        scored: DataFrame = asked.mapInArrow(scorer, schema)
    return scored


def _scorer(
    data: str, booster: str, venn_abers: VennAbers, *, version: str, keep: int, names: tuple[str, ...]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _model(data, booster)
        for batch in batches:
            rows = np.empty((batch.num_rows, batch.num_columns - keep))
            for place in range(rows.shape[1]):
                rows[:, place] = batch.column(keep + place).to_numpy(zero_copy_only=False)
            probability = model.predict(rows)
            low, high = venn_abers.interval(probability)
            numbers = [pa.array(column, type=pa.float64(), from_pandas=True) for column in (probability, low, high)]
            versions = pa.array([version] * batch.num_rows, type=pa.string())
            yield pa.RecordBatch.from_arrays([*batch.columns[:keep], *numbers, versions], names=list(names))

    return score


@lru_cache(maxsize=4)
def _model(data: str, booster: str) -> PublishedModel:
    """Return the model, read once in each process; on an executor every core works on a partition of its own."""
    return PublishedModel(json.loads(data), booster=booster, threads=1)


def _column(name: str) -> Column:
    from pyspark.sql import functions as sql

    return sql.col("`" + name.replace("`", "``") + "`")
