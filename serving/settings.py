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
