"""The tables of a schema, looked up by name and read by column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from features.sources.warehouse.database import Database
from features.sources.warehouse.relations import Relation, Wanted


@dataclass
class Tables:
    """The tables of a schema, looked up by name; ``there`` are those that were looked for and found."""

    database: Database
    prefix: str
    there: set[str] = field(default_factory=set)
    _names: Mapping[str, str] = field(init=False)
    _found: dict[str, Relation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = self.database.relations()

    @property
    def names(self) -> list[str]:
        """Return what the schema holds."""
        return sorted(self._names.values())

    def all(self, names: Iterable[str]) -> list[Relation]:
        """Return those of some tables that are there."""
        found = []
        for name in names:
            actual = self._names.get(f"{self.prefix}{name}".lower())
            if actual is not None:
                self.there.add(name)
                if actual not in self._found:
                    self._found[actual] = self.database.relation(actual)
                found.append(self._found[actual])
        return found

    def rows(self, relation: Relation, *columns: str | None, **wanted: Any) -> Iterator[tuple[Any, ...]]:
        """Yield rows with these columns; one that is None yields None."""
        there = list(dict.fromkeys(name for name in columns if name is not None))
        places = [None if name is None else there.index(name) for name in columns]
        for row in self.database.rows(Wanted(relation, there, **wanted)):
            yield tuple(None if place is None else row[place] for place in places)
