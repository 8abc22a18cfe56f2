"""What Fivetran, Airbyte and dlt would have left behind of a sandbox account, in PostgreSQL and DuckDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy
from pydantic import SecretStr

from features.findings import Finding
from features.sources.hubspot.instants import instant, iso
from features.sources.hubspot_sandbox.account import Account, Record
from features.sources.hubspot_sandbox.filling import fill
from features.sources.synthetic import SyntheticSettings, simulate
from features.sources.warehouse.settings import WarehouseSettings
from features.sources.warehouse.source import WarehouseSource
from features.tables import CrmTables
from tests.features.hubspot_accounts import VirtualClock

FIVETRAN: Final = Path(__file__).parent / "fivetran"
ONE: Final = {"contacts": "contact", "companies": "company", "deals": "deal"}
ENGAGEMENTS: Final = {"calls": "CALL", "emails": "EMAIL", "meetings": "MEETING", "tasks": "TASK", "notes": "NOTE"}
FORMS: Final = "hs_calculated_form_submissions"
_TYPES: Final = {
    "timestamp": "timestamp",
    "boolean": "boolean",
    "int": "bigint",
    "bigint": "bigint",
    "float": "double precision",
}
_TIMES: Final = ("createdate", "closedate", "hs_createdate", "hs_timestamp", "hs_task_completion_date")

Rows = list[dict[str, Any]]


@dataclass
class Schema:
    """Tables with the types of their columns, and their rows."""

    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)

    def add(self, name: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.columns.setdefault(name, {}).update(columns)
        self.rows.setdefault(name, []).extend(dict(row) for row in rows)

    def without(self, *names: str) -> Schema:
        """The same schema before somebody chose to load these tables."""
        kept = {name for name in self.columns if name not in names}
        return Schema({name: self.columns[name] for name in kept}, {name: self.rows[name] for name in kept})

    def to_duckdb(self, file: Path, *, schema: str = "main", prefix: str = "") -> SecretStr:
        """Write all tables into a DuckDB file and return the URL that leads to it."""
        with duckdb.connect() as connection:
            # The schema may have the file's name.
            connection.execute(f"ATTACH '{file}' AS made")
            connection.execute("USE made")
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for table, columns, rows in self._tables(schema, prefix):
                connection.execute(f"CREATE TABLE {table} ({columns})")
                if rows:
                    # One by one would take seconds.
                    batch = pa.table(
                        {f"c{place}": pa.array(part) for place, part in enumerate(zip(*rows, strict=True))}
                    )
                    connection.register("batch", batch)
                    connection.execute(f"INSERT INTO {table} SELECT * FROM batch")
        return SecretStr(f"duckdb:///{file}")

    def to_postgres(self, url: str, *, schema: str, prefix: str = "") -> None:
        """Write all tables into a schema of a PostgreSQL."""
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            cursor: Any = connection.connection.cursor()
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for table, columns, rows in self._tables(schema, prefix):
                cursor.execute(f"CREATE TABLE {table} ({columns})")
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
        engine.dispose()

    def _tables(self, schema: str, prefix: str) -> Iterator[tuple[str, str, list[list[Any]]]]:
        """Yield the name, the columns and the rows of each table, the rows in the types of the columns."""
        for name, columns in self.columns.items():
            typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            rows = [[_fitting(row.get(column), kind) for column, kind in columns.items()] for row in self.rows[name]]
            yield f'{schema}."{prefix}{name}"', typed, rows


def _fitting(value: Any, kind: str) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, str) and kind.startswith("timestamp"):
        moment = instant(value)
        return moment if kind == "timestamptz" else moment.replace(tzinfo=None)
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return int(value) if kind == "bigint" else value


def fivetran_columns() -> dict[str, dict[str, str]]:
    """The columns of Fivetran's tables with types that PostgreSQL and DuckDB have."""
    told = json.loads((FIVETRAN / "columns.json").read_text(encoding="utf-8"))["tables"]
    return {
        table: {name: _TYPES.get(kind, "text") for name, kind in columns.items()} for table, columns in told.items()
    }


def property_type(name: str) -> str:
    return "timestamp" if name in _TIMES else "double precision" if name == "amount" else "text"


