"""The published contract as JSON Schema: what a row of JSON or NDJSON may rely on."""

from __future__ import annotations

import json
from typing import Any, Final

from serving.contract import CONTRACT_VERSION, Column, contract_of
from serving.contract_columns import Kind
from serving.contract_json import PARTS

_TYPES: Final[dict[Kind, dict[str, Any]]] = {
    "text": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "probability": {"type": "number", "minimum": 0, "maximum": 1},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "bool": {"type": "boolean"},
    "json": {"type": "array", "items": {"$ref": "#/$defs/reason"}},
}
_POINT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["criterion", "group", "points", "words"],
    "properties": {
        "criterion": {"type": "string"},
        "group": {"type": "string"},
        "points": {"type": "number"},
        "words": {"type": "string"},
    },
}
_PART: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["part", "effect", "words", "families"],
    "properties": {
        "part": {"enum": list(PARTS)},
        "effect": {"type": "number", "description": "In probability; the parts add up to the difference."},
        "words": {"type": "string"},
        "families": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["family", "effect", "words"],
                "properties": {
                    "family": {"type": "string"},
                    "effect": {"type": "number"},
                    "words": {"type": "string"},
                },
            },
        },
    },
}
_SHAPES: Final[dict[str, dict[str, Any]]] = {
    "points_reasons": {"type": "array", "items": _POINT},
    "change": {
        "type": "object",
        "required": ["since", "difference", "words", "parts"],
        "properties": {
            "since": {"type": "string", "format": "date-time"},
            "difference": {"type": "number"},
            "words": {"type": "string"},
            "parts": {"type": "array", "items": _PART, "description": "Four, or none where it could not be split."},
        },
    },
}
_REASON: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["family", "effect", "words", "features"],
    "properties": {
        "family": {"type": "string"},
        "effect": {"type": "number", "description": "In probability: 0.031 is 3.1 percentage points."},
        "words": {"type": "string"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["feature", "value", "words", "effect"],
                "properties": {
                    "feature": {"type": "string"},
                    "value": {"type": ["string", "number", "boolean", "null"]},
                    "words": {"type": "string"},
                    "effect": {"type": "number"},
                },
            },
        },
    },
}


def contract_schema(question: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a whole row; a row in which a client chose columns has fewer."""
    contract = contract_of(question)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The score of a {contract.object_type}, contract {CONTRACT_VERSION}",
        "type": "object",
        "required": list(contract.names),
        "properties": {column.name: _property(column) for column in contract.columns},
        "$defs": {"reason": _REASON},
    }


def render(question: str) -> str:
    """Return the schema as the file in docs."""
    return json.dumps(contract_schema(question), indent=1) + "\n"


def _property(column: Column) -> dict[str, Any]:
    told = dict(_SHAPES.get(column.name, _TYPES[column.kind]))
    if column.choices:
        told["enum"] = [*column.choices, None] if column.nullable else list(column.choices)
    if column.nullable:
        told["type"] = [told["type"], "null"]
    return told | {"description": column.meaning}
