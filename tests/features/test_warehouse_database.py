"""Databases behind a warehouse: what they are asked, what they refuse, and a schema of the CRM tables themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy
import sqlglot
from pydantic import SecretStr, ValidationError
from sqlalchemy.dialects import postgresql
from sqlglot import expressions

from features.checks import check_tables
from features.sources.folder import FolderSource
from features.sources.hubspot_sandbox.account import Account
from features.sources.warehouse.database import (
    DuckDbDatabase,
    WarehouseAddressError,
    WarehouseError,
    open_database,
)
from features.sources.warehouse.relations import Relation, Wanted
from features.sources.warehouse.settings import WarehouseSettings
from features.sources.warehouse.source import WarehouseSource
from tests.features.landings import AS_LANDED, Schema, as_fivetran, invented_account, read
from tests.flows.commands import tiny_tables, write_csv
from tests.serving.conftest import PostgresServer, postgres

__all__ = ["postgres"]

PASSWORD = "canary-4711-password"
# Identifiers and literals, equality, IN, IS NULL, AND, OR and ORDER BY of one table.
SHARED = (
    expressions.Select,
    expressions.From,
    expressions.Table,
    expressions.Column,
    expressions.Identifier,
    expressions.Where,
    expressions.Order,
    expressions.Ordered,
    expressions.And,
    expressions.Or,
    expressions.Paren,
    expressions.EQ,
    expressions.In,
    expressions.Is,
    expressions.Null,
    expressions.Boolean,
    expressions.Literal,
)


@pytest.fixture(scope="module")
def account() -> Account:
    return invented_account()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every query that was asked, as SQLAlchemy writes it for PostgreSQL."""
    told: list[str] = []
    ask = DuckDbDatabase.rows

    def listen(database: DuckDbDatabase, wanted: Wanted) -> Iterator[tuple[Any, ...]]:
        dialect: Any = postgresql.dialect
        query = wanted.query().compile(dialect=dialect(paramstyle="named"), compile_kwargs={"literal_binds": True})
        told.append(str(query))
        return ask(database, wanted)

    monkeypatch.setattr(DuckDbDatabase, "rows", listen)
    return told


@pytest.mark.parametrize("tool", AS_LANDED)
def test_every_query_is_of_the_sql_that_all_warehouses_speak(
    account: Account, tmp_path: Path, asked: list[str], tool: str
) -> None:
    read(AS_LANDED[tool](account).to_duckdb(tmp_path / "landing.duckdb", schema="crm"), tool, schema="crm")

    assert len(asked) > 8
    for query in asked:
        tree = sqlglot.parse_one(query, read="postgres")
        assert [type(node).__name__ for node in tree.walk() if not isinstance(node, SHARED)] == [], query
        for dialect in ("bigquery", "snowflake", "databricks", "redshift", "duckdb"):
            (written,) = sqlglot.transpile(
                query, read="postgres", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE
            )
            assert sqlglot.parse_one(written, read=dialect).named_selects == tree.named_selects


def test_filters_are_left_to_the_database(account: Account, tmp_path: Path, asked: list[str]) -> None:
    read(as_fivetran(account).to_duckdb(tmp_path / "landing.duckdb"), "fivetran")

    (history,) = [query for query in asked if "FROM contact_property_history" in query]
    (events,) = [query for query in asked if "FROM email_event" in query]
    (contacts,) = [query for query in asked if "FROM contact \n" in query]
    assert "WHERE name IN ('associatedcompanyid', 'country', 'hs_analytics_source'" in history
    assert "type IN ('BOUNCE', 'CLICK'" in events
    assert "filtered_event IS NULL OR filtered_event = false" in events
    assert "_fivetran_deleted IS NULL OR _fivetran_deleted = false" in contacts
    # Nothing of a person but the addresses that e-mail events need.
    assert "property_email" in contacts
    assert "firstname" not in " ".join(asked)


