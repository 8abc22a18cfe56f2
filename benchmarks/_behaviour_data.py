"""The data of ``benchmarks.behaviour``, and the proof that all contenders computed the same numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def make_data(folder: Path, *, contacts: int, activities: int, as_ofs: int, seed: int = 7) -> None:
    """Write activities (sorted by time, as a CRM delivers them) and the points to compute features at."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{number:07d}" for number in range(contacts)])
    start = np.datetime64("2024-01-01", "us").astype(np.int64)
    day = 86_400_000_000
    who = np.minimum((contacts * rng.power(0.4, activities)).astype(np.int64), contacts - 1)
    when = np.sort(start + (rng.random(activities) * 730 * day).astype(np.int64))
    kinds = np.array(["page_view", "email_open", "email_click", "form", "call", "meeting"])
    kind = rng.choice(len(kinds), activities, p=[0.5, 0.25, 0.1, 0.05, 0.06, 0.04])
    pd.DataFrame(
        {
            "activity_id": np.arange(activities).astype(str),
            "contact_id": ids[who],
            "occurred_at": pd.to_datetime(when, unit="us", utc=True).as_unit("us"),
            "type": kinds[kind],
        }
    ).to_parquet(folder / "activities.parquet", index=False)
    moments = start + (np.sort(rng.random((contacts, as_ofs)), axis=1) * 730 * day).astype(np.int64)
    pd.DataFrame(
        {
            "contact_id": np.repeat(ids, as_ofs),
            "as_of": pd.to_datetime(moments.ravel(), unit="us", utc=True).as_unit("us"),
        }
    ).to_parquet(folder / "points.parquet", index=False)


def check_equal(folder: Path, rivals: list[str]) -> None:
    """Stop if any rival's numbers differ from ours."""
    ours = pd.read_parquet(folder / "leadline.parquet").sort_values(["contact_id", "as_of"], ignore_index=True)
    for rival in rivals:
        theirs = pd.read_parquet(folder / f"{rival}.parquet").sort_values(["contact_id", "as_of"], ignore_index=True)
        for column in ours.columns.drop(["contact_id", "as_of"]):
            left, right = ours[column].to_numpy(np.float64), theirs[column].to_numpy(np.float64)
            if not np.allclose(left, right, rtol=0, atol=1e-6, equal_nan=True):
                raise SystemExit(f"{rival} disagrees with leadline on {column}")


if __name__ == "__main__":
    task, place, *rest = sys.argv[1:]
    if task == "make":
        make_data(Path(place), contacts=int(rest[0]), activities=int(rest[1]), as_ofs=int(rest[2]))
    else:
        check_equal(Path(place), rest)
