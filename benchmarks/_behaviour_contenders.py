"""The contenders of ``benchmarks.behaviour``, each run as a process of its own: contender name, folder."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks._behaviour_data import KINDS

WINDOWS = (1, 7, 28, 90)
_POINTS_AT_ONCE = 200_000


def leadline(folder: Path) -> None:
    """Our kernel, through the functions that the product calls, from the file that all read."""
    import pandas as pd

    from features.behaviour import contact_activities

    activities = pd.read_parquet(folder / "activities.parquet", columns=["contact_id", "occurred_at", "type"])
    points, ids = _points(folder)
    stream = contact_activities(activities=activities, contact_ids=ids, kinds=KINDS)
    del activities
    write_features(stream, points=points, ids=ids, file=folder / "leadline.parquet")


def build(folder: Path) -> None:
    """Read the file into our warehouse, as the first run does."""
    with closing(_warehouse(folder)) as warehouse, warehouse.extending(_parts(folder)):
        pass


def warehouse(folder: Path) -> None:
    """The same from our warehouse, as every later run does."""
    from features.behaviour import contact_activities

    points, ids = _points(folder)
    with closing(_warehouse(folder)) as opened:
        stream = contact_activities(activities=opened.read(), contact_ids=ids, kinds=KINDS)
    write_features(stream, points=points, ids=ids, file=folder / "warehouse.parquet")


def _points(folder: Path) -> tuple[Any, Any]:
    import pandas as pd

    points = pd.read_parquet(folder / "points.parquet")
    return points, pd.Index(points["contact_id"].unique())


def _parts(folder: Path) -> Any:
    from features.sources.folder import FolderSource

    return FolderSource(folder).activity_parts()


def _warehouse(folder: Path) -> Any:
    from features.warehouse import ActivityWarehouse

    return ActivityWarehouse(folder / "warehouse.duckdb", memory_bytes=1024**3)


def write_features(stream: Any, *, points: Any, ids: Any, file: Path) -> None:
    """Compute the features of some points after the other, and write those of the ones before meanwhile."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from features.sweep import behaviour_before
    from features.visibility import codes, microseconds

    objects, as_of = codes(points["contact_id"], index=ids), microseconds(points["as_of"])
    keys = pa.Table.from_pandas(points, preserve_index=False)
    writer: pq.ParquetWriter | None = None
    with ThreadPoolExecutor(1) as writing:
        before: Future[None] | None = None
        for first in range(0, len(objects), _POINTS_AT_ONCE):
            some = slice(first, first + _POINTS_AT_ONCE)
            summary = behaviour_before(
                activities=stream,
                objects=objects[some],
                as_of=as_of[some],
                windows_days=WINDOWS,
                half_lives_days=(),
            )
            columns = {name: keys[name].slice(first, _POINTS_AT_ONCE) for name in keys.column_names}
            for k, kind in enumerate(KINDS):
                for w, days in enumerate(WINDOWS):
                    columns[f"{kind}_{days}d"] = pa.array(summary.counts[:, k, w].astype(np.float32))
                columns[f"{kind}_total"] = pa.array(summary.total[:, k].astype(np.float32))
                columns[f"days_since_{kind}"] = pa.array(summary.days_since[:, k])
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(file, table.schema, use_dictionary=False, compression="none")
            if before is not None:
                before.result()
            before = writing.submit(writer.write_table, table)
    if writer is not None:
        writer.close()


