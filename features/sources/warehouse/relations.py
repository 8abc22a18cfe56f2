"""Tables as they are found, with columns by whatever spelling; and queries that every warehouse understands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, column, false, or_, select, table

_ODD: Final = re.compile(r"[^a-z0-9]")


def loosely(name: str) -> str:
    """Bring names that loaders spell differently into one form.

    >>> loosely("createdAt") == loosely("created_at") == loosely("CREATED-AT")
    True
    """
    return _ODD.sub("", name.lower())


@dataclass(frozen=True)
class Relation:
    """A table or view that is there: its columns, and whether each holds truth values."""

    name: str
    columns: Mapping[str, bool]
    schema: str | None = None

    def find(self, *names: str) -> str | None:
        """Return the column that goes by the first of these names that there is, however it is spelt."""
        for name in names:
            if name in self.columns:
                return name
            if (found := self._loosely.get(loosely(name))) is not None:
                return found
        return None

    @cached_property
    def _loosely(self) -> dict[str, str]:
        return {loosely(name): name for name in reversed(list(self.columns))}


@dataclass(frozen=True)
class Wanted:
    """What is asked of a relation: columns, and which rows.

    ``among`` keeps rows whose text is one of some; ``unless`` leaves out rows of which a flag is set; ``order`` says
    in which order they come. What a column's type does not allow is left to whoever reads the rows.
    """

    relation: Relation
    columns: Sequence[str]
    among: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unless: Sequence[str] = ()
    order: Sequence[str] = ()

    def query(self) -> Select[*tuple[Any, ...]]:
        """Return the query: columns of one table, equality, IN, IS NULL and ORDER BY, and nothing else."""
        conditions: list[ColumnElement[bool]] = [
            column(name).in_(sorted(values)) for name, values in self.among.items()
        ]
        flags: list[ColumnElement[bool]] = [column(name) for name in self.unless if self.relation.columns[name]]
        conditions += [or_(flag.is_(None), flag == false()) for flag in flags]
        chosen: Select[*tuple[Any, ...]] = select(*[column(name) for name in self.columns]).select_from(
            table(self.relation.name, schema=self.relation.schema)
        )
        return chosen.where(*conditions).order_by(*[column(name) for name in self.order])
