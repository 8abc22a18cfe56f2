"""The databases that a schema may lie in: DuckDB files, and whatever has a driver for SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import SecretStr

from features.errors import LeadScoringError
from features.sources.warehouse.relations import Relation, Wanted

if TYPE_CHECKING:
    from sqlalchemy import URL

_ROWS_AT_ONCE: Final = 10_000
_LONGEST_REASON: Final = 300
_ATTACHED: Final = "leadline_warehouse"
_SETTINGS: Final = (f"USE {_ATTACHED}", "SET TimeZone = 'UTC'")
_DRIVERS: Final[Mapping[str, str]] = {
    "bigquery": "sqlalchemy-bigquery",
    "databricks": "databricks-sqlalchemy",
    "redshift": "sqlalchemy-redshift",
    "snowflake": "snowflake-sqlalchemy",
}


class WarehouseError(LeadScoringError):
    """The database cannot be read."""


class WarehouseAddressError(WarehouseError):
    """There is no URL of a database, or none that leads to one."""


class Database(Protocol):
    """Something that has tables and answers queries. Nothing is ever written to it."""

    def relations(self) -> Mapping[str, str]:
        """Return the names of all tables and views by their names in lower case."""
        ...

    def relation(self, name: str) -> Relation:
        """Return one of them with its columns."""
        ...

    def rows(self, wanted: Wanted) -> Iterator[tuple[Any, ...]]:
        """Yield rows, some at a time."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def open_database(address: SecretStr | None, *, schema: str | None) -> Database:
    """Connect to the database that a URL leads to; raise a ``WarehouseError`` if that cannot be."""
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    try:
        url = sqlalchemy.make_url("" if address is None else address.get_secret_value())
    except ArgumentError as error:
        found = "nothing" if address is None else "something else"
        raise WarehouseAddressError(
            "a warehouse needs a URL such as postgresql+psycopg://reader:password@host/database or "
            f"duckdb:///path/to/file.duckdb in the environment, in LEADLINE_WAREHOUSE_URL; found {found}."
        ) from error
    if url.get_backend_name() == "duckdb":
        return DuckDbDatabase(url, schema=schema)
    return SqlDatabase(url, schema=schema)


class DuckDbDatabase:
    """A DuckDB file, opened for reading only."""

    def __init__(self, url: URL, *, schema: str | None) -> None:
        import duckdb

        file = url.database or ""
        if not file or not (Path(file).is_file() or file.startswith("md:")):
            raise WarehouseAddressError(
                f"LEADLINE_WAREHOUSE_URL must lead to a DuckDB file; there is none at {file!r}. An absolute path has "
                "four slashes: duckdb:////data/crm.duckdb."
            )
        self._schema = schema
        try:
            self._connection = duckdb.connect()
            # Under a name of ours, since the file's own may be that of a schema in it.
            place = file.replace("'", "''")
            self._connection.execute(f"ATTACH '{place}' AS {_ATTACHED} (READ_ONLY)")
        except duckdb.Error as error:
            raise WarehouseError(f"the DuckDB file {file} must be readable; {_first_line(error)}") from error

    def relations(self) -> Mapping[str, str]:
        """Return the names of all tables and views by their names in lower case."""
        found = self._connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = ? AND table_schema = ?",
            [_ATTACHED, self._schema or "main"],
        )
        return {name.lower(): name for (name,) in sorted(found.fetchall())}

    def relation(self, name: str) -> Relation:
        """Return one of them with its columns."""
        found = self._connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_catalog = ? AND table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            [_ATTACHED, self._schema or "main", name],
        )
        return Relation(name, {column: kind == "BOOLEAN" for column, kind in found.fetchall()}, schema=self._schema)

    def rows(self, wanted: Wanted) -> Iterator[tuple[Any, ...]]:
        """Yield rows, some at a time."""
        import duckdb
        from sqlalchemy.dialects import postgresql

        # DuckDB speaks PostgreSQL's SQL, as far as these queries go.
        dialect: Any = postgresql.dialect
        text = wanted.query().compile(dialect=dialect(paramstyle="named"), compile_kwargs={"literal_binds": True})
        try:
            # A cursor of its own, as more than one query may be read at a time; it begins without the other's settings.
            cursor = self._connection.cursor()
            for setting in _SETTINGS:
                cursor.execute(setting)
            found = cursor.execute(str(text))
            while rows := found.fetchmany(_ROWS_AT_ONCE):
                yield from rows
        except duckdb.Error as error:
            raise WarehouseError(f"the table {wanted.relation.name} must be readable; {_first_line(error)}") from error

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()


class SqlDatabase:
    """A database that SQLAlchemy has a driver for. PostgreSQL shows all tables as of one moment."""

    def __init__(self, url: URL, *, schema: str | None) -> None:
        import sqlalchemy

        self._url = url
        self._schema = schema
        with self._explained("must answer"):
            self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
            connection = self._engine.connect()
            if self._engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._connection = connection
            self._inspector = sqlalchemy.inspect(connection)

    def relations(self) -> Mapping[str, str]:
        """Return the names of all tables and views by their names in lower case."""
        with self._explained(f"must tell the tables of the schema {self._schema or 'that the URL leads to'}"):
            names = set(self._inspector.get_table_names(schema=self._schema))
            for more in ("get_view_names", "get_materialized_view_names"):
                try:
                    names |= set(getattr(self._inspector, more)(schema=self._schema))
                except NotImplementedError:
                    continue
        return {name.lower(): name for name in sorted(names)}

    def relation(self, name: str) -> Relation:
        """Return one of them with its columns."""
        from sqlalchemy import Boolean

        with self._explained(f"must tell the columns of {name}"):
            found = self._inspector.get_columns(name, schema=self._schema)
        return Relation(name, {one["name"]: isinstance(one["type"], Boolean) for one in found}, schema=self._schema)

    def rows(self, wanted: Wanted) -> Iterator[tuple[Any, ...]]:
        """Yield rows, some at a time."""
        with self._explained(f"must let its user read the table {wanted.relation.name}"):
            # What is not streamed would be held by the driver as a whole.
            found = self._connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE).execute(
                wanted.query()
            )
            for rows in found.partitions():
                yield from (tuple(row) for row in rows)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what SQLAlchemy and the drivers raise into an error that holds no secret."""
        from sqlalchemy.exc import DBAPIError, NoSuchModuleError

        name = self._url.get_backend_name()
        try:
            yield
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            driver = _DRIVERS.get(name, "its SQLAlchemy driver")
            raise WarehouseAddressError(
                f"LEADLINE_WAREHOUSE_URL leads to {name}, for which no driver is installed; install {driver}."
            ) from error
        except Exception as error:
            # Each driver has exceptions of its own, beside SQLAlchemy's.
            reason = _first_line(error.orig) if isinstance(error, DBAPIError) and error.orig else type(error).__name__
            raise WarehouseError(
                f"the database behind LEADLINE_WAREHOUSE_URL ({name}) {what}; it said: "
                f"{self._without_secrets(reason)}. A user that may read is enough."
            ) from error

    def _without_secrets(self, text: str) -> str:
        secrets = [self._url.password, *(part for value in self._url.query.values() for part in _parts(value))]
        for secret in secrets:
            if secret:
                text = text.replace(str(secret), "***")
        return text


def _parts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:_LONGEST_REASON].rstrip(".") if lines else type(error).__name__
