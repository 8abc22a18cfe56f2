"""Behaviour features by Apache Spark: it brings each object's facts together, and our kernel reads them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.activity_columns import activity_columns
from features.behaviour import contact_activities
from features.contact_features import Column
from features.contracts import TEXT_DTYPE
from features.engines.engine import LocalEngine
from features.engines.spark_session import SparkSettings, open_session, spark_failures
from features.engines.whole_objects import whole_objects
from features.feature_contract import OBJECT_TYPE, FeatureContract
from features.matrix_inputs import MatrixInputs
from features.visibility import codes

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

_WORDS: Final = ("type", "direction", "outcome")


def behaviour_on_spark(
    *,
    activities: DataFrame,
    snapshots: DataFrame,
    contract: FeatureContract,
    deal_contacts: DataFrame | None = None,
    contacts: DataFrame | None = None,
    rows_at_once: int = SparkSettings().rows_at_once,
) -> DataFrame:
    """Return the snapshots (contact_id or deal_id, as_of, row) with every feature of their activities.

    All frames have the columns of the CRM tables. ``row`` is handed through where the snapshots have it and is
    otherwise a number of Spark's. Deals need ``deal_contacts`` and ``contacts`` as well. Nothing is computed before
    the result is asked for.
    """
    from pyspark.sql import functions as sql

    key = f"{OBJECT_TYPE[contract.question]}_id"
    if contract.question == "contacts":
        owned = _of_contacts(activities)
    elif deal_contacts is None or contacts is None:
        raise TypeError("features of deals need deal_contacts and contacts")
    else:
        owned = _of_deals(activities, deal_contacts=deal_contacts, contacts=contacts)
    asked = snapshots.select(
        sql.col(key).cast("string").alias("object_id"),
        sql.unix_micros("as_of").alias("at"),
        (sql.col("row") if "row" in snapshots.columns else sql.monotonically_increasing_id()).alias("row"),
    )
    together = (
        asked.unionByName(owned, allowMissingColumns=True)
        .repartition("object_id")
        # An as-of comes before an activity at the same instant.
        .sortWithinPartitions("object_id", "at", sql.col("row").asc_nulls_last())
    )
    with warnings.catch_warnings():
        # Newer releases warn of pandas 3, which Spark is handed nothing of here.
        warnings.simplefilter("ignore", FutureWarning)
        computed = together.mapInArrow(_columns_of_batches(key, contract, rows_at_once), _schema(key, contract))
    return computed.withColumn("as_of", sql.timestamp_micros("as_of"))


@dataclass(frozen=True)
class SparkEngine:
    """Apache Spark, handed tables and handing back columns as Parquet.

    This passes through ``exchange``, a folder that every executor sees; ``scratch`` is for what Spark writes on this
    machine.
    """

    settings: SparkSettings
    exchange: Path
    scratch: Path

    def activity_columns(self, inputs: MatrixInputs) -> dict[str, Column]:
        """Return every feature of the activities of each snapshot's object before its as-of."""
        if not len(inputs.objects) or not len(inputs.tables["activities"]):
            return LocalEngine().activity_columns(inputs)
        session = open_session(self.settings, scratch=self.scratch)
        self.exchange.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.exchange.resolve(), prefix="behaviour-") as name:
            folder = Path(name)
            for table, frame in _tables_for_spark(inputs).items():
                frame.to_parquet(folder / f"{table}.parquet", index=False)
            with spark_failures(self.settings, what="compute behaviour features"):
                frames = {path.stem: session.read.parquet(path.as_uri()) for path in folder.glob("*.parquet")}
                columns = behaviour_on_spark(
                    contract=inputs.contract, rows_at_once=self.settings.rows_at_once, **frames
                )
                columns.write.parquet((folder / "columns").as_uri())
            return _by_row(folder / "columns", names=_names(inputs.contract), rows=len(inputs.objects))


