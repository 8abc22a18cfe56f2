"""The data of ``benchmarks.behaviour`` and ``benchmarks.nightly``, and the proof that the numbers are the same."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._behaviour_plan import COUNTS, KINDS, NAMES

SHARES = (0.06, 0.03, 0.03, 0.1, 0.22, 0.04, 0.04, 0.02, 0.44, 0.02)
DAY = 86_400_000_000
START = np.datetime64("2024-01-01", "us").astype(np.int64)
_ROWS_AT_ONCE = 5_000_000


def make_activities(file: Path, *, contacts: int, activities: int, first: int = 0, days: tuple[int, int]) -> None:
    """Write activities of the days from ``days[0]`` to ``days[1]``, sorted by time, as a CRM delivers them."""
    rng = np.random.default_rng(7 + first)
    ids = _ids(contacts)
    kinds = pa.array(KINDS)
    bounds = np.linspace(days[0] * DAY, days[1] * DAY, -(-activities // _ROWS_AT_ONCE) + 1).astype(np.int64)
    writer: pq.ParquetWriter | None = None
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        count = min(_ROWS_AT_ONCE, activities - number * _ROWS_AT_ONCE)
        who = np.minimum((contacts * rng.power(0.4, count)).astype(np.int64), contacts - 1)
        when = np.sort(START + rng.integers(begin, end, count))
        rows = pa.table(
            {
                "activity_id": pa.array(np.arange(first, first + count)).cast(pa.string()),
                "contact_id": ids.take(pa.array(who)),
                "occurred_at": pa.array(when, pa.timestamp("us", tz="UTC")),
                "type": kinds.take(pa.array(rng.choice(len(KINDS), count, p=SHARES))),
            }
        )
        first += count
        writer = writer or pq.ParquetWriter(file, rows.schema)
        writer.write_table(rows, row_group_size=1_000_000)
    if writer is not None:
        writer.close()


def make_points(file: Path, *, contacts: int, as_ofs: int) -> None:
    """Write the moments to compute features at: so many random ones for each contact, in order."""
    rng = np.random.default_rng(8)
    moments = START + (np.sort(rng.random((contacts, as_ofs)), axis=1) * 730 * DAY).astype(np.int64)
    points = {
        "contact_id": _ids(contacts).take(pa.array(np.repeat(np.arange(contacts), as_ofs))),
        "as_of": pa.array(moments.ravel(), pa.timestamp("us", tz="UTC")),
    }
    pq.write_table(pa.table(points), file)


def check_equal(folder: Path, others: list[str]) -> None:
    """Stop if anybody's numbers differ from ours: counts at all, days by more than 1e-9 of their size."""
    ours = folder / "leadline.parquet"
    mine = _order(ours)
    for other in others:
        theirs = folder / f"{other}.parquet"
        place = _order(theirs)
        for name in NAMES:
            left, right = (_column(file, name)[order] for file, order in ((ours, mine), (theirs, place)))
            if not np.allclose(left, right, rtol=0 if name in COUNTS else 1e-9, atol=0, equal_nan=True):
                raise SystemExit(f"{other} disagrees with leadline on {name}")


def _order(file: Path) -> np.ndarray:
    keys = pq.read_table(file, columns=["contact_id", "as_of"])
    return np.lexsort((keys["as_of"].to_numpy().view(np.int64), np.asarray(keys["contact_id"].to_numpy(), dtype="S8")))


def _column(file: Path, name: str) -> np.ndarray:
    return pq.read_table(file, columns=[name])[name].to_numpy().astype(np.float64)


def _ids(contacts: int) -> pa.Array:
    return pa.array([f"c{number:07d}" for number in range(contacts)])


if __name__ == "__main__":
    task, place, *rest = sys.argv[1:]
    if task == "activities":
        contacts, activities, first, begin, end = map(int, rest)
        make_activities(Path(place), contacts=contacts, activities=activities, first=first, days=(begin, end))
    elif task == "points":
        make_points(Path(place), contacts=int(rest[0]), as_ofs=int(rest[1]))
    else:
        check_equal(Path(place), rest)
