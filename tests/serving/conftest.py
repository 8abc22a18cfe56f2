"""Rows of the published contract, and a real PostgreSQL to publish them to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from serving.store import Batch, ScoreStore

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
APRIL = datetime(2024, 4, 1, tzinfo=UTC)


def make_reasons(*, activity: float = 0.15, company: float = -0.05) -> str:
    """Two families that add up to 0.10 above a base rate of 0.20, unless told otherwise."""
    return json.dumps(
        [
            {
                "family": "activity",
                "effect": activity,
                "words": "Was in touch lately",
                "features": [
                    {"feature": "replies_30d", "value": 4, "words": "4 replies in 30 days", "effect": activity - 0.02},
                    {"feature": "other", "value": None, "words": "Other activity", "effect": 0.02},
                ],
            },
            {
                "family": "company",
                "effect": company,
                "words": "Small company",
                "features": [{"feature": "size", "value": "1-10", "words": "1-10 people", "effect": company}],
            },
        ]
    )


def make_change(
    *, facts: float = 0.0, time: float = 0.0, model: float = 0.0, calibration: float = 0.0, since: str = ""
) -> str:
    """A difference and its four parts, the facts of one family."""
    given = {"facts": facts, "time": time, "model": model, "calibration": calibration}
    families = [{"family": "activity", "effect": facts, "words": "what happened (calls: 1 → 3)"}]
    return json.dumps(
        {
            "since": since or "2024-02-01T00:00:00Z",
            "difference": sum(given.values()),
            "words": f"{100 * facts:+.1f} percentage points: new: 2 × call",
            "parts": [
                {"part": name, "effect": effect, "words": name, "families": families if name == "facts" else []}
                for name, effect in given.items()
            ],
        }
    )


def make_points(**points: float) -> str:
    """The lines that gave these points."""
    return json.dumps(
        [
            {"criterion": name, "group": "fit", "points": given, "words": f"{name}: {given:+g}"}
            for name, given in points.items()
        ]
    )


def make_contact(contact_id: str = "17", **changed: Any) -> dict[str, Any]:
    """A scored contact as a publisher hands it in."""
    row: dict[str, Any] = {
        "object_type": "contact",
        "contact_id": contact_id,
        "as_of": pd.Timestamp(MARCH),
        "model_version": "contacts-3",
        "close_likelihood": 0.3,
        "likelihood_low": 0.25,
        "likelihood_high": 0.4,
        "tier": "high",
        "points": 35.0,
        "points_fit": 20.0,
        "points_engagement": 15.0,
        "points_grade": "B2",
        "points_likelihood": 0.18,
        "agreement": "model_only",
        "previous_likelihood": None,
        "trend": None,
        "base_rate": 0.2,
        "reasons": make_reasons(),
        "not_scored": None,
    }
    return row | changed


def make_deal(deal_id: str = "d1", **changed: Any) -> dict[str, Any]:
    """A scored deal as a publisher hands it in."""
    row: dict[str, Any] = {
        "object_type": "deal",
        "deal_id": deal_id,
        "as_of": pd.Timestamp(MARCH),
        "model_version": "deals-2",
        "pipeline": "sales",
        "stage": "offer sent",
        "days_in_stage": 12.5,
        "win_probability": 0.3,
        "win_low": 0.2,
        "win_high": 0.35,
        "win_within_horizon": 0.1,
        "stage_probability_manual": 0.6,
        "stage_rate_observed": 0.28,
        "expected_close_at": pd.Timestamp("2024-04-10T12:00:00.000001Z"),
        "expected_close_low": pd.Timestamp("2024-03-20T00:00:00Z"),
        "expected_close_high": pd.Timestamp("2024-06-01T00:00:00Z"),
        "amount": 1000.1,
        "expected_value": 300.03,
        "stalled": True,
        "points": 35.0,
        "points_likelihood": 0.18,
        "previous_probability": 0.2,
        "trend": "up",
        "base_rate": 0.2,
        "reasons": make_reasons(),
        "not_scored": None,
    }
    return row | changed


def unscored_deal(deal_id: str, **changed: Any) -> dict[str, Any]:
    """A deal that is published without a probability, and says why."""
    empty = dict.fromkeys(name for name in make_deal() if name not in ("object_type", "as_of"))
    return make_deal() | empty | {"deal_id": deal_id, "not_scored": "no stage history"} | changed


def make_batch(batch_id: str = "b1", **changed: Any) -> Batch:
    """A batch of two contacts and three deals, one of them not scored."""
    as_of = changed.get("as_of", MARCH)
    stamp = pd.Timestamp(as_of)
    given: dict[str, Any] = {
        "as_of": as_of,
        "scored_at": datetime(2024, 3, 2, 4, 5, tzinfo=UTC),
        "model_versions": {"contacts": "contacts-3", "deals": "deals-2"},
        "contacts": pd.DataFrame([make_contact("9", as_of=stamp), make_contact("17", as_of=stamp)]),
        "deals": pd.DataFrame(
            [unscored_deal("d3", as_of=stamp), make_deal("d1", as_of=stamp), make_deal("D2", as_of=stamp)]
        ),
        "summary": {"base_rates": {"contacts": 0.2, "deals": 0.2}},
    }
    return Batch(batch_id=batch_id, **(given | changed))


class PostgresServer:
    """A PostgreSQL that listens on a Unix socket only and is gone after the tests."""

    def __init__(self, home: Path) -> None:
        self.socket_dir = home
        self._bin_dir = _bin_dir()
        self._data = str(home / "data")
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(home, "postgres")
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self.socket_dir} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-o", options, "-l", str(self.socket_dir / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def new_store(self) -> str:
        """Make an empty schema, which costs less than a database, and return a URL that leads to it."""
        schema = f"scores_{uuid.uuid4().hex}"
        url = f"postgresql+psycopg://postgres@/postgres?host={self.socket_dir}"
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        engine.dispose()
        return f"{url}&options=-csearch_path%3D{schema}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._bin_dir / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _bin_dir() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail("the store's tests need a PostgreSQL server in /usr/lib/postgresql; run `make services`")
    return found[-1].parent


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server of one's own."""
    # Not in pytest's folder: its path may be too long for a socket, and closed to the user postgres.
    home = Path(tempfile.mkdtemp(prefix="leadline-pg-", dir="/tmp"))
    try:
        server = PostgresServer(home)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'scores.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_store()


@pytest.fixture
def store(store_url: str) -> Iterator[ScoreStore]:
    opened = ScoreStore(store_url)
    yield opened
    opened.close()