def test_odd_names_are_quoted_and_values_cannot_break_out() -> None:
    relation = Relation("Odd table", {"order": False, "it's": False}, schema="s")

    query = Wanted(relation, ["order", "it's"], among={"it's": ["'; DROP TABLE x; --"]}).query()

    dialect: Any = postgresql.dialect
    text = str(query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
    assert 'SELECT "order", "it\'s"' in text
    assert "IN ('''; DROP TABLE x; --')" in text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "LEADLINE_WAREHOUSE_URL; found nothing"),
        ("no url at all", "LEADLINE_WAREHOUSE_URL; found something else"),
        ("duckdb:////nowhere/at/all.duckdb", "there is none at '/nowhere/at/all.duckdb'"),
        ("snowflake://u:canary-4711-password@account/db", "install snowflake-sqlalchemy"),
        ("bigquery://project/dataset", "install sqlalchemy-bigquery"),
        ("databricks://token:canary-4711-password@host?http_path=/sql", "install databricks-sqlalchemy"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_with_what_to_do(address: str | None, said: str) -> None:
    with pytest.raises(WarehouseAddressError) as caught:
        open_database(None if address is None else SecretStr(address), schema=None)

    assert said in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://reader:{PASSWORD}@127.0.0.1:1/crm?connect_timeout=2",
        f"postgresql+psycopg://reader@127.0.0.1:1/crm?connect_timeout=2&password={PASSWORD}",
    ],
)
def test_a_database_that_does_not_answer_is_told_without_its_password(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(WarehouseError, match="must answer; it said: ") as caught:
        open_database(SecretStr(url), schema=None)

    assert PASSWORD not in str(caught.value) + caplog.text


def test_a_table_that_may_not_be_read_is_named(postgres: PostgresServer) -> None:
    url = postgres.new_store()
    schema = Schema()
    schema.add("contacts", {"contact_id": "text", "created_at": "timestamptz"})
    schema.to_postgres(url, schema="closed")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in ("CREATE ROLE stranger LOGIN", "GRANT USAGE ON SCHEMA closed TO stranger"):
            connection.exec_driver_sql(statement)

        with pytest.raises(WarehouseError, match="read the table contacts; it said: permission denied for table"):
            read(SecretStr(url.replace("postgres@", "stranger@")), "leadline", schema="closed")

        connection.exec_driver_sql("DROP OWNED BY stranger")
    engine.dispose()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "crm.duckdb"
    file.write_bytes(b"x" * 20_000)

    with pytest.raises(WarehouseError, match="must be readable"):
        open_database(SecretStr(f"duckdb:///{file}"), schema=None)


@pytest.mark.parametrize("tool", ["fivetran", "airbyte", "dlt", "leadline"])
def test_a_schema_without_the_tables_is_an_error_that_names_the_settings(tmp_path: Path, tool: str) -> None:
    schema = Schema()
    schema.add("something_else", {"id": "bigint"})

    _, findings = read(schema.to_duckdb(tmp_path / "crm.duckdb"), tool)

    errors = [finding.message for finding in findings if finding.severity == "error"]
    assert len(errors) == 1
    assert "correct source.schema, source.table_prefix or source.landing" in errors[0]


def plain_schema(folder: Path) -> Schema:
    """The tables of a folder as a database would hold them."""
    times = {"created_at", "occurred_at", "known_at", "entered_at", "expected_close_at"}
    numbers = {"amount", "position", "probability", "duration_seconds"}
    schema = Schema()
    for file in sorted(folder.glob("*.csv")):
        found = duckdb.read_csv(str(file), all_varchar=True)
        kinds = {
            name: "timestamptz" if name in times else "double precision" if name in numbers else "text"
            for name in found.columns
        }
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
        schema.add(
            file.stem,
            kinds,
            ({name: _number(row[name]) if name in numbers else row[name] for name in row} for row in rows),
        )
    return schema


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


@pytest.mark.parametrize("kind", ["duckdb", "postgresql"])
def test_a_schema_of_the_crm_tables_is_read_as_a_folder_of_them_is(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    folder = write_csv(tiny_tables(contacts=50, months=6), tmp_path / "tables")
    expected, _ = FolderSource(folder).read()
    schema = plain_schema(folder)
    if kind == "duckdb":
        address = schema.to_duckdb(tmp_path / "crm.duckdb", schema="plain", prefix="ll_")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        address = SecretStr(server.new_store())
        schema.to_postgres(address.get_secret_value(), schema="plain", prefix="ll_")

    tables, findings = read(address, "leadline", schema="plain", table_prefix="ll_")

    assert [finding for finding in findings if finding.severity != "info"] == []
    assert tables.absent == expected.absent
    assert tables.digest() == expected.digest()
    assert [one for one in check_tables(tables, as_of=None) if one.severity == "error"] == []


def test_a_time_without_a_zone_is_refused_where_nobody_says_which_zone_it_is(tmp_path: Path) -> None:
    schema = Schema()
    schema.add(
        "contacts",
        {"contact_id": "text", "created_at": "timestamp"},
        [{"contact_id": "c1", "created_at": "2026-01-01T00:00:00"}],
    )

    _, findings = read(schema.to_duckdb(tmp_path / "crm.duckdb"), "leadline")

    (error,) = [finding for finding in findings if finding.severity == "error"]
    assert (error.code, error.table, error.column) == ("naive-time", "contacts", "created_at")
    assert error.message.startswith("table contacts, column created_at")


def test_a_landing_must_be_named() -> None:
    with pytest.raises(ValidationError, match="landing"):
        WarehouseSettings.model_validate({"schema": "hubspot"})


def test_the_source_tells_no_address(tmp_path: Path) -> None:
    source = WarehouseSource(
        settings=WarehouseSettings(landing="fivetran"), address=SecretStr(f"postgresql://u:{PASSWORD}@h/d")
    )

    told: Mapping[str, Any] = source.__dict__
    assert PASSWORD not in repr(source) + repr(told)


def test_the_page_on_warehouses_names_every_setting() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "warehouses.md").read_text(encoding="utf-8")
    names = [field.alias or name for name, field in WarehouseSettings.model_fields.items()]

    assert [name for name in names if f"`{name}`" not in page] == []