def as_fivetran(account: Account) -> Schema:
    """The account as Fivetran lands it, with all of its columns and those of the account's own properties."""
    schema = Schema()
    for name, columns in fivetran_columns().items():
        schema.add(name, columns)
    renamed = {"pipeline": "deal_pipeline_id", "dealstage": "deal_pipeline_stage_id", "hubspot_owner_id": "owner_id"}
    for kind, one in ONE.items():
        names = {name: f"property_{name}" for name in account.properties[kind] if name != FORMS}
        if kind == "deals":
            names |= renamed
        key = "deal_id" if kind == "deals" else "id"
        types = {column: property_type(name) for name, column in names.items() if column not in renamed.values()}
        schema.add(one, types, ({key: record.id, **_landed(record, names)} for record in _all(account, kind)))
        schema.add(
            f"{one}_property_history",
            {},
            (
                {f"{one}_id": number, "name": name, "value": value, "timestamp": at, "source": source}
                for number, name, value, at, source in _history(account, kind)
            ),
        )
    schema.add(
        "deal_stage",
        {},
        (
            {"deal_id": number, "value": value, "date_entered": at, "source": source, "_fivetran_active": True}
            for number, name, value, at, source in _history(account, "deals")
            if name == "dealstage"
        ),
    )
    for kind, word in ENGAGEMENTS.items():
        table = f"engagement_{kind[:-1]}"
        names = {name: f"property_{name}" for name in account.properties[kind]}
        types = {column: property_type(name) for name, column in names.items()}
        rows = [{"engagement_id": record.id, "type": word, **_landed(record, names)} for record in _all(account, kind)]
        schema.add(table, types, rows)
        schema.add("engagement", {}, ({"id": row["engagement_id"], "type": word} for row in rows))
        for to in ("contacts", "deals"):
            links = ({"engagement_id": one, f"{ONE[to]}_id": other} for one, other, _ in _links(account, kind, to))
            schema.add(f"engagement_{ONE[to]}", {}, links)
    for to, number in (("contacts", 3), ("companies", 341)):
        links = (
            {"deal_id": one, f"{ONE[to]}_id": other, "type_id": 5 if first and to == "companies" else number}
            for one, other, first in _links(account, "deals", to)
        )
        schema.add(f"deal_{ONE[to]}", {}, links)
    _add_fivetran_definitions(schema, account)
    schema.columns["contact_form_submission"]["form_id"] = schema.columns["form"]["guid"] = "text"
    schema.add(
        "contact_form_submission",
        {},
        ({"contact_id": number, "form_id": form, "timestamp": at} for number, form, at in _submissions(account)),
    )
    events = (
        {**event, "created": iso(_moment(event)), "filtered_event": event.get("filteredEvent")}
        for event in account.email_events
    )
    schema.add("email_event", {}, events)
    return schema


def _add_fivetran_definitions(schema: Schema, account: Account) -> None:
    for pipeline in account.pipelines:
        schema.add("deal_pipeline", {}, [{"pipeline_id": pipeline["id"], "label": pipeline["label"]}])
        schema.add(
            "deal_pipeline_stage",
            {},
            (
                {
                    "pipeline_id": pipeline["id"],
                    "stage_id": stage["id"],
                    "label": stage["label"],
                    "display_order": stage["displayOrder"],
                    "probability": float(stage["metadata"]["probability"]),
                    "is_closed": stage["metadata"]["isClosed"] == "true",
                }
                for stage in pipeline["stages"]
            ),
        )
    teams = sorted({team["name"] for owner in account.owners for team in owner["teams"]})
    schema.add("team", {}, ({"id": place, "name": name} for place, name in enumerate(teams)))
    for owner in account.owners:
        names = {"first_name": owner.get("firstName"), "last_name": owner.get("lastName")}
        schema.add("owner", {}, [{"owner_id": owner["id"], "email": owner.get("email"), **names}])
        memberships = (
            {"owner_id": owner["id"], "team_id": teams.index(team["name"]), "is_team_primary": team["primary"]}
            for team in owner["teams"]
        )
        schema.add("owner_team", {}, memberships)
    schema.add("form", {}, ({"guid": form["id"], "name": form["name"]} for form in account.forms))


