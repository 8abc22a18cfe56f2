"""The contenders of ``benchmarks.api``: each call is one process and writes what it measured as JSON."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
FAMILIES = ("recency", "their_activity", "our_activity", "profile")
KEY_FILE = "key.txt"


def make(folder: Path, rows: int) -> None:
    """Write contact scores."""
    contact_rows(rows, seed=7).to_parquet(folder / "rows.parquet", index=False)


def contact_rows(rows: int, *, seed: int) -> pd.DataFrame:
    """Return contact scores whose reasons have four families and add up."""
    draw = np.random.default_rng(seed)
    effects = np.round(draw.normal(0, 0.02, (rows, len(FAMILIES))), 9)
    likelihood = np.round(np.clip(0.3 + effects.sum(axis=1), 0.01, 0.99), 9)
    effects[:, 0] += likelihood - 0.3 - effects.sum(axis=1)
    reasons = [_reasons(one) for one in effects.tolist()]
    return pd.DataFrame(
        {
            "object_type": "contact",
            "contact_id": [f"{number:09d}" for number in range(rows)],
            "as_of": pd.Timestamp(AS_OF).as_unit("us"),
            "model_version": "contacts-20260101T000000Z-0123456789ab",
            "close_likelihood": likelihood,
            "likelihood_low": likelihood - 0.01,
            "likelihood_high": likelihood + 0.01,
            "tier": np.array(["very_high", "high", "medium", "low"], dtype=object)[draw.integers(0, 4, rows)],
            "points": draw.integers(0, 100, rows).astype(float),
            "points_fit": draw.integers(0, 50, rows).astype(float),
            "points_engagement": draw.integers(0, 50, rows).astype(float),
            "points_grade": "B2",
            "points_likelihood": np.round(draw.random(rows), 9),
            "agreement": "both_low",
            "previous_likelihood": np.nan,
            "trend": None,
            "base_rate": 0.3,
            "reasons": reasons,
            "not_scored": None,
        }
    )


def _reasons(effects: list[float]) -> str:
    told = sorted(zip(FAMILIES, effects, strict=True), key=lambda one: -abs(one[1]))
    return json.dumps(
        [
            {
                "family": family,
                "effect": effect,
                "words": f"what they did ({family})",
                "features": [{"feature": family, "value": 4.5, "words": f"{family}: 4.5", "effect": effect}],
            }
            for family, effect in told
        ],
        separators=(",", ":"),
    )


def load(folder: Path, url: str) -> dict[str, Any]:
    """Load the rows into a table of their own with nothing but the driver."""
    frame = pd.read_parquet(folder / "rows.parquet").drop(columns=["object_type", "as_of"])
    names = ["batch_id", *frame.columns]
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns]
    rows = list(zip(["b1"] * len(frame), *columns, strict=True))
    kinds = ["double precision" if kind == "float64" else "text" for kind in frame.dtypes.astype(str)]
    table = ", ".join(f"{name} {kind}" for name, kind in zip(names, ["text", *kinds], strict=True))
    create = f"CREATE TABLE bare_scores ({table}, PRIMARY KEY (batch_id, contact_id))"
    started, before = time.perf_counter(), time.process_time()
    if url.startswith("sqlite"):
        with sqlite3.connect(folder / "bare.db") as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(create)
            connection.executemany(f"INSERT INTO bare_scores VALUES ({', '.join('?' * len(names))})", rows)
        connection.close()
    else:
        import psycopg

        with psycopg.connect(_psycopg(url)) as connection, connection.cursor() as cursor:
            cursor.execute(create)
            with cursor.copy("COPY bare_scores FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
    return {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - before}


def publish(folder: Path, url: str) -> dict[str, Any]:
    """Publish the rows as a batch, checks and digest and all."""
    from serving.keys import SCOPES, create_key
    from serving.store import Batch, ScoreStore

    frame = pd.read_parquet(folder / "rows.parquet")
    store = ScoreStore(url)
    (folder / KEY_FILE).write_text(
        create_key(store, name="benchmark", scopes=SCOPES, now=datetime.now(UTC))[1], encoding="utf-8"
    )
    batch = Batch(
        batch_id="b1",
        as_of=AS_OF,
        scored_at=datetime.now(UTC),
        model_versions={"contacts": "contacts-20260101T000000Z-0123456789ab"},
        contacts=frame,
        deals=None,
        summary={},
    )
    started, before = time.perf_counter(), time.process_time()
    store.publish(batch)
    told = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - before}
    store.close()
    return told


def serve(folder: Path, url: str) -> dict[str, Any]:
    """Read everything through a service in a process of its own, and by the driver alone."""
    known = os.environ | {"LEADLINE_STORE_URL": url}
    program = [sys.executable, "-c", "from flows.cli import main; main()", "serve", "--port", "0"]
    service = subprocess.Popen([*program, "--home", str(folder)], stdout=subprocess.PIPE, text=True, env=known)
    assert service.stdout is not None
    base = service.stdout.readline().split()[1]
    key = (folder / KEY_FILE).read_text(encoding="utf-8")
    try:
        media = {
            "Arrow stream": "application/vnd.apache.arrow.stream",
            "NDJSON": "application/x-ndjson",
            "Parquet": "application/vnd.apache.parquet",
            "CSV": "text/csv",
        }
        reads = {
            name: _fetched(f"{base}v1/contacts/scores", key, accept, service.pid) for name, accept in media.items()
        }
        pages = _pages(base, key, count=len(pd.read_parquet(folder / "rows.parquet", columns=["points"])))
        status = Path(f"/proc/{service.pid}/status").read_text(encoding="utf-8")
        peak = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    finally:
        service.terminate()
        service.wait()
    return {"reads": reads, "pages": pages, "service_megabytes": peak, "dump": _dump(folder, url)}


def _processor_seconds(pid: int) -> float:
    told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def _fetched(url: str, key: str, accept: str, pid: int) -> dict[str, float]:
    before = _processor_seconds(pid)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}", "Accept": accept})
    started = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        size = len(answer.read(1))
        first = time.perf_counter() - started
        while part := answer.read(1 << 20):
            size += len(part)
    return {
        "seconds": time.perf_counter() - started,
        "processor_seconds": _processor_seconds(pid) - before,
        "first_byte": first,
        "megabytes": size / 1e6,
    }


def _pages(base: str, key: str, *, count: int) -> dict[str, float]:
    """Take the median time of the first pages of 1,000 and of those after 99 % of the batch."""
    from serving.cursors import PageCursor, read_page_cursor, write_cursor

    def page(after: str | None) -> tuple[float, str | None]:
        url = f"{base}v1/contacts/scores?limit=1000" + (f"&after={after}" if after else "")
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        started = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            answer.read()
            return time.perf_counter() - started, answer.headers["Leadline-Next-After"]

    _, following = page(None)
    assert following is not None
    asked = read_page_cursor(following).asked
    late = write_cursor(PageCursor("b1", f"{int(count * 0.9):09d}", asked))
    return {
        name: float(np.median([page(after)[0] for _ in range(15)]))
        for name, after in {"page of 1,000 at the beginning": following, "page of 1,000 after 90 %": late}.items()
    }


def _dump(folder: Path, url: str) -> dict[str, float]:
    """Fetch the same columns with the driver alone, a part at a time, and keep none of them."""
    query = "SELECT * FROM bare_scores WHERE batch_id = 'b1' ORDER BY contact_id"
    started, before = time.perf_counter(), time.process_time()
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(folder / "bare.db")
        cursor = connection.execute(query)
    else:
        import psycopg

        connection = psycopg.connect(_psycopg(url))
        cursor = connection.cursor("dump")
        cursor.itersize = 5_000
        cursor.execute(query)
    # Few at a time, as the service takes them: many rows at once cost more.
    while cursor.fetchmany(250):
        pass
    connection.close()
    return {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - before}


def _psycopg(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def main() -> None:
    """Run the contender that the command line names."""
    name, folder, *rest = sys.argv[1:]
    if name == "make":
        make(Path(folder), int(rest[0]))
        return
    contender = {"load": load, "publish": publish, "serve": serve}[name]
    Path(rest[1]).write_text(json.dumps(contender(Path(folder), rest[0])), encoding="utf-8")


if __name__ == "__main__":
    main()
