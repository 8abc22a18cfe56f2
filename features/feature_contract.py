"""The feature contract: which columns a matrix has and what they mean, learnt on the training past."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.behaviour import OTHER_KIND
from features.catalogue import Feature, Question, expand
from features.properties import LeftOut, ObjectType, PropertySettings, usable_properties
from features.tables import CrmTables

RARE_LEVEL: Final = "(other)"
_DEAL_COLUMNS: Final = ("amount", "expected_close_at", "owner_id")
_RESERVED_KINDS: Final = frozenset({OTHER_KIND, "any", "lost", "warmth", "active_days"})
"""Kinds of activity whose features would bear the names of other features; they count as ``OTHER_KIND``."""
OBJECT_TYPE: Final[dict[Question, ObjectType]] = {"contacts": "contact", "deals": "deal"}


class FeatureSettings(BaseModel):
    """How the past is summarised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows_days: tuple[float, ...] = Field(default=(1, 7, 28, 90), description="Windows for counting activities.")
    half_lives_days: tuple[float, ...] = Field(default=(7, 28), description="How fast engagement fades.")
    max_kinds: int = Field(default=24, ge=1, description="Rarer kinds of activity are counted together as 'other'.")
    max_levels: int = Field(default=24, ge=1, le=60, description="Rarer values of a category are grouped.")
    min_level_count: int = Field(default=30, ge=1, description="A value seen in fewer objects is grouped as rare.")


class FeatureContract(BaseModel):
    """What a model's columns mean: fixed when it was trained, stored with it, and followed when scoring.

    ``stages`` are the keys (``pipeline/stage``) behind the codes of the feature ``stage``; ``properties`` maps each
    property in use to its levels (none for a number). ``vouched`` are the columns that the user vouched for; every
    other property comes from its history alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Question
    kinds: tuple[str, ...]
    windows_days: tuple[float, ...]
    half_lives_days: tuple[float, ...]
    properties: dict[str, tuple[str, ...]]
    deal_columns: tuple[str, ...]
    vouched: tuple[str, ...]
    pipelines: tuple[str, ...]
    stages: tuple[str, ...]
    has_activities: bool
    features: tuple[Feature, ...]

    @property
    def names(self) -> list[str]:
        """Return the column names in order."""
        return [feature.name for feature in self.features]

    def digest(self) -> str:
        """SHA-256 over the whole contract."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def learn_contract(
    *, question: Question, tables: CrmTables, settings: FeatureSettings, properties: PropertySettings
) -> tuple[FeatureContract, list[LeftOut]]:
    """Decide on kinds, levels, stages and properties from what is known in ``tables``, and say what is left out."""
    activities, stages = tables["activities"], tables["stages"]
    kinds, families = _learn_kinds(activities, max_kinds=settings.max_kinds, question=question)
    usable, left_out = usable_properties(tables=tables, object_type=OBJECT_TYPE[question], settings=properties)
    deal_columns = tuple(name for name in _DEAL_COLUMNS if name in usable) if question == "deals" else ()
    learnt: dict[str, tuple[str, ...]] = {}
    for name in usable:
        if name in deal_columns:
            continue
        if name == "owner_id":
            left_out.append(LeftOut(question, name, "an identifier: no feature of a contact rests on its owner"))
            continue
        levels, reason = _learn_levels(_known_values(tables, question, name), settings=settings)
        if reason:
            left_out.append(LeftOut(question, name, reason))
        else:
            learnt[name] = levels
    left_out += [
        LeftOut(table, None, "the source has no such table")
        for table in ("activities", "companies", "property_history")
        if not tables.has(table)
    ]
    open_stages = stages.loc[stages["outcome"] == "open"].sort_values(["pipeline", "position", "stage"])
    pipelines = tuple(sorted(stages["pipeline"].unique()))
    stage_keys = tuple(open_stages["pipeline"] + "/" + open_stages["stage"])
    contract = FeatureContract(
        question=question,
        kinds=kinds,
        windows_days=settings.windows_days,
        half_lives_days=settings.half_lives_days,
        properties=learnt,
        deal_columns=deal_columns,
        vouched=tuple(name for name in usable if name in properties.safe(OBJECT_TYPE[question])),
        pipelines=pipelines,
        stages=stage_keys,
        has_activities=bool(len(activities)),
        features=(),
    )
    features = expand(
        absent=_absent_entries(deal_columns=deal_columns, tables=tables),
        question=question,
        kinds=kinds,
        kind_families=families,
        windows_days=settings.windows_days,
        half_lives_days=settings.half_lives_days,
        properties=learnt,
        levels={
            "last_kind": kinds,
            "pipeline": (*pipelines, RARE_LEVEL),
            "stage": (*_stage_words(open_stages, many_pipelines=len(pipelines) > 1), RARE_LEVEL),
        },
    )
    return contract.model_copy(update={"features": tuple(features)}), left_out


