"""The score store's tables, one schema for SQLite and PostgreSQL, made from the published contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from serving.contract import CONTRACTS, Contract, Kind


class UtcTime(TypeDecorator[datetime]):
    """An instant: ``timestamptz`` in PostgreSQL, fixed-width ISO 8601 text (which sorts as time) in SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = value if dialect.name == "postgresql" else datetime.fromisoformat(value)
        return instant.astimezone(UTC)


# Byte order in both databases, so that both return the same rows in the same order.
_IDENTIFIER: Final = String().with_variant(String(collation="C"), "postgresql")

_TYPES: Final[Mapping[Kind, TypeEngine[Any]]] = MappingProxyType(
    {
        "text": Text(),
        "json": Text(),
        "time": UtcTime(),
        "probability": Double(),
        "number": Double(),
        "integer": BigInteger(),
        "bool": Boolean(),
    }
)

# One value for a whole batch: kept in its row of ``batches`` and put back on reading.
BATCH_WIDE: Final = frozenset({"object_type", "as_of", "scored_at"})

METADATA: Final = MetaData()

batches: Final = Table(
    "batches",
    METADATA,
    Column("batch_id", _IDENTIFIER, primary_key=True),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("contract_version", String, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("scored_at", UtcTime, nullable=False),
    Column("model_versions", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("contacts_rows", Integer),
    Column("deals_rows", Integer),
    Column("digest", String, nullable=False),
)

latest: Final = Table(
    "latest",
    METADATA,
    Column("question", String, primary_key=True),
    Column("batch_id", _IDENTIFIER, ForeignKey("batches.batch_id"), nullable=False),
)


def _score_table(contract: Contract) -> Table:
    columns: list[Column[Any]] = []
    for column in contract.columns:
        if column.name == "batch_id":
            columns.append(Column("batch_id", _IDENTIFIER, ForeignKey("batches.batch_id"), primary_key=True))
        elif column.name == contract.id_column:
            columns.append(Column(column.name, _IDENTIFIER, primary_key=True))
        elif column.name not in BATCH_WIDE:
            columns.append(Column(column.name, _TYPES[column.kind], nullable=column.nullable))
    return Table(f"{contract.object_type}_scores", METADATA, *columns)


SCORES: Final[Mapping[str, Table]] = MappingProxyType(
    {question: _score_table(contract) for question, contract in CONTRACTS.items()}
)
