"""Pipelines, owners and forms of a landing, in the words of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from features.sources.warehouse.layouts import DefinitionTables
from features.sources.warehouse.values import is_set, plain_of, text_of

if TYPE_CHECKING:
    from features.sources.warehouse.relations import Relation
    from features.sources.warehouse.tables import Tables

Rows = list[dict[str, Any]]


def read_definitions(tables: Tables, layout: DefinitionTables) -> dict[str, Rows]:
    """Return ``pipelines``, ``owners`` and ``forms``, each only if its tables are there."""
    found = {
        "pipelines": _pipelines(tables, layout),
        "owners": _owners(tables, layout),
        "forms": _forms(tables, layout),
    }
    return {name: rows for name, rows in found.items() if rows is not None}


def _pipelines(tables: Tables, layout: DefinitionTables) -> Rows | None:
    relations = tables.all(layout.pipelines)
    below = tables.all(layout.stages or ())
    if not relations or (layout.stages and not below):
        return None
    children = _stages_by_parent(tables, layout, below[0]) if below else {}
    found = []
    for relation in relations:
        columns = {
            "id": relation.find(*layout.pipeline_key),
            "label": relation.find("label"),
            "displayOrder": relation.find("display_order"),
            "parent": relation.find(*(layout.stage_parent[1] or layout.pipeline_key)),
            "stages": relation.find(*layout.stage_list),
        }
        for row in _named(tables, relation, columns):
            within = children.get(str(row["parent"]), []) if below else plain_of(row["stages"]) or []
            found.append(
                {
                    "id": str(row["id"]),
                    "label": row["label"] or str(row["id"]),
                    "displayOrder": row["displayOrder"],
                    "stages": [_stage(one, layout) for one in within],
                }
            )
    return found


def _stages_by_parent(tables: Tables, layout: DefinitionTables, relation: Relation) -> dict[str, Rows]:
    columns = {
        "id": relation.find(*layout.stage_key),
        "label": relation.find("label"),
        "displayOrder": relation.find("display_order"),
        "probability": relation.find("probability", "metadata__probability"),
        "isClosed": relation.find("is_closed", "metadata__is_closed"),
        "parent": relation.find(*layout.stage_parent[0]),
    }
    found: dict[str, Rows] = {}
    for row in _named(tables, relation, columns):
        found.setdefault(str(row["parent"]), []).append(row)
    return found


def _stage(row: Mapping[str, Any], layout: DefinitionTables) -> dict[str, Any]:
    given = plain_of(row.get("metadata")) or row
    number = next((text for name in (*layout.stage_key, "id") if (text := text_of(row.get(name)))), "")
    metadata = {"probability": text_of(given.get("probability"))}
    if given.get("isClosed") is not None:
        metadata["isClosed"] = "true" if is_set(given["isClosed"]) else "false"
    return {
        "id": number,
        "label": row.get("label") or number,
        "displayOrder": row.get("displayOrder") or 0,
        "metadata": metadata,
    }


def _owners(tables: Tables, layout: DefinitionTables) -> Rows | None:
    relations = tables.all(layout.owners)
    if not relations:
        return None
    found = []
    for relation in relations:
        columns = {
            "id": relation.find(*layout.owner_key),
            "firstName": relation.find("first_name"),
            "lastName": relation.find("last_name"),
            "teams": relation.find("teams"),
            "parent": relation.find("_dlt_id", *layout.owner_key),
        }
        teams = _teams(tables, layout)
        for row in _named(tables, relation, columns):
            listed = plain_of(row["teams"]) if layout.teams == "json" else teams.get(str(row["parent"]))
            found.append({**row, "id": text_of(row["id"]) or "", "teams": listed or []})
    return found


def _teams(tables: Tables, layout: DefinitionTables) -> dict[str, Rows]:
    """Return the teams of each owner, where they lie in tables of their own."""
    if layout.teams == "rows":
        wanted = {"parent": ("_dlt_parent_id",), "name": ("name",), "primary": ("primary",)}
        relations, names = tables.all(["owners__teams"]), {}
    elif layout.teams == "membership":
        wanted = {"parent": ("owner_id",), "team": ("team_id",), "primary": ("is_team_primary",)}
        relations = tables.all(["owner_team"])
        names = {
            str(row["id"]): row["name"]
            for relation in tables.all(["team"])
            for row in _named(tables, relation, {"id": relation.find("id"), "name": relation.find("name")})
        }
    else:
        return {}
    found: dict[str, Rows] = {}
    for relation in relations:
        for row in _named(tables, relation, {name: relation.find(*columns) for name, columns in wanted.items()}):
            name = row.get("name") or names.get(str(row.get("team")))
            found.setdefault(str(row["parent"]), []).append({"name": name, "primary": is_set(row["primary"])})
    return {owner: sorted(teams, key=lambda team: str(team["name"])) for owner, teams in found.items()}


def _forms(tables: Tables, layout: DefinitionTables) -> Rows | None:
    relations = tables.all(layout.forms)
    if not relations:
        return None
    return [
        {"id": text_of(row["id"]) or "", "name": row["name"]}
        for relation in relations
        for row in _named(tables, relation, {"id": relation.find(*layout.form_key), "name": relation.find("name")})
    ]


def _named(tables: Tables, relation: Relation, columns: Mapping[str, str | None]) -> Rows:
    return [dict(zip(columns, row, strict=True)) for row in tables.rows(relation, *columns.values())]