def as_airbyte(account: Account) -> Schema:
    """The account as Airbyte lands it in typed tables."""
    schema = Schema()
    common = {"_airbyte_raw_id": "text", "_airbyte_extracted_at": "timestamptz"}
    stamped = {"_airbyte_extracted_at": iso(account.now())}
    for kind in (*ONE, *ENGAGEMENTS):
        linked = {"deals": ("contacts", "companies")}.get(kind, ("contacts", "deals") if kind in ENGAGEMENTS else ())
        names = {name: f"properties_{name}" for name in account.properties[kind] if name != FORMS}
        types = {column: property_type(name).replace("timestamp", "timestamptz") for name, column in names.items()}
        columns = {"id": "text", "createdAt": "timestamptz", "updatedAt": "timestamptz", "archived": "boolean"}
        schema.add(
            kind if kind in ONE else f"engagements_{kind}",
            common | columns | {"properties": "json"} | types | dict.fromkeys(linked, "json"),
            (
                {
                    "id": str(record.id),
                    "createdAt": iso(record.created_at),
                    "updatedAt": iso(record.updated_at),
                    "archived": record.archived_at is not None,
                    "properties": {},
                    **{to: [str(other) for other in account.linked(kind, record.id, to)] for to in linked},
                    **stamped,
                    **_landed(record, names),
                }
                for record in _all(account, kind)
            ),
        )
        if kind in ONE:
            schema.add(
                f"{kind}_property_history",
                common
                | {
                    f"{ONE[kind]}Id": "text",
                    "property": "text",
                    "value": "text",
                    "timestamp": "timestamptz",
                    "sourceType": "text",
                },
                (
                    {
                        f"{ONE[kind]}Id": str(number),
                        "property": name,
                        "value": value,
                        "timestamp": at,
                        "sourceType": source,
                    }
                    for number, name, value, at, source in _history(account, kind)
                ),
            )
    _add_airbyte_rest(schema, account, common)
    return schema


def _add_airbyte_rest(schema: Schema, account: Account, common: Mapping[str, str]) -> None:
    schema.add(
        "deal_pipelines",
        {**common, "pipelineId": "text", "label": "text", "displayOrder": "bigint", "stages": "json"},
        (
            {
                "pipelineId": pipeline["id"],
                "label": pipeline["label"],
                "stages": [{**stage, "stageId": stage["id"]} for stage in pipeline["stages"]],
            }
            for pipeline in account.pipelines
        ),
    )
    owners = {"id": "text", "firstName": "text", "lastName": "text", "teams": "json", "email": "text"}
    schema.add("owners", {**common, **owners}, account.owners)
    schema.add("forms", {**common, "id": "text", "name": "text"}, account.forms)
    schema.add(
        "contacts_form_submissions",
        # In milliseconds, as HubSpot's older endpoints tell them.
        {**common, "canonical-vid": "bigint", "form-id": "text", "timestamp": "bigint"},
        (
            {"canonical-vid": number, "form-id": form, "timestamp": int(instant(at).timestamp() * 1000)}
            for number, form, at in _submissions(account)
        ),
    )
    events = {"id": "text", "created": "bigint", "type": "text", "recipient": "text", "filteredEvent": "boolean"}
    schema.add("email_events", {**common, **events}, account.email_events)


