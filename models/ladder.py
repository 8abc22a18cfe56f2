"""The small-data ladder: how much there is to learn from decides what may be learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Rung = Literal["base_rate", "rules", "stage_rate", "small_model", "model"]


class LadderSettings(BaseModel):
    """From how many outcomes each rung may be stood on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contacts_rules_from: int = Field(
        default=20, ge=1, description="Winning contacts from which points may be mapped to a probability."
    )
    contacts_small_model_from: int = Field(
        default=80, ge=1, description="Winning contacts from which a small model (80 trees of 4 leaves) is tried."
    )
    contacts_model_from: int = Field(
        default=160, ge=1, description="Winning contacts from which the full contact model is tried."
    )
    deals_model_from: int = Field(
        default=40,
        ge=1,
        description="Won deals, and lost deals, from which a small model (70 trees of 4 leaves) is tried.",
    )
    deals_full_model_from: int = Field(
        default=200, ge=1, description="Won deals, and lost deals, from which the full deal model is tried."
    )


@dataclass(frozen=True)
class Step:
    """The rung that the data allow, with what was found and what the next rung needs."""

    rung: Rung
    reason: str

    @property
    def is_model(self) -> bool:
        """Say whether a model may be fitted at all."""
        return self.rung in ("small_model", "model")


def contact_step(*, winning_contacts: int, settings: LadderSettings) -> Step:
    """Choose the rung for contacts.

    >>> contact_step(winning_contacts=79, settings=LadderSettings()).rung
    'rules'
    """
    found = f"{winning_contacts} winning contacts were found"
    if winning_contacts < settings.contacts_rules_from:
        need = settings.contacts_rules_from
        return Step("base_rate", f"{found}; {need} are needed to put a probability on the points")
    if winning_contacts < settings.contacts_small_model_from:
        return Step("rules", f"{found}; {settings.contacts_small_model_from} are needed to try a model")
    if winning_contacts < settings.contacts_model_from:
        return Step("small_model", f"{found}; {settings.contacts_model_from} are needed for the full model")
    return Step("model", f"{found}, enough for the full model")


def deal_step(*, won: int, lost: int, settings: LadderSettings) -> Step:
    """Choose the rung for deals.

    >>> deal_step(won=39, lost=500, settings=LadderSettings()).rung
    'stage_rate'
    """
    found = f"{won} won and {lost} lost deals were found"
    if min(won, lost) < settings.deals_model_from:
        return Step("stage_rate", f"{found}; {settings.deals_model_from} of each are needed to try a model")
    if min(won, lost) < settings.deals_full_model_from:
        return Step("small_model", f"{found}; {settings.deals_full_model_from} of each are needed for the full model")
    return Step("model", f"{found}, enough for the full model")