def pandas(folder: Path) -> None:
    """Merge every point with its contact's activities, contact by contact in chunks, and group."""
    import numpy as np
    import pandas as pd

    activities = pd.read_parquet(folder / "activities.parquet", columns=["contact_id", "occurred_at", "type"])
    activities["type"] = activities["type"].astype("category")
    points = pd.read_parquet(folder / "points.parquet").reset_index(names="point")
    chunks = []
    for part in np.array_split(points["contact_id"].unique(), 20):
        some = points[points["contact_id"].isin(part)]
        pairs = some.merge(activities[activities["contact_id"].isin(part)], on="contact_id")
        pairs = pairs[pairs["occurred_at"] < pairs["as_of"]]
        age = (pairs["as_of"] - pairs["occurred_at"]) / pd.Timedelta(days=1)
        measures = {f"{days}d": (age <= days).astype("float32") for days in WINDOWS}
        frame = pairs[["point", "type"]].assign(**measures, total=np.float32(1), age=age)
        grouped = frame.groupby(["point", "type"], observed=True)
        chunks.append(grouped[[*measures, "total"]].sum().join(grouped["age"].min()))
    summed = pd.concat(chunks).unstack("type")
    result = points.drop(columns="point")
    for kind in KINDS:
        for name in (*(f"{days}d" for days in WINDOWS), "total"):
            result[f"{kind}_{name}"] = summed[(name, kind)].reindex(points["point"]).fillna(0).to_numpy()
        result[f"days_since_{kind}"] = summed[("age", kind)].reindex(points["point"]).to_numpy()
    result.to_parquet(folder / "pandas.parquet", index=False)


def polars(folder: Path) -> None:
    """Cumulative counts per contact and kind, and an as-of join for each window's two ends."""
    import polars as pl

    activities = pl.scan_parquet(folder / "activities.parquet").select("contact_id", "occurred_at", "type")
    points = pl.read_parquet(folder / "points.parquet").with_row_index("point")
    result = points.drop("point")
    for kind in KINDS:
        own = (
            activities.filter(pl.col("type") == kind)
            .sort("contact_id", "occurred_at")
            .with_columns(seen=pl.int_range(1, pl.len() + 1).over("contact_id").cast(pl.Float32))
            .select("contact_id", "occurred_at", "seen")
            .collect()
            .sort("occurred_at")
        )
        ends = {"total": pl.duration(), **{f"{days}d": pl.duration(days=days) for days in WINDOWS}}
        seen = {}
        for name, back in ends.items():
            # Strictly before the as-of; a window's far end is inside.
            wanted = points.select("point", "contact_id", at=pl.col("as_of") - back).sort("at")
            joined = wanted.join_asof(
                own.rename({"occurred_at": "at"}).with_columns(last=pl.col("at")),
                on="at",
                by="contact_id",
                strategy="backward",
                allow_exact_matches=False,
                check_sortedness=False,
            ).sort("point")
            seen[name] = joined["seen"].fill_null(0)
            if name == "total":
                since = (points["as_of"] - joined["last"]).dt.total_microseconds() / 86_400_000_000
        columns = {f"{kind}_{days}d": seen["total"] - seen[f"{days}d"] for days in WINDOWS}
        result = result.with_columns(**columns, **{f"{kind}_total": seen["total"], f"days_since_{kind}": since})
    result.write_parquet(folder / "polars.parquet")


def duckdb(folder: Path) -> None:
    """One range join with conditional aggregates."""
    import duckdb as engine

    sums = ",".join(
        f"count(*) filter (type = '{kind}' and occurred_at >= as_of - interval {days} day) as {kind}_{days}d"
        for kind in KINDS
        for days in WINDOWS
    )
    totals = ",".join(f"count(*) filter (type = '{kind}') as {kind}_total" for kind in KINDS)
    since = ",".join(
        f"(epoch_us(as_of) - max(epoch_us(occurred_at)) filter (type = '{kind}')) / 86400000000.0 as days_since_{kind}"
        for kind in KINDS
    )
    connection = engine.connect()
    connection.execute("set memory_limit = '8GB'")
    connection.execute(
        f"copy (select p.contact_id, p.as_of, {sums}, {totals}, {since} "
        f"from '{folder}/points.parquet' p left join '{folder}/activities.parquet' a "
        "on a.contact_id = p.contact_id and a.occurred_at < p.as_of group by p.contact_id, p.as_of) "
        f"to '{folder}/duckdb.parquet' (format parquet)"
    )


if __name__ == "__main__":
    contenders = {one.__name__: one for one in (leadline, build, warehouse, pandas, polars, duckdb)}
    contenders[sys.argv[1]](Path(sys.argv[2]))