def as_dlt(account: Account) -> Schema:
    """The account as dlt lands it: properties under their own names, links in tables below."""
    schema = Schema()
    common = {"_dlt_id": "text", "_dlt_load_id": "text"}
    below = {"_dlt_id": "text", "_dlt_parent_id": "text", "_dlt_list_idx": "bigint"}
    for kind in ONE:
        types = {name: property_type(name).replace("timestamp", "timestamptz") for name in account.properties[kind]}
        schema.add(
            kind,
            common | {"id": "text"} | types,
            (
                {"id": str(record.id), **_landed(record, {name: name for name in types})}
                for record in _all(account, kind)
            ),
        )
        schema.add(
            f"{kind}_property_history",
            common
            | {
                "object_id": "text",
                "property_name": "text",
                "value": "text",
                "timestamp": "timestamptz",
                "source_type": "text",
            },
            (
                {
                    "object_id": str(number),
                    "property_name": name,
                    "value": value,
                    "timestamp": at,
                    "source_type": source,
                }
                for number, name, value, at, source in _history(account, kind)
            ),
        )
    for kind, to in (("contacts", "deals"), ("companies", "deals"), ("companies", "contacts")):
        links = ({"value": str(one), f"{to}_id": str(other)} for one, other, _ in _links(account, kind, to))
        schema.add(f"{kind}__{to}", below | {"value": "text", f"{to}_id": "text"}, links)
    schema.add(
        "pipelines_deals",
        common | {"id": "text", "label": "text", "display_order": "bigint"},
        ({"id": one["id"], "label": one["label"], "_dlt_id": f"p{one['id']}"} for one in account.pipelines),
    )
    schema.add(
        "pipelines_deals__stages",
        below
        | {
            "id": "text",
            "label": "text",
            "display_order": "bigint",
            "metadata__is_closed": "text",
            "metadata__probability": "text",
        },
        (
            {
                "_dlt_parent_id": f"p{pipeline['id']}",
                "id": stage["id"],
                "label": stage["label"],
                "display_order": stage["displayOrder"],
                "metadata__is_closed": stage["metadata"]["isClosed"],
                "metadata__probability": stage["metadata"]["probability"],
            }
            for pipeline in account.pipelines
            for stage in pipeline["stages"]
        ),
    )
    schema.add(
        "owners",
        common | {"id": "text", "first_name": "text", "last_name": "text"},
        (
            {
                "id": owner["id"],
                "first_name": owner.get("firstName"),
                "last_name": owner.get("lastName"),
                "_dlt_id": f"o{owner['id']}",
            }
            for owner in account.owners
        ),
    )
    schema.add(
        "owners__teams",
        below | {"id": "text", "name": "text", "primary": "boolean"},
        ({**team, "_dlt_parent_id": f"o{owner['id']}"} for owner in account.owners for team in owner["teams"]),
    )
    return schema


def _all(account: Account, kind: str) -> list[Record]:
    return list(account.alive(kind))


def _landed(record: Record, names: Mapping[str, str]) -> dict[str, Any]:
    return {column: record.values.get(name) for name, column in names.items()}


def _history(account: Account, kind: str) -> Iterable[tuple[int, str, str, str, str]]:
    for record in account.alive(kind):
        for name, entries in record.history.items():
            for entry in entries:
                yield record.id, name, entry.value, iso(entry.at), entry.source_type


def _links(account: Account, kind: str, to: str) -> Iterable[tuple[int, int, bool]]:
    for record in account.alive(kind):
        for other, first in account.linked(kind, record.id, to).items():
            yield record.id, other, first


def _submissions(account: Account) -> Iterable[tuple[int, str, str]]:
    for record in account.alive("contacts"):
        for part in filter(None, (record.values.get(FORMS) or "").split(";")):
            form, _, moment = part.rpartition(":")
            yield record.id, form.partition(":")[0], iso(datetime.fromtimestamp(int(moment) / 1000, tz=UTC))


def _moment(event: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(event["created"] / 1000, tz=UTC)


PROPERTIES: Final[Mapping[str, Any]] = {
    "contact_properties": ("job_level", "hs_lead_status", "country"),
    "company_properties": ("industry", "country"),
    "deal_properties": (),
    "form_types": {"00000000-0000-4000-8000-000000000000": "demo_request"},
}
AS_LANDED: Final[Mapping[str, Callable[[Account], Schema]]] = {
    "fivetran": as_fivetran,
    "airbyte": as_airbyte,
    "dlt": as_dlt,
}


def invented_account() -> Account:
    """A small company as HubSpot would have it at the end of its history."""
    settings = SyntheticSettings(contacts=60, months=8)
    made = Account(now=VirtualClock(settings.end).now)
    fill(made, simulate(settings).tables)
    return made


def read(address: SecretStr, tool: str, **settings: Any) -> tuple[CrmTables, list[Finding]]:
    configured = WarehouseSettings(landing=tool, **{**PROPERTIES, **settings})
    return WarehouseSource(settings=configured, address=address).read()
