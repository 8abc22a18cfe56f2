"""The contenders of ``benchmarks.behaviour``, each run as a process of its own: contender name, folder."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._behaviour_plan import KINDS, NAMES, WINDOWS, plan

if TYPE_CHECKING:
    from features.warehouse import ActivityWarehouse

MEMORY = 1024**3


def build(folder: Path) -> None:
    """Read the file into our warehouse, as the first run does."""
    from features.sources.folder import FolderSource

    with closing(opened_warehouse(folder)) as opened, opened.extending(FolderSource(folder).activity_parts()):
        pass


def warehouse(folder: Path) -> None:
    """Our engine, from our warehouse, as every run but the first."""
    import pyarrow.parquet as pq

    from features.behaviour_files import from_warehouse, write_behaviour

    with closing(opened_warehouse(folder)) as opened:
        write_behaviour(
            read=from_warehouse(opened, plan()),
            snapshots=pq.read_table(folder / "points.parquet"),
            plan=plan(),
            folder=folder / "warehouse.parquet",
            only=NAMES,
        )


def leadline(folder: Path) -> None:
    """Our engine, from the file that all read."""
    import pyarrow.parquet as pq

    from features.behaviour_files import from_parquet, write_behaviour

    write_behaviour(
        read=from_parquet(folder / "activities.parquet", plan()),
        snapshots=pq.read_table(folder / "points.parquet"),
        plan=plan(),
        folder=folder / "leadline.parquet",
        only=NAMES,
    )


def floor(folder: Path) -> None:
    """Only read what has to be read and write what has to be written, by Arrow on all processors."""
    import pyarrow.parquet as pq

    from features.compiled import in_threads

    words = ["contact_id", "type"]
    pq.read_table(folder / "activities.parquet", columns=[*words, "occurred_at"], read_dictionary=["type"])
    files = sorted((folder / "leadline.parquet").iterdir())
    (folder / "floor.parquet").mkdir(exist_ok=True)

    def copy(file: Path) -> None:
        result = pq.read_table(file, read_dictionary=["contact_id"], use_threads=False)
        pq.write_table(
            result,
            folder / "floor.parquet" / file.name,
            compression="none",
            use_dictionary=["contact_id"],
            write_statistics=False,
        )

    in_threads(copy, [(file,) for file in files])


def start(folder: Path) -> None:
    """Only start: the interpreter, Arrow, DuckDB, Numba and our compiled code."""
    import duckdb
    import pyarrow.parquet

    from features.behaviour_files import load_compiled_code

    load_compiled_code()
    duckdb.connect()
    pyarrow.parquet.read_metadata(folder / "points.parquet")


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
    result.to_parquet(folder / "pandas.parquet", index=False, compression=None)


def polars(folder: Path) -> None:
    """Join every point with its contact's activities, streaming, group by point and kind, and set side by side."""
    import polars as pl

    activities = pl.scan_parquet(folder / "activities.parquet").select(
        "contact_id", "occurred_at", pl.col("type").cast(pl.Enum(KINDS))
    )
    points = pl.scan_parquet(folder / "points.parquet").with_row_index("point")
    age = pl.col("as_of") - pl.col("occurred_at")
    grouped = (
        points.join(activities, on="contact_id")
        .filter(pl.col("occurred_at") < pl.col("as_of"))
        .group_by("point", "type")
        .agg(
            *((age <= pl.duration(days=days)).sum().alias(f"{days}d") for days in WINDOWS),
            pl.len().alias("total"),
            pl.col("occurred_at").max().alias("last"),
        )
        .collect(engine="streaming")
    )
    result = points.collect()
    for kind in KINDS:
        own = grouped.filter(pl.col("type") == kind).drop("type")
        since = (pl.col("as_of") - pl.col("last")).dt.total_microseconds() / 86_400_000_000
        result = (
            result.join(own, on="point", how="left", maintain_order="left")
            .with_columns(since.alias(f"days_since_{kind}"))
            .drop("last")
            .rename({f"{days}d": f"{kind}_{days}d" for days in WINDOWS} | {"total": f"{kind}_total"})
        )
    result.drop("point").with_columns(pl.col(pl.UInt32).fill_null(0)).write_parquet(
        folder / "polars.parquet", compression="uncompressed"
    )


def polars_asof(folder: Path) -> None:
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
    result.write_parquet(folder / "polars_asof.parquet", compression="uncompressed")


def duckdb(folder: Path) -> None:
    """One range join grouped by point and kind, and set side by side."""
    import duckdb as engine

    counts = ",".join(f"count(*) filter (occurred_at >= as_of - interval {days} day) as w{days}d" for days in WINDOWS)
    side_by_side = ",".join(
        f"coalesce(any_value({name}) filter (type = '{kind}'), 0) as {kind}_{name.removeprefix('w')}"
        for kind in KINDS
        for name in (*(f"w{days}d" for days in WINDOWS), "total")
    )
    since = ",".join(
        f"(epoch_us(as_of) - any_value(last) filter (type = '{kind}')) / 86400000000.0 as days_since_{kind}"
        for kind in KINDS
    )
    connection = engine.connect()
    connection.execute("set memory_limit = '8GB'; set preserve_insertion_order = false")
    connection.execute(
        f"create temp table point as select row_number() over () as number, * from '{folder}/points.parquet'"
    )
    connection.execute(
        f"copy (select contact_id, as_of, {side_by_side}, {since} from point left join ("
        f"select number, type, {counts}, count(*) as total, max(epoch_us(occurred_at)) as last from point "
        f"join '{folder}/activities.parquet' using (contact_id) where occurred_at < as_of group by number, type"
        f") using (number) group by number, contact_id, as_of) to '{folder}/duckdb.parquet' "
        "(format parquet, compression uncompressed)"
    )


def opened_warehouse(folder: Path) -> ActivityWarehouse:
    """Open our warehouse in the folder."""
    from features.warehouse import ActivityWarehouse

    return ActivityWarehouse(folder / "warehouse.duckdb", memory_bytes=MEMORY)


if __name__ == "__main__":
    everyone = (build, warehouse, leadline, floor, start, pandas, polars, polars_asof, duckdb)
    {one.__name__: one for one in everyone}[sys.argv[1]](Path(sys.argv[2]))
