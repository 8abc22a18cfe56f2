"""Bring a score store to this release's tables: made at once, or migrated step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.engine import Connection

from serving.database import StoreError
from serving.schema import METADATA, batches

HEAD: Final = "3"
# What the release made that knew no versions yet.
FIRST: Final = "1"

_version: Final = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class NewerStoreError(StoreError):
    """The store was made by a later release than this one."""


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none. A version from the future is refused."""
    tables = inspect(connection)
    if tables.has_table(_version.name):
        found = connection.scalar(select(_version.c.version_num))
        if found is not None and int(found) > int(HEAD):
            raise NewerStoreError(
                f"the score store's tables must be of version {HEAD} at most; they are of version {found}, made by a "
                "later release. Install that release."
            )
        return found
    return FIRST if tables.has_table(batches.name) else None


def upgrade(connection: Connection) -> None:
    """Make or migrate the tables inside the transaction of ``connection``; does nothing where they are current."""
    found = version_of(connection)
    if found == HEAD:
        return
    if found is None:
        METADATA.create_all(connection)
        _version.create(connection)
        connection.execute(_version.insert(), {"version_num": HEAD})
        return
    # Imported where a store is migrated, which is once in a release.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    if not inspect(connection).has_table(_version.name):
        command.stamp(config, FIRST)
    command.upgrade(config, HEAD)
