"""What the columns of an export mean: which file is which table, which zone its times are in, which stage wins."""

from __future__ import annotations

from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features.contracts import CONTRACTS

Exported = Literal["contacts", "companies", "deals"]
STAGE: Final = "stage"
KEYS: Final[dict[Exported, str]] = {"contacts": "contact_id", "companies": "company_id", "deals": "deal_id"}


class FileMapping(BaseModel):
    """One file: the table it is, and the label of each column that is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Exported = Field(description="contacts, companies or deals.")
    columns: dict[str, str] = Field(description="Labels of the columns that the table's contract names.")
    links: dict[Exported, str] = Field(default={}, description="Columns that hold ids of other objects.")
    properties: dict[str, str] = Field(default={}, description="Labels of further columns, by a name of your choice.")

    @model_validator(mode="after")
    def _of_the_contract(self) -> FileMapping:
        known = {*CONTRACTS[self.table].names, *([STAGE] if self.table == "deals" else [])}
        strange = sorted(set(self.columns) - known)
        if strange:
            raise ValueError(f"{self.table} have no column {strange[0]!r}; they have {', '.join(sorted(known))}")
        if KEYS[self.table] not in self.columns:
            raise ValueError(f"columns must say where {KEYS[self.table]} is: the column 'Record ID' of the export")
        return self


class StageMapping(BaseModel):
    """One stage of a pipeline, what it means, and the column that tells when a deal entered it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str = Field(min_length=1)
    stage: str = Field(min_length=1)
    outcome: Literal["open", "won", "lost"]
    entered: str = Field(default="", description="The label of the column 'Date entered ...' of this stage.")
    probability: float | None = Field(default=None, ge=0, le=1)


class ExportMapping(BaseModel):
    """A whole mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: str = Field(description="The zone that the files' times are in, such as Europe/Berlin.")
    time_format: str = Field(
        default="", description="How times are written, if not as 2026-01-31 14:05; %d.%m.%Y %H:%M"
    )
    files: dict[str, FileMapping] = Field(min_length=1)
    stages: tuple[StageMapping, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if not name:
            raise ValueError(
                "say which zone the times of the export are in, such as Europe/Berlin: HubSpot writes them without "
                "one, in the time zone of the account (Settings, Account defaults) or of whoever exported them"
            )
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("is no time zone; write it as Europe/Berlin, America/Bogota or UTC") from error
        return name
