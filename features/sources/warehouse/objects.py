"""The objects in one table of a landing: their properties, links and stage dates, wherever these lie in its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from features.sources.warehouse.layouts import ObjectTable
from features.sources.warehouse.relations import Relation, loosely
from features.sources.warehouse.tables import Tables
from features.sources.warehouse.values import id_of, instant_of, is_set, plain_of, text_of

_ENTERED: Final = ("hs_v2_date_entered_", "hs_date_entered_")


@dataclass(frozen=True)
class LandedObject:
    """One object: its properties, what it is linked to, and when it entered which stage."""

    number: int
    created: str | None
    updated: str | None
    archived: str | None
    values: dict[str, str]
    linked: tuple[tuple[str, int], ...]
    entered: tuple[tuple[str, str], ...]


class ObjectReading:
    """Reads the objects of one table; ``lacking`` are the wanted properties that it has no column for.

    ``stages`` are those whose dates are looked for in columns of their own.
    """

    def __init__(
        self, tables: Tables, table: ObjectTable, relation: Relation, wanted: Sequence[str], *, stages: Sequence[str]
    ) -> None:
        self._tables, self._table, self._relation = tables, table, relation
        self._wanted = wanted
        self._properties = self._columns({name: (name, *table.others.get(name, ())) for name in wanted})
        self._stages = self._columns({stage: tuple(f"{start}{stage}" for start in _ENTERED) for stage in stages})
        document = relation.find(table.document) if table.document else None
        flat = any(
            loosely(name).startswith(loosely(table.prefixes[0])) for name in relation.columns if name != document
        )
        self._document = None if flat else document
        self.lacking = set() if self._document else set(wanted) - set(self._properties)

    def rows(self) -> Iterator[LandedObject]:
        """Yield the objects; rows without an id are none."""
        table, relation = self._table, self._relation
        key = relation.find(*table.key)
        lists = {kind: found for kind, names in table.lists.items() if (found := relation.find(*names)) is not None}
        flags = [found for name in table.deleted if (found := relation.find(name)) is not None]
        order = [found for name in table.order if (found := relation.find(name)) is not None]
        if key is None:
            return
        # What was deleted need not be read at all, but for deals: those that had closed before belong to the past.
        # Where several versions of an object may be there, the last one must be seen to know.
        unless = flags if table.kind != "deals" and not order else []
        parts = [self._properties, self._stages, lists]
        fixed = [key, relation.find(*table.created), relation.find(*table.updated), self._document]
        columns = [*fixed, *flags, *(column for part in parts for column in part.values())]
        for row in self._tables.rows(relation, *columns, unless=unless, order=order):
            number = id_of(row[0])
            if number is not None:
                told = iter(row[len(fixed) :])
                deleted = sum(is_set(value) for value in islice(told, len(flags))) > 0
                named = [dict(zip(part, islice(told, len(part)), strict=True)) for part in parts]
                yield self._object(number, row, *named, deleted=deleted)

    def _object(
        self,
        number: int,
        row: tuple[Any, ...],
        properties: Mapping[str, Any],
        stages: Mapping[str, Any],
        lists: Mapping[str, Any],
        *,
        deleted: bool,
    ) -> LandedObject:
        created, updated = instant_of(row[1]), instant_of(row[2])
        document = plain_of(row[3]) if self._document else None
        given = {name: document.get(name) for name in self._wanted} if document else properties
        linked = [(kind, id_of(one)) for kind, ids in lists.items() for one in plain_of(ids) or ()]
        return LandedObject(
            number=number,
            created=created,
            updated=updated,
            archived=(updated or created or "deleted") if deleted else None,
            values={name: text for name, value in given.items() if (text := text_of(value)) is not None},
            linked=tuple((kind, one) for kind, one in linked if one is not None),
            entered=tuple((stage, at) for stage, value in stages.items() if (at := instant_of(value)) is not None),
        )

    def _columns(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        """Return the column of each property that has one."""
        found = {}
        for name, spellings in wanted.items():
            prefixed = (f"{prefix}{one}" for one in spellings for prefix in self._table.prefixes)
            # A further name of a property has no prefix.
            column = self._relation.find(*prefixed, *spellings[1:])
            if column is not None:
                found[name] = column
        return found
