"""The database behind the score store: its URL, its transactions, and its failures in plain words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from features.errors import LeadScoringError

_PUBLISH_LOCK: Final = 0x1EAD_11E5
_IDLE_SECONDS: Final = 60
_STEPS_BETWEEN_LOOKS: Final = 100_000


class StoreError(LeadScoringError):
    """The score store could not do what was asked."""


class StoreUnreachableError(StoreError):
    """The score store cannot be reached now; the same call may work later."""


class StoreBusyError(StoreError):
    """Another run holds the score store for writing; the same call may work later."""


class ReadOnlyStoreError(StoreError):
    """The score store may be read but not written."""


class SlowStoreError(StoreError):
    """The score store did not answer a question in the time that it may take."""


class FullStoreError(StoreError):
    """The disk under the score store is full."""


class Database:
    """A SQLite file or a PostgreSQL database; making one connects to nothing."""

    def __init__(self, url: str, *, busy_seconds: float, read_seconds: float | None) -> None:
        self._url = _checked_url(url)
        self._busy_seconds = busy_seconds
        self._read_seconds = read_seconds
        self._engine = _make_engine(self._url, busy_seconds, read_seconds)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error

    @property
    def name(self) -> str:
        """What to call this database in a message; never holds a password."""
        if self._is_sqlite:
            return f"the SQLite score store {self._url.database}"
        host = self._url.host or self._url.query.get("host") or "localhost"
        return f"the PostgreSQL score store {self._url.database} at {host}"

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def is_missing(self) -> bool:
        """Say whether this is a SQLite file not made yet, so that a reader need not make it."""
        if not self._is_sqlite or "uri" in self._url.query:
            return False
        path = Path(self._url.database or "")
        return path.parent.is_dir() and not path.exists()

    @contextmanager
    def transaction(self, *, writing: bool) -> Iterator[Connection]:
        """Yield a connection whose work is kept whole or not at all; one writer at a time, readers at any time."""
        try:
            if writing and self._is_sqlite:
                self._use_wal()
            with self._engine.connect() as connection:
                connection.execution_options(sqlite_begin="IMMEDIATE" if writing else "DEFERRED")
                with connection.begin(), self._watched(connection, writing=writing):
                    if writing and not self._is_sqlite:
                        # Zero would mean to wait for ever.
                        waits = max(1, int(self._busy_seconds * 1000))
                        connection.execute(text(f"SET LOCAL lock_timeout = {waits}"))
                        # A writer that was stopped must not hold the lock for as long as it is stopped.
                        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {_IDLE_SECONDS}000"))
                        connection.execute(text("SET LOCAL statement_timeout = 0"))
                        connection.execute(select(func.pg_advisory_xact_lock(_PUBLISH_LOCK)))
                    yield connection
        except (SQLAlchemyError, self._driver_error) as error:
            raise self._explained(error) from error

    def scrub(self, tables: Sequence[str]) -> None:
        """Clear what removed rows leave behind: in SQLite's file and log, in PostgreSQL as dead rows of ``tables``."""
        statements = (
            ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
            if self._is_sqlite
            else tuple(f"VACUUM {name}" for name in tables)
        )
        try:
            raw = self._engine.raw_connection()
            try:
                driver: Any = raw.driver_connection
                if not self._is_sqlite:
                    driver.autocommit = True
                for statement in statements:
                    driver.execute(statement).close()
            finally:
                raw.invalidate()
        except (SQLAlchemyError, self._driver_error) as error:
            raise self._explained(error) from error

    @contextmanager
    def _watched(self, connection: Connection, *, writing: bool) -> Iterator[None]:
        """Let SQLite give up after the time that reading may take; PostgreSQL is told so when it is connected to."""
        if writing or self._read_seconds is None or not self._is_sqlite:
            yield
            return
        raw: Any = connection.connection.driver_connection
        until = time.monotonic() + self._read_seconds
        raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            raw.set_progress_handler(None, 0)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    def _use_wal(self) -> None:
        """Let readers go on while a batch is written; SQLite keeps this setting in the file."""
        raw = self._engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("PRAGMA journal_mode")
            if cursor.fetchone() != ("wal",):
                cursor.execute("PRAGMA journal_mode=WAL")
        finally:
            raw.close()

    def _explained(self, error: Exception) -> StoreError:
        cause = getattr(error, "orig", None) or error
        state = str(getattr(cause, "sqlstate", None) or "")
        said = next(iter(str(cause).splitlines()), type(cause).__name__)
        for secret in _secrets(self._url):
            said = said.replace(secret, "***")
        if "readonly database" in said or state in ("25006", "42501"):
            return ReadOnlyStoreError(
                f"{self.name} must be writable to publish; it answered: {said}. Give this user the right to write."
            )
        if "is locked" in said or state == "55P03":
            return StoreBusyError(
                f"one run may publish at a time; {self.name} was still held after {self._busy_seconds:g} s. "
                "Wait for the other run, then repeat this one."
            )
        if "disk is full" in said or state == "53100":
            return FullStoreError(
                f"{self.name} must have room to write; it answered: {said}. Nothing was changed and what was published "
                "stays; make room and repeat."
            )
        if said == "interrupted" or state == "57014":
            return SlowStoreError(
                f"{self.name} must answer within {self._read_seconds:g} s; it did not. Ask for less at a time."
            )
        cut_off = isinstance(error, OperationalError) and not self._is_sqlite and not state
        if "unable to open" in said or cut_off or state[:2] in ("08", "57") or state == "53300":
            return StoreUnreachableError(
                f"{self.name} must be reachable; it answered: {said}. Check its URL and that it runs, then repeat."
            )
        return StoreError(f"{self.name} failed and nothing was changed; it answered: {said}. Mend that and repeat.")


def _checked_url(url: str) -> URL:
    form = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The cause may quote the URL, and with it the password.
        raise StoreError(f"a score store's URL must look like {form}; this one cannot be read. Correct it.") from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise StoreError(
            f"a score store's URL must begin like {form}; found {parsed.drivername!r}. Use one of the two."
        )
    if "@" in (parsed.host or ""):
        raise StoreError(
            "a password in a score store's URL must have each @ written as %40; found a bare @. Write %40."
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("a SQLite score store must be a file; found one in memory. Use sqlite:///FILE.")
    return parsed


def _secrets(url: URL) -> list[str]:
    given = [url.password, *(value for key, value in url.query.items() if "pass" in key.lower())]
    return [str(secret) for secret in given if secret]


def _make_engine(url: URL, busy_seconds: float, read_seconds: float | None) -> Engine:
    if url.get_backend_name() == "postgresql":
        waits = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, max_overflow=40, connect_args=waits)
        if read_seconds is not None:
            _limit_statements(engine, max(1, int(read_seconds * 1000)))
        return engine
    engine = create_engine(url, hide_parameters=True, max_overflow=40, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # Python's driver begins a transaction only before a write; ours must cover the reads as well.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")

    return engine


def _limit_statements(engine: Engine, milliseconds: int) -> None:
    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.execute(f"SET statement_timeout = {milliseconds}")
        connection.commit()
