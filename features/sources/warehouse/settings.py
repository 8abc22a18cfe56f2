"""Which tables of a database are read, and who left them there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from features.sources.hubspot.kinds import ContentSettings

Tool = Literal["fivetran", "airbyte", "dlt", "leadline"]


class WarehouseSettings(ContentSettings):
    """A schema of a database; the URL that leads to the database comes from the environment alone."""

    landing: Tool = Field(
        description="Who filled it: fivetran, airbyte or dlt from HubSpot; leadline if it holds the CRM tables."
    )
    in_schema: str | None = Field(
        default=None, alias="schema", description="The schema, or dataset, of the tables; empty means the URL's own."
    )
    table_prefix: str = Field(default="", description="What stands before the name of each table.")
