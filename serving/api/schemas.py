"""What may be asked, and what is answered, as the OpenAPI document says it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from serving.contract import Contract, contract_of
from serving.contract_columns import Column, Kind
from serving.cursors import is_storable
from serving.walks import Filter

MOST_ROWS = 1_000
USUAL_ROWS = 100


def _storable(text: str) -> str:
    if not is_storable(text):
        raise ValueError("must hold neither NUL nor half of a surrogate pair")
    return text


def _with_plus(given: Any) -> Any:
    """Read the blank that a plus became which a URL did not spell %2B."""
    return re.sub(r"(T\S+) (\d\d:?\d\d)$", r"\1+\2", given) if isinstance(given, str) else given


def _in_range(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 2200:
        raise ValueError("must lie between 1970 and 2200")
    return moment.astimezone(UTC)


Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$"), AfterValidator(_storable)]
BatchId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}$")]
Texts = Annotated[list[Text], Field(max_length=100)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Instant = Annotated[AwareDatetime, BeforeValidator(_with_plus), AfterValidator(_in_range)]
Tier = Literal["very_high", "high", "medium", "low"]
Agreement = Literal["both_high", "model_only", "points_only", "both_low"]

FileFormat = Annotated[Literal["csv", "ndjson", "parquet", "arrow"], Field(description="Of the files.")]
_BATCH: Any = Field(default="latest", description="Which batch; a cursor names its own.")
_FIELDS: Any = Field(default=[], description="Only these columns, separated by commas; all by default.")


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wanted(_Closed):
    """Which rows, of either question."""

    owner_id: Texts = Field(default=[], description="Owned by one of these.")
    probability_min: Probability | None = Field(default=None, description="At least this likely.")
    probability_max: Probability | None = Field(default=None, description="At most this likely.")
    updated_since: Instant | None = Field(
        default=None, description="Last changed materially in a batch that was scored at or after this instant."
    )

    def chosen(self) -> Filter:
        """Return the filter that the store knows."""
        given = self.model_dump(include={"tier", "agreement", "pipeline", "stage", "owner_id"})
        return Filter(
            **{name: tuple(values) for name, values in given.items()},
            at_least=self.probability_min,
            at_most=self.probability_max,
            updated_since=self.updated_since,
        )


class WantedContacts(Wanted):
    """Which contacts."""

    tier: list[Tier] = Field(default=[], description="In one of these quarters.")
    agreement: list[Agreement] = Field(default=[], description="Ranked high by model, points, both or neither.")


class WantedDeals(Wanted):
    """Which deals."""

    pipeline: Texts = Field(default=[], description="In one of these pipelines.")
    stage: Texts = Field(default=[], description="In one of these stages.")


class _Page(_Closed):
    batch: BatchId = _BATCH
    limit: int | None = Field(
        default=None,
        ge=1,
        le=MOST_ROWS,
        description=f"Rows of a page: {USUAL_ROWS} in JSON; the other formats give all rows unless told otherwise.",
    )
    after: Text | None = Field(default=None, description="The cursor that the page before gave.")
    fields: Texts = _FIELDS


class ContactPage(_Page, WantedContacts):
    """A page of contacts."""


class DealPage(_Page, WantedDeals):
    """A page of deals."""


class ChangePage(_Closed):
    """A page of changes."""

    since: Text | None = Field(default=None, description="The cursor of the last answer; empty for everything.")
    limit: int = Field(default=USUAL_ROWS, ge=1, le=MOST_ROWS, description="Objects of a page.")
    fields: Texts = _FIELDS


class OnePage(_Closed):
    """Which batch and columns of one object."""

    batch: BatchId = _BATCH
    fields: Texts = _FIELDS


class Lookup(_Closed):
    """Many objects by their ids."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"object_type": "contact", "ids": ["17", "18"], "fields": ["close_likelihood"]}]
        }
    )

    object_type: Literal["contact", "deal"]
    ids: Annotated[list[Text], Field(min_length=1, max_length=MOST_ROWS, description="In the CRM.")]
    batch: BatchId = _BATCH
    fields: Texts = _FIELDS


class ExportContacts(WantedContacts):
    """A bulk export of contacts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"object_type": "contact", "format": "parquet"}]})

    object_type: Literal["contact"]
    format: FileFormat = "ndjson"
    batch: BatchId = _BATCH
    fields: Texts = _FIELDS


class ExportDeals(WantedDeals):
    """A bulk export of deals."""

    object_type: Literal["deal"]
    format: FileFormat = "ndjson"
    batch: BatchId = _BATCH
    fields: Texts = _FIELDS


class ProblemBody(BaseModel):
    """An error by RFC 9457; ``code`` stays what it is."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, Any]] | None = None


class BatchHead(BaseModel):
    """The batch that an answer is from."""

    batch_id: str
    as_of: str
    scored_at: str
    stale: bool


class Next(BaseModel):
    """Where the next page begins."""

    after: str


class Paging(BaseModel):
    """Whether there is a next page."""

    next: Next


class ExportPart(BaseModel):
    """One file of an export."""

    number: int
    url: str
    rows: int
    size_bytes: int
    sha256: str


class ExportState(BaseModel):
    """An export and how far it is."""

    export_id: str
    state: Literal["queued", "running", "done", "failed"]
    object_type: str
    format: str
    batch_id: str
    created_at: str
    expires_at: str
    rows: int | None
    parts: list[ExportPart]
    error: str | None


_TYPES: dict[Kind, Any] = {
    "text": str,
    "time": str,
    "probability": float,
    "number": float,
    "integer": int,
    "bool": bool,
    "json": list[dict[str, Any]],
}


_JSON: dict[str, Any] = {"change": dict[str, Any]}


def row_model(contract: Contract) -> type[BaseModel]:
    """Return the model of one row; a column may be missing where a client chose others."""
    columns: dict[str, Any] = {
        column.name: (
            (_type_of(column) | None) if column.nullable else _type_of(column),
            Field(default=None, description=column.meaning, json_schema_extra=_without_default),
        )
        for column in contract.columns
    }
    return create_model(f"{contract.object_type.capitalize()}Score", **columns)


def _type_of(column: Column) -> Any:
    return _JSON.get(column.name, _TYPES[column.kind])


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


ContactScore = row_model(contract_of("contacts"))
DealScore = row_model(contract_of("deals"))
ROWS = {"contacts": ContactScore, "deals": DealScore}
