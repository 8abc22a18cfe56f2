"""What a user may set about the score store and its service."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StoreSettings(BaseModel):
    """What the score store keeps, and what it calls a change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keep_batches: int = Field(default=30, ge=1, description="So many of the newest batches stay, however old.")
    keep_days: float = Field(
        default=30.0, ge=1, description="A younger batch stays, however many there are: jobs may be reading it."
    )
    change_step: float = Field(
        default=0.005, gt=0, le=0.5, description="A probability that moves by less may not count as a change."
    )


class ApiSettings(BaseModel):
    """The limits of the service."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    requests_per_minute: int = Field(default=600, ge=1, description="By each key; more are told to come back later.")
    body_bytes: int = Field(default=1_000_000, ge=1_000, description="A request with a greater body is refused.")
    body_seconds: float = Field(default=10.0, gt=0, description="A request must have sent its body by then.")
    send_seconds: float = Field(default=60.0, gt=0, description="A client that takes nothing for so long is cut off.")
    query_seconds: float = Field(default=30.0, gt=0, description="A look into the store that takes longer is given up.")
    streams: int = Field(default=8, ge=1, description="So many whole batches are streamed at a time.")
    stale_after_hours: float = Field(default=36.0, gt=0, description="Older scores are told to be stale.")
    export_days: float = Field(default=7.0, gt=0, description="Results of bulk exports are kept for so long.")
    export_part_rows: int = Field(default=250_000, ge=1, description="A bulk export's file holds at most so many rows.")
    exports_per_key: int = Field(default=20, ge=1, description="A key may have so many bulk exports kept at a time.")
