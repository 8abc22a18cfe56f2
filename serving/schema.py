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

from serving.contract_columns import CONTRACTS, Contract, Kind


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
IDENTIFIER: Final = String().with_variant(String(collation="C"), "postgresql")

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
    Column("batch_id", IDENTIFIER, primary_key=True),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("contract_version", String, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("scored_at", UtcTime, nullable=False),
    Column("model_versions", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("contacts_rows", Integer),
    Column("deals_rows", Integer),
    Column("digest", String, nullable=False),
    Column("change_step", Double),
)

latest: Final = Table(
    "latest",
    METADATA,
    Column("question", String, primary_key=True),
    Column("batch_id", IDENTIFIER, ForeignKey("batches.batch_id"), nullable=False),
)


def _score_table(contract: Contract) -> Table:
    columns: list[Column[Any]] = []
    for column in contract.columns:
        if column.name == "batch_id":
            columns.append(Column("batch_id", IDENTIFIER, ForeignKey("batches.batch_id"), primary_key=True))
        elif column.name == contract.id_column:
            columns.append(Column(column.name, IDENTIFIER, primary_key=True))
        elif column.name not in BATCH_WIDE:
            columns.append(Column(column.name, _TYPES[column.kind], nullable=column.nullable))
    # The sequence of the batch in which this object last changed; null in a batch that never was the latest.
    columns.append(Column("changed_sequence", Integer))
    return Table(f"{contract.object_type}_scores", METADATA, *columns)


SCORES: Final[Mapping[str, Table]] = MappingProxyType(
    {question: _score_table(contract) for question, contract in CONTRACTS.items()}
)

# Objects that one latest batch held and the next did not, under the sequence of the next.
removed: Final = Table(
    "removed",
    METADATA,
    Column("question", String, primary_key=True),
    Column("object_id", IDENTIFIER, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("reason", String, nullable=False),
    Column("merged_into", String),
)

model_cards: Final = Table(
    "model_cards",
    METADATA,
    Column("model_version", IDENTIFIER, primary_key=True),
    Column("question", String, nullable=False),
    Column("card", Text, nullable=False),
)

leases: Final = Table(
    "leases",
    METADATA,
    Column("name", String, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String),
    Column("expires_at", UtcTime),
)

api_keys: Final = Table(
    "api_keys",
    METADATA,
    Column("key_id", IDENTIFIER, primary_key=True),
    Column("name", String, nullable=False),
    Column("secret_hash", String, nullable=False),
    Column("scopes", String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
)
