"""The same account through every door gives the same tables; what a landing lacks is told."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy
from pydantic import SecretStr

from features.sources.hubspot.landing import Landing
from features.sources.hubspot.source import landing_file
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.server import serving
from features.sources.warehouse.database import open_database
from features.sources.warehouse.filling import fill as fill_landing
from features.sources.warehouse.fivetran import FIVETRAN as FIVETRAN_LAYOUT
from features.sources.warehouse.settings import WarehouseSettings
from features.tables import TABLE_NAMES, CrmTables
from tests.features.hubspot_accounts import TOKEN, Reading, VirtualClock
from tests.features.landings import (
    AS_LANDED,
    FIVETRAN,
    PROPERTIES,
    Schema,
    as_fivetran,
    fivetran_columns,
    invented_account,
    read,
)
from tests.serving.conftest import PostgresServer, postgres

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def account() -> Account:
    return invented_account()


@pytest.fixture(scope="module")
def through_the_api(account: Account, tmp_path_factory: pytest.TempPathFactory) -> CrmTables:
    clock = VirtualClock(account.now())
    clock.advance(days=1)
    with serving(Api(account, token=TOKEN)) as url:
        home = Reading(
            url, clock, landing_file(tmp_path_factory.mktemp("api")), PROPERTIES | {"email_events_days": 3650}
        )
        home.sync()
        return home.tables()


def rows(tables: CrmTables, table: str, *, without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    frame = tables[table].drop(columns=list(without), errors="ignore")
    frame = frame[sorted(frame.columns)]
    return sorted(frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None), key=repr)


@pytest.mark.parametrize("tool", AS_LANDED)
def test_a_landing_gives_the_tables_that_the_api_gives(
    account: Account, through_the_api: CrmTables, tmp_path: Path, tool: str
) -> None:
    address = AS_LANDED[tool](account).to_duckdb(tmp_path / "landing.duckdb")

    tables, findings = read(address, tool)

    assert [one for one in findings if one.severity == "error"] == []
    for table in TABLE_NAMES:
        if table != "activities":
            assert rows(tables, table) == rows(through_the_api, table), table
    # dlt loads neither engagements nor the names of forms.
    forms = ("demo_request", "form_submission") if tool == "dlt" else ()
    left_out = ("name",) if tool == "dlt" else ()
    assert behaviour(tables, without=left_out) == behaviour(through_the_api, only=forms, without=left_out)
    assert len(behaviour(tables)) > 20


def behaviour(tables: CrmTables, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """Who did what when; without the outcomes, whose time no landing tells."""
    frame = tables["activities"]
    kept = frame["type"].isin(only) if only else ~frame["type"].str.endswith("_outcome")
    plain = CrmTables(frames={"activities": frame.loc[kept]})
    return rows(plain, "activities", without=("activity_id", "outcome", *without))


@pytest.mark.parametrize("tool", AS_LANDED)
def test_postgresql_gives_what_duckdb_gives_to_a_user_that_may_only_read(
    account: Account, tmp_path: Path, postgres: PostgresServer, tool: str
) -> None:
    landed = AS_LANDED[tool](account)
    expected, _ = read(landed.to_duckdb(tmp_path / "landing.duckdb"), tool)
    url, schema = postgres.new_store(), f"hubspot_{tool}"
    landed.to_postgres(url, schema=schema, prefix="crm_")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in (
            "DROP ROLE IF EXISTS reader",
            "CREATE ROLE reader LOGIN",
            f"GRANT USAGE ON SCHEMA {schema} TO reader",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader",
        ):
            connection.exec_driver_sql(statement)
        reader = SecretStr(url.replace("postgres@", "reader@"))

        tables, _ = read(reader, tool, schema=schema, table_prefix="crm_")

        connection.exec_driver_sql("DROP OWNED BY reader")
    engine.dispose()
    assert tables.digest() == expected.digest()


@pytest.fixture
def landed(account: Account) -> Schema:
    return as_fivetran(account)


def told(address: SecretStr, tool: str = "fivetran", **settings: Any) -> dict[str, list[str]]:
    """What is said of each table by severity, but for info."""
    findings = read(address, tool, **settings)[1]
    return {
        severity: [one.message for one in findings if one.severity == severity] for severity in ("error", "warning")
    }


def test_a_landing_without_history_says_that_properties_must_be_vouched_for(landed: Schema, tmp_path: Path) -> None:
    histories = ("contact_property_history", "company_property_history", "deal_property_history")
    address = landed.without(*histories).to_duckdb(tmp_path / "landing.duckdb")

    tables, findings = read(address, "fivetran")

    assert not tables.has("property_history")
    assert tables["contacts"]["country"].notna().any()
    said = [one.message for one in findings if one.severity == "warning"]
    assert [kind for kind in ("contacts", "companies", "deals") if f"properties.{kind}.safe" in " ".join(said)] == [
        "contacts",
        "companies",
        "deals",
    ]
    # The stages have a table of their own, so deals can still be labelled.
    assert len(tables["deal_stage_history"]) > 10


def test_a_landing_without_engagements_says_what_that_costs(landed: Schema, tmp_path: Path) -> None:
    names = ("engagement_call", "engagement_email", "engagement_meeting", "engagement_note", "engagement_task")
    address = landed.without(*names).to_duckdb(tmp_path / "landing.duckdb")

    assert [words for words in told(address)["warning"] if "what sellers and contacts said to each other" in words]


def test_without_stage_dates_or_stages_deals_are_refused_with_what_to_load(landed: Schema, tmp_path: Path) -> None:
    undated = landed.without("deal_stage", "deal_property_history").to_duckdb(tmp_path / "undated.duckdb")
    unknown = landed.without("deal_pipeline_stage").to_duckdb(tmp_path / "unknown.duckdb")

    assert [words for words in told(undated)["error"] if "deal_stage or deal_property_history" in words]
    assert [words for words in told(unknown)["error"] if "deal_pipeline_stage must be there" in words]


def test_stage_dates_are_read_from_columns_where_there_is_no_history(
    landed: Schema, account: Account, tmp_path: Path
) -> None:
    bare = landed.without("deal_stage", "deal_property_history")
    deal = next(account.alive("deals"))
    bare.add("deal", {"property_hs_v_2_date_entered_demo": "timestamp", "property_hs_date_entered_won": "timestamp"})
    bare.add("deal_pipeline", {}, [{"pipeline_id": "own", "label": "Own"}])
    for place, (stage, probability) in enumerate((("demo", 0.2), ("won", 1.0))):
        row = {"pipeline_id": "own", "stage_id": stage, "probability": probability, "is_closed": stage == "won"}
        bare.add("deal_pipeline_stage", {}, [{**row, "label": stage, "display_order": place}])
    bare.rows["deal"] = [
        {
            "deal_id": deal.id,
            "deal_pipeline_id": "own",
            "property_createdate": "2026-01-01T00:00:00Z",
            "property_hs_v_2_date_entered_demo": "2026-01-02T00:00:00Z",
            "property_hs_date_entered_won": "2026-01-03T00:00:00Z",
        }
    ]

    tables, findings = read(bare.to_duckdb(tmp_path / "landing.duckdb"), "fivetran")

    history = tables["deal_stage_history"].sort_values("entered_at")
    assert history["stage"].tolist() == ["demo", "won"]
    assert history["entered_at"].tolist() == [
        pd.Timestamp("2026-01-02", tz="UTC"),
        pd.Timestamp("2026-01-03", tz="UTC"),
    ]
    assert [one.table for one in findings if "only the latest entry into each stage" in one.message] == [
        "deal_stage_history"
    ]


def test_merged_and_deleted_objects_are_what_they_are_through_the_api(tmp_path: Path) -> None:
    schema = Schema()
    for name, columns in fivetran_columns().items():
        schema.add(name, columns)
    at = "2026-01-01T00:00:00Z"
    schema.add(
        "contact",
        {},
        [
            {"id": 1, "property_createdate": at, "_fivetran_deleted": True},
            {"id": 2, "property_createdate": at},
            {"id": 3, "property_createdate": at, "_fivetran_deleted": True},
        ],
    )
    schema.add("contact_merge_audit", {}, [{"canonical_vid": 2, "vid_to_merge": 1}])
    schema.add("deal_pipeline", {}, [{"pipeline_id": "p", "label": "P"}])
    for stage, probability, closed in (("77", 1.0, True), ("closedwon", 0.9, False)):
        row = {"pipeline_id": "p", "stage_id": stage, "label": stage, "probability": probability, "is_closed": closed}
        schema.add("deal_pipeline_stage", {}, [row])
    for deal, stage in ((10, "77"), (11, "closedwon")):
        row = {"deal_id": deal, "deal_pipeline_id": "p", "deal_pipeline_stage_id": stage, "property_createdate": at}
        schema.add("deal", {}, [row | {"_fivetran_deleted": True}])
        schema.add("deal_stage", {}, [{"deal_id": deal, "value": stage, "date_entered": at}])
        schema.add("deal_contact", {}, [{"deal_id": deal, "contact_id": 1}])
    call = {"engagement_id": 20, "property_hs_timestamp": at, "property_hs_createdate": "2026-01-05T00:00:00Z"}
    schema.add("engagement_call", {}, [call])
    schema.add(
        "engagement_contact", {}, [{"engagement_id": 20, "contact_id": 1}, {"engagement_id": 20, "contact_id": 3}]
    )

    tables, _ = read(schema.to_duckdb(tmp_path / "landing.duckdb"), "fivetran")

    assert tables["contacts"]["contact_id"].tolist() == ["2"]
    # What was won before it was deleted is part of the past; what was open may have been a mistake.
    assert rows(tables, "deal_contacts") == [("2", "10", None)]
    assert dict(tables["stages"][["stage", "outcome"]].itertuples(index=False)) == {"77": "won", "closedwon": "open"}
    only = tables["activities"].iloc[0]
    assert (only["contact_id"], only["type"]) == ("2", "call")
    assert (only["occurred_at"], only["known_at"]) == (pd.Timestamp(at), pd.Timestamp("2026-01-05T00:00:00Z"))
    assert len(tables["activities"]) == 1


def test_airbyte_may_keep_all_versions_of_an_object_and_its_properties_in_one_document(tmp_path: Path) -> None:
    schema = Schema()
    columns = {"id": "text", "updatedAt": "timestamptz", "archived": "boolean", "properties": "json"}
    versions = [
        {"id": "1", "updatedAt": f"2026-01-0{day}T00:00:00Z", "archived": False, "properties": {"country": country}}
        for day, country in ((1, "DE"), (3, "FR"), (2, "ES"))
    ]
    for version in versions:
        version["properties"] |= {"createdate": "2026-01-01T00:00:00Z"}
    schema.add("contacts", columns, versions)
    schema.add("contacts_archived", columns, [{**versions[0], "archived": True}])

    tables, _ = read(schema.to_duckdb(tmp_path / "landing.duckdb"), "airbyte")

    assert rows(CrmTables({"contacts": tables["contacts"][["contact_id", "country"]]}), "contacts") == [("1", "FR")]


@pytest.mark.parametrize(
    ("kind", "variant"),
    [("duckdb", ""), ("duckdb", "_snowflake"), ("duckdb", "_databricks"), ("postgresql", "_postgres")],
)
def test_fivetrans_own_seeds_are_read_in_every_variant(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, variant: str
) -> None:
    schema = seeds(variant)
    if kind == "duckdb":
        address, within = schema.to_duckdb(tmp_path / "seeds.duckdb"), "main"
    else:
        url = request.getfixturevalue("postgres").new_store()
        within = f"seeds{variant}"
        schema.to_postgres(url, schema=within)
        address = SecretStr(url)

    odd = "hs_all-funky-a833" if variant == "_snowflake" else "hs_all-funky-a9384-syntax"
    known = {row["name"] for row in schema.rows["contact_property_history"]}
    settings = WarehouseSettings(landing="fivetran", contact_properties=tuple(known), company_properties=(odd,))
    with closing(open_database(address, schema=within)) as database, closing(Landing(None)) as landing:
        filled = fill_landing(landing, database, FIVETRAN_LAYOUT, settings, prefix="")
        records = dict(landing.rows("SELECT kind, count(*) FROM records GROUP BY kind"))
        past = dict(landing.rows("SELECT kind, count(*) FROM history GROUP BY kind"))
        events = next(landing.rows("SELECT count(*) FROM events"))[0]
        merges = set(landing.rows("SELECT loser, winner FROM merges"))
        odd_values = [row[0] for row in landing.rows("SELECT properties FROM records WHERE kind = 'companies'")]

    there = schema.rows
    assert records == {
        "contacts": len({row["id"] for row in there["contact"] if not row["_fivetran_deleted"]}),
        "companies": len({row["id"] for row in there["company"]}),
        "deals": len({row["deal_id"] for row in there["deal"]}),
        **{kind: len(there[f"engagement_{kind[:-1]}"]) for kind in ("calls", "emails", "notes", "tasks", "meetings")},
    }
    keys = {(row["contact_id"], row["name"], row["timestamp"]) for row in there["contact_property_history"]}
    assert past == {"contacts": len(keys), "deals": len(there["deal_stage"])}
    assert ("11111", "5555") in {(str(loser), str(winner)) for loser, winner in merges}
    assert ("76340251", "78971951") in {(str(loser), str(winner)) for loser, winner in merges}
    assert events == sum(
        row["type"] in ("OPEN", "CLICK", "BOUNCE", "SPAMREPORT", "STATUSCHANGE") and not row["filtered_event"]
        for row in there["email_event"]
    )
    assert any("funky" in text for text in odd_values)
    assert filled.unusable == ()


def seeds(variant: str) -> Schema:
    """Fivetran's seeds, with the types that its columns have."""
    schema, types = Schema(), fivetran_columns()
    for file in sorted(FIVETRAN.glob("*_data.csv")):
        name = file.stem.removesuffix("_data")
        own = file.with_name(f"{file.stem}{variant}.csv")
        with (own if own.exists() else file).open(encoding="utf-8", newline="") as lines:
            found = [{key.strip('`"'): value for key, value in row.items()} for row in csv.DictReader(lines)]
        columns = dict.fromkeys(found[0] if found else types[name], "text") | {
            column: kind for column, kind in types[name].items() if found and column in found[0] and kind != "bigint"
        }
        schema.add(name, columns, ({key: tidy(value, columns[key]) for key, value in row.items()} for row in found))
    return schema


def tidy(value: str, kind: str) -> Any:
    """A seed's value in the type of its column."""
    if not value:
        return None
    if kind == "timestamp":
        day, _, clock = value.removesuffix(" UTC").replace("T", " ").partition(" ")
        return f"{day} {clock.zfill(8) if ':' in clock[:3] else clock}".strip()
    return value.lower() == "true" if kind == "boolean" else float(value) if kind == "double precision" else value
