"""The contenders of ``benchmarks.behaviour``, each run as a process of its own: contender name, folder."""

from __future__ import annotations

import sys
from pathlib import Path

WINDOWS = (1, 7, 28, 90)
KINDS = ("call", "email_click", "email_open", "form", "meeting", "page_view")


def leadline(folder: Path) -> None:
    """Our kernel, through the functions that the product calls."""
    import numpy as np
    import pandas as pd

    from features.behaviour import behaviour_before, contact_activities
    from features.visibility import codes, microseconds

    activities = pd.read_parquet(folder / "activities.parquet", columns=["contact_id", "occurred_at", "type"])
    points = pd.read_parquet(folder / "points.parquet")
    ids = pd.Index(points["contact_id"].unique())
    summary = behaviour_before(
        activities=contact_activities(activities=activities, contact_ids=ids, kinds=KINDS),
        objects=codes(points["contact_id"], index=ids),
        as_of=microseconds(points["as_of"]),
        windows_days=WINDOWS,
        half_lives_days=(),
    )
    for k, kind in enumerate(KINDS):
        for w, days in enumerate(WINDOWS):
            points[f"{kind}_{days}d"] = summary.counts[:, k, w].astype(np.float32)
        points[f"{kind}_total"] = summary.total[:, k].astype(np.float32)
        points[f"days_since_{kind}"] = summary.days_since[:, k]
    points.to_parquet(folder / "leadline.parquet", index=False)


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
    {"leadline": leadline, "pandas": pandas, "polars": polars, "duckdb": duckdb}[sys.argv[1]](Path(sys.argv[2]))
