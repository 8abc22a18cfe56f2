"""The two engines of ``benchmarks.spark_engine``, each run as a process of its own, and the check of their numbers."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks._behaviour_plan import KINDS
from features.feature_contract import FeatureContract


def contract() -> FeatureContract:
    """Everything that can be told of the data, which knows no directions and no outcomes."""
    return FeatureContract(
        question="contacts",
        kinds=KINDS,
        windows_days=(1, 7, 28, 90),
        half_lives_days=(7, 28),
        properties={},
        deal_columns=(),
        vouched=(),
        pipelines=(),
        stages=(),
        has_activities=True,
        features=(),
    )


def local(folder: Path) -> None:
    """Through the functions that the product calls."""
    import pyarrow.parquet as pq

    from features.behaviour_files import from_parquet, write_behaviour

    plan = contract().behaviour
    write_behaviour(
        read=from_parquet(folder / "activities.parquet", plan),
        snapshots=pq.read_table(folder / "points.parquet"),
        plan=plan,
        folder=folder / "local.parquet",
    )


def spark(folder: Path) -> None:
    """On two processors, waiting for Spark's own processes to end so that they are measured."""
    from features.engines.spark import behaviour_on_spark
    from features.engines.spark_session import SparkSettings, open_session

    began = time.perf_counter()
    settings = SparkSettings(master="local[2]", partitions=8, conf={"spark.driver.memory": "2g"})
    session = open_session(settings, scratch=folder / "scratch")
    started = time.perf_counter()
    behaviour_on_spark(
        activities=session.read.parquet(str(folder / "activities.parquet")),
        snapshots=session.read.parquet(str(folder / "points.parquet")),
        contract=contract(),
    ).write.parquet(str(folder / "spark.parquet"))
    print(f"spark: {started - began:.1f} s to start, {time.perf_counter() - started:.1f} s to compute and write")
    gateway = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def check(folder: Path) -> None:
    """Stop if any number differs: whole numbers at all, others by more than 1e-9 of their size."""
    import numpy as np
    import pandas as pd

    key = ["contact_id", "as_of"]
    ours, theirs = (
        pd.read_parquet(folder / f"{engine}.parquet").astype({"contact_id": "str"}).sort_values(key, ignore_index=True)
        for engine in ("local", "spark")
    )
    for kind in ("first_kind", "last_kind"):
        # A file holds words, a matrix their places.
        ours[kind] = ours[kind].astype("str").map({word: place for place, word in enumerate(KINDS)})
    columns = ours.columns.drop(key)
    exact = 0
    for column in columns:
        left, right = ours[column].to_numpy(np.float64), theirs[column].to_numpy(np.float64)
        whole = bool((left == np.round(left))[~np.isnan(left)].all())
        exact += whole
        if not np.allclose(left, right, rtol=0 if whole else 1e-9, atol=0, equal_nan=True):
            raise SystemExit(f"the engines disagree on {column}")
    print(f"{len(ours):,} rows of {len(columns)} columns agree, {exact} of whole numbers exactly, the others to 1e-9")


if __name__ == "__main__":
    {"local": local, "spark": spark, "check": check}[sys.argv[1]](Path(sys.argv[2]))
