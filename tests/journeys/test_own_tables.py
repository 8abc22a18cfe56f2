"""A person brings tables of their own, as CSV files or as Parquet files, and gets the same scores."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from features.tables import CrmTables
from flows.wiring import make_workplace
from tests.flows.commands import (
    FOLDER,
    leadline,
    leadline_json,
    registries_made_once,
    tiny_tables,
    write_config,
    write_csv,
    write_parquet,
)

SHOWN = "source: {kind: folder}\nproperties: {contacts: {safe: [industry, country]}}\nbootstrap_replicates: 20\n"


@pytest.fixture(scope="module", autouse=True)
def _quick_homes() -> Iterator[None]:
    with registries_made_once():
        yield


@pytest.fixture(scope="module")
def tables() -> CrmTables:
    return tiny_tables()


def scores(home: Path, question: str) -> pd.DataFrame:
    file = home / f"{question}.parquet"
    assert leadline("export", question, "--format", "parquet", "--out", file, "--home", home).exit_code == 0
    return pd.read_parquet(file).drop(columns=["scored_at"])


def test_csv_and_parquet_in_any_order_lead_to_the_same_batch(tmp_path: Path, tables: CrmTables) -> None:
    config = write_config(tmp_path, SHOWN)
    # The folder's name stands in the report, so the two bear the same.
    as_csv, as_parquet = tmp_path / "csv" / "crm", tmp_path / "parquet" / "crm"
    write_csv(tables, as_csv)
    activities = as_csv / "activities.csv"
    (as_csv / "activities.csv.gz").write_bytes(gzip.compress(activities.read_bytes()))
    activities.unlink()
    shuffled = {
        name: frame.sample(frac=1, random_state=3)[list(reversed(frame.columns))].reset_index(drop=True)
        for name, frame in tables.frames.items()
    }
    write_parquet(CrmTables(shuffled), as_parquet)

    said = {
        folder.parent.name: leadline_json(
            "run", "--config", config, "--data", folder, "--as-of", "2026-01-01", "--home", folder.parent / "home"
        )
        for folder in (as_csv, as_parquet)
    }

    assert said["csv"]["batch_id"] == said["parquet"]["batch_id"]
    assert said["csv"]["trained"] == said["parquet"]["trained"]
    for question in ("contacts", "deals"):
        pd.testing.assert_frame_equal(
            scores(tmp_path / "csv" / "home", question), scores(tmp_path / "parquet" / "home", question)
        )


def test_what_is_known_only_after_the_as_of_changes_nothing_published(tmp_path: Path) -> None:
    config = write_config(tmp_path, FOLDER)
    today = write_parquet(tiny_tables(), tmp_path / "crm")
    as_of = pd.Timestamp("2025-11-15T00:00:00Z")
    tables = tiny_tables()
    frames = dict(tables.frames)
    for name, column in (
        ("activities", "occurred_at"),
        ("deal_stage_history", "entered_at"),
        ("property_history", "known_at"),
        ("contacts", "created_at"),
        ("deals", "created_at"),
    ):
        frame = frames[name]
        known = frame["known_at"].fillna(frame[column]) if "known_at" in frame else frame[column]
        frames[name] = frame.loc[(frame[column] < as_of) & (known < as_of)].reset_index(drop=True)
    links = frames["deal_contacts"]
    frames["deal_contacts"] = links.loc[links["deal_id"].isin(frames["deals"]["deal_id"])].reset_index(drop=True)
    then = write_parquet(CrmTables(frames), tmp_path / "then")

    homes = [tmp_path / "home-today", tmp_path / "home-then"]
    for folder, home in zip((today, then), homes, strict=True):
        leadline_json("run", "--config", config, "--data", folder, "--as-of", as_of.isoformat(), "--home", home)

    for question in ("contacts", "deals"):
        first, second = (scores(home, question).drop(columns=["batch_id"]) for home in homes)
        pd.testing.assert_frame_equal(first, second)
    # A backfill on today's tables, which hold more rows, has the digest of what was published then.
    first, second = (make_workplace(config=config, data=today, home=home).store().latest_batch() for home in homes)
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    assert first.summary["table_rows"] != second.summary["table_rows"]