def refuse(
    contract: FeatureContract, left_out: Iterable[LeftOut], *, refused: Mapping[str, str]
) -> tuple[FeatureContract, list[LeftOut]]:
    """Take the ``refused`` features (name to reason) out of a contract; their reason goes before any other."""
    plain = {name.removeprefix("property_"): reason for name, reason in refused.items()}
    kept = tuple(feature for feature in contract.features if feature.name not in refused)
    properties = {name: known for name, known in contract.properties.items() if f"property_{name}" not in refused}
    others = [item for item in left_out if item.table != contract.question or item.column not in plain]
    told = [LeftOut(contract.question, name, reason) for name, reason in plain.items()]
    return contract.model_copy(update={"features": kept, "properties": properties}), [*told, *others]


def _learn_kinds(
    activities: pd.DataFrame, *, max_kinds: int, question: Question
) -> tuple[tuple[str, ...], dict[str, str]]:
    key = "contact_id" if question == "contacts" else "deal_id"
    reach = activities.groupby("type")[key].nunique().sort_index().sort_values(ascending=False, kind="stable")
    if not len(reach):
        return (), {}
    frequent = [str(kind) for kind in reach.index if kind not in _RESERVED_KINDS][:max_kinds]
    kinds = sorted(frequent)
    if len(kinds) < len(reach):
        kinds.append(OTHER_KIND)
    directed = activities.dropna(subset=["direction"])
    inbound = directed["direction"].eq("inbound").groupby(directed["type"]).mean()
    families = {str(kind): "their_activity" if share >= 0.5 else "our_activity" for kind, share in inbound.items()}
    return tuple(kinds), families


def _known_values(tables: CrmTables, question: Question, name: str) -> pd.Series:
    history = tables["property_history"]
    written = history.loc[(history["object_type"] == OBJECT_TYPE[question]) & (history["property"] == name), "value"]
    return written.dropna() if len(written) else tables[question][name].dropna()


def _learn_levels(values: pd.Series, *, settings: FeatureSettings) -> tuple[tuple[str, ...], str | None]:
    """Return the levels of a property (none for a number), or the reason why it cannot be used."""
    if not len(values):
        return (), "never filled"
    if pd.to_numeric(values, errors="coerce").notna().all():
        return (), None
    counts = values.astype(str).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    frequent = counts[counts >= settings.min_level_count].index[: settings.max_levels]
    if counts[frequent].sum() < 0.2 * counts.sum():
        rare = f"hardly any value occurs {settings.min_level_count} times"
        return (), f"{rare}: free text, an identifier, or too little data"
    return (*sorted(frequent), RARE_LEVEL), None


def _absent_entries(*, deal_columns: tuple[str, ...], tables: CrmTables) -> frozenset[str]:
    """Return the names of the catalogue entries that nothing in the tables could fill."""
    absent: list[str] = []
    if not len(tables["activities"]):
        absent += ["days_since_any", "warmth_{days}d", "active_days_{days}d", "last_kind", "activity_in_stage"]
    if tables["activities"]["owner_id"].isna().all() or not len(tables["deals"]):
        absent += ["last_actor_win_rate"]
    if "amount" not in deal_columns:
        absent += ["amount", "amount_changes", "amount_ratio"]
    if "expected_close_at" not in deal_columns:
        absent += ["days_to_expected_close", "close_date_changes", "close_date_slip_days"]
    if "owner_id" not in deal_columns:
        absent += ["owner_win_rate", "owner_closed"]
    if not len(tables["deal_contacts"]):
        absent += ["contacts_count", "lost_deals", "won_deals", "days_since_lost"]
        absent += ["open_deals", "open_deal_position", "open_deal_days_in_stage", "open_deal_age_days"]
    if not len(tables["contacts"]):
        absent += ["tenure_days"]
    return frozenset(absent)


def _stage_words(open_stages: pd.DataFrame, *, many_pipelines: bool) -> tuple[str, ...]:
    labels = open_stages["label"].fillna(open_stages["stage"])
    return tuple(open_stages["pipeline"] + ": " + labels if many_pipelines else labels)
