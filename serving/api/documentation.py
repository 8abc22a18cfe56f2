"""The OpenAPI document, and what the page /docs shows of it without a network and without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from serving.api.access import scopes_of
from serving.api.schemas import BatchHead, ProblemBody

_KINDS: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Say of every operation which scopes open it and that it may refuse, and drop the errors that it never gives."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemBody.model_json_schema()
    schemas["BatchHead"] = BatchHead.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    refusal = {
        "description": "A refusal",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for route in app.state.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        scopes = _scopes(route.dependant)
        for method in route.methods or ():
            operation = document["paths"][route.path][method.lower()]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refusal
            if scopes:
                operation["description"] = f"Needs a key with the scope {' or '.join(scopes)}."
            else:
                operation.pop("security", None)
    return document


def _scopes(dependant: Dependant) -> tuple[str, ...]:
    found = scopes_of(dependant.call)
    return found or next((scopes for one in dependant.dependencies if (scopes := _scopes(one))), ())


def shown_operations(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations by their tag, each with its parameters and an example, as the page shows them."""
    told: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = _body(document, operation)
            told.setdefault(operation["tags"][0], []).append(
                {
                    "anchor": operation["operationId"],
                    "method": method.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "needs": operation.get("description", "No key is needed."),
                    "parameters": [*_parameters(operation), *_properties(body)],
                    "example": _example(method.upper(), path, body, open_to_all="security" not in operation),
                }
            )
    return told


def _parameters(operation: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for one in operation.get("parameters", ()):
        yield {
            "name": one["name"],
            "place": one["in"],
            "what": one.get("description", ""),
            "values": _values(one["schema"]),
        }


def _properties(body: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, schema in body.get("properties", {}).items():
        yield {
            "name": name,
            "place": "body",
            "what": schema.get("description", ""),
            "values": _values(schema),
        }


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a body; of several, one whose properties are those of all."""
    if "requestBody" not in operation:
        return {}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    named = [one["$ref"].rsplit("/", 1)[1] for one in schema.get("oneOf", [schema])]
    schemas: list[dict[str, Any]] = [document["components"]["schemas"][name] for name in named]
    properties = {name: one for schema in reversed(schemas) for name, one in schema["properties"].items()}
    kinds = [schema["properties"]["object_type"] for schema in schemas]
    words = [word for kind in kinds for word in kind.get("enum", [kind.get("const")])]
    return schemas[0] | {"properties": {"object_type": {"enum": words}} | properties | {"object_type": {"enum": words}}}


def _values(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value may be."""
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    one = options[0]
    if one.get("type") == "array":
        return f"{_values(one['items'])}, several"
    if "enum" in one:
        return ", ".join(map(str, one["enum"]))
    words = "instant with a zone" if one.get("format") == "date-time" else _KINDS.get(one.get("type", ""), "text")
    if "minimum" in one and "maximum" in one:
        words += f", {one['minimum']:g} to {one['maximum']:g}"
    default = schema.get("default")
    return words if default in (None, []) else f"{words}; {default} by default"


def _example(method: str, path: str, body: Mapping[str, Any], *, open_to_all: bool) -> str:
    where = path.replace("{batch_id}", "latest").replace("{number}", "1").replace("{object_id}", "17")
    where = where.replace("{export_id}", "EXPORT").replace("{model_version}", "VERSION")
    words = ["curl"]
    if not open_to_all:
        words.append('-H "Authorization: Bearer $LEADLINE_KEY"')
    if method == "DELETE":
        words.append("-X DELETE")
    if body:
        words.append(f"--json '{json.dumps(body['examples'][0])}'")
    return " ".join([*words, f'"$LEADLINE_URL{where}"'])