def _of_contacts(activities: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sql

    return _owned(activities.where(sql.col("contact_id").isNotNull()), owner="contact_id")


def _of_deals(activities: DataFrame, *, deal_contacts: DataFrame, contacts: DataFrame) -> DataFrame:
    """Give each deal its own activities and, of those that name no deal, its contacts': see ``deal_activities``."""
    from pyspark.sql import functions as sql

    own = activities.where(sql.col("deal_id").isNotNull())
    links = deal_contacts.select("deal_id", "contact_id").dropna().distinct()
    created = contacts.select("contact_id", sql.col("created_at").alias("created"))
    loose = activities.where(sql.col("deal_id").isNull()).drop("deal_id")
    through = loose.join(links, "contact_id").join(created, "contact_id", "left")
    return _owned(own, owner="deal_id").unionByName(_owned(through, owner="deal_id", not_before="created"))


def _owned(activities: DataFrame, *, owner: str, not_before: str | None = None) -> DataFrame:
    """Return what the kernel needs of each activity; null is never greater than a time."""
    from pyspark.sql import functions as sql

    def column(name: str, kind: str) -> SparkColumn:
        return (sql.col(name) if name in activities.columns else sql.lit(None)).cast(kind)

    known = column("known_at", "timestamp")
    if not_before is not None:
        known = sql.greatest(known, sql.col(not_before))
    return activities.where(sql.col("occurred_at").isNotNull()).select(
        sql.col(owner).cast("string").alias("object_id"),
        sql.unix_micros("occurred_at").alias("at"),
        sql.unix_micros(known).alias("known_at"),
        *(column(name, "string").alias(name) for name in _WORDS),
    )


def _columns_of_batches(
    key: str, contract: FeatureContract, rows_at_once: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def compute(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_objects(batches, key="object_id", least_rows=rows_at_once):
            yield from _columns_of(table, key=key, contract=contract).to_batches()

    return compute


def _columns_of(table: pa.Table, *, key: str, contract: FeatureContract) -> pa.Table:
    """Compute the columns of the snapshots among the rows, of whole objects, from the activities among them."""
    is_snapshot = pc.is_valid(table["row"])
    asked, facts = table.filter(is_snapshot), table.filter(pc.invert(is_snapshot))
    objects = _text(asked["object_id"])
    ids = pd.Index(objects.unique())
    activities = pd.DataFrame(
        {
            "contact_id": _text(facts["object_id"]),
            "occurred_at": _time(facts["at"]),
            "known_at": _time(facts["known_at"]),
            **{name: _text(facts[name]) for name in _WORDS},
        }
    )
    # A copy: for arrays that must not be written to the kernel would be compiled once more.
    as_of = np.array(asked["at"].to_numpy())
    columns = activity_columns(
        contact_activities(activities=activities, contact_ids=ids, plan=contract.plan, discount=contract.discount),
        objects=codes(objects, index=ids),
        as_of=as_of,
        plan=contract.behaviour,
        # Spark has given this process one processor.
        threads=1,
    )
    told = {key: asked["object_id"], "as_of": asked["at"], "row": asked["row"]}
    return pa.table(told | {name: pa.array(column, pa.float64()) for name, column in columns.items()})


def _names(contract: FeatureContract) -> list[str]:
    """Return the names of all columns in order, from the columns of nothing."""
    nothing = np.zeros(0, dtype=np.int64)
    empty = pd.DataFrame({name: pd.Series(dtype=TEXT_DTYPE) for name in ("contact_id", *_WORDS)})
    activities = contact_activities(
        activities=empty.assign(occurred_at=pd.Series(dtype="datetime64[us, UTC]")),
        contact_ids=pd.Index(empty["contact_id"]),
        plan=contract.plan,
    )
    return list(activity_columns(activities, objects=nothing, as_of=nothing, plan=contract.behaviour))


def _schema(key: str, contract: FeatureContract) -> StructType:
    from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

    fields = [StructField(key, StringType()), StructField("as_of", LongType()), StructField("row", LongType())]
    return StructType([*fields, *(StructField(name, DoubleType()) for name in _names(contract))])


def _tables_for_spark(inputs: MatrixInputs) -> dict[str, pd.DataFrame]:
    """Return what is computed from, with no column more than is needed."""
    key = f"{OBJECT_TYPE[inputs.contract.question]}_id"
    tables = inputs.tables
    wanted = ["contact_id", "deal_id", "occurred_at", "known_at", *_WORDS]
    frames = {
        "activities": tables["activities"][[name for name in wanted if name in tables["activities"]]],
        "snapshots": pd.DataFrame(
            {
                key: inputs.ids[inputs.objects],
                "as_of": pd.Series(inputs.as_of.view("datetime64[us]")).dt.tz_localize("UTC"),
                "row": np.arange(len(inputs.objects)),
            }
        ),
    }
    if inputs.contract.question == "deals":
        frames["deal_contacts"] = tables["deal_contacts"][["deal_id", "contact_id"]]
        frames["contacts"] = tables["contacts"][["contact_id", "created_at"]]
    return frames


def _by_row(folder: Path, *, names: list[str], rows: int) -> dict[str, Column]:
    table = pq.read_table(folder)
    order = np.empty(rows, dtype=np.int64)
    order[table["row"].to_numpy()] = np.arange(rows)
    return {name: table[name].to_numpy()[order] for name in names}


def _text(values: pa.ChunkedArray) -> pd.Series:
    return pd.Series(values.to_pandas(), dtype=TEXT_DTYPE)


def _time(values: pa.ChunkedArray) -> pd.Series:
    """Read microseconds since 1970 as times."""
    return pd.Series(values.cast(pa.timestamp("us", tz="UTC")).to_pandas())
