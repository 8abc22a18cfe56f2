"""HubSpot's labels of its own properties in the languages that exports come in, and names for all others."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from features.hubspot_properties import ObjectType
from features.sources.csv_export.mapping import Exported

OBJECT_TYPES: Final[Mapping[Exported, ObjectType]] = {"contacts": "contact", "companies": "company", "deals": "deal"}
_TABLE: Final = Path(__file__).resolve().parents[2] / "data" / "hubspot_labels.csv"
_SPACE: Final = re.compile(r"\s+")


def property_of(label: str, table: Exported) -> str | None:
    """Return HubSpot's own name of the property that has this label; None if it is none of those known.

    >>> property_of("Deal-Phase", "deals"), property_of("Etapa del negocio", "deals"), property_of("Favourite", "deals")
    ('dealstage', 'dealstage', None)
    """
    return _labels()[OBJECT_TYPES[table]].get(_plain(label))


def name_of(label: str) -> str:
    """Return a plain name for a property that has only a label.

    >>> name_of("Größe des Teams (2026)")
    'grosse_des_teams_2026'
    """
    decomposed = unicodedata.normalize("NFKD", label.replace("ß", "ss").casefold())
    letters = "".join(one for one in decomposed if not unicodedata.combining(one))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_") or "column"


@cache
def _labels() -> dict[ObjectType, dict[str, str]]:
    found: dict[ObjectType, dict[str, str]] = {one: {} for one in OBJECT_TYPES.values()}
    kinds = {str(one): one for one in OBJECT_TYPES.values()}
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            for language in ("en", "es", "de"):
                for label in row[language].split("|"):
                    found[kinds[row["object_type"]]].setdefault(_plain(label), row["property"])
    return found


def _plain(label: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFC", label)).strip().casefold()
