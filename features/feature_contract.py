"""The feature contract: which columns a matrix has and what they mean, learnt on the training past."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from features.behaviour_plan import BehaviourPlan
from features.catalogue import Choices, Feature, Question, expand
from features.discounting import NO_DISCOUNT, Discount
from features.entries import Spans
from features.feature_choices import (
    RARE_LEVEL,
    company_link_columns,
    history_days,
    learn_levels,
    on_offer,
    with_kinds,
    with_outcomes,
)
from features.memberships import COMPANY_ID
from features.properties import TABLE_OF, LeftOut, ObjectType, PropertySettings, usable_properties
from features.season import MONTHS, WEEKDAYS
from features.series import SeriesPlan
from features.tables import CrmTables

_DEAL_COLUMNS: Final = ("amount", "expected_close_at", "owner_id")
OBJECT_TYPE: Final[dict[Question, ObjectType]] = {"contacts": "contact", "deals": "deal"}


class FeatureSettings(BaseModel):
    """How the past is summarised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows_days: tuple[float, ...] = Field(default=(1, 7, 28, 90), description="Windows for counting activities.")
    half_lives_days: tuple[float, ...] = Field(default=(7, 28), description="How fast engagement fades.")
    trend_days: float = Field(
        default=28.0, gt=0, description="The trend compares this many days with as many days before them."
    )
    max_kinds: int = Field(
        default=24, ge=1, le=200, description="Rarer kinds of activity are counted together as 'other'."
    )
    max_outcomes: int = Field(
        default=12, ge=0, le=24, description="Rarer outcomes of a kind of activity are not counted on their own."
    )
    max_levels: int = Field(default=24, ge=1, le=60, description="Rarer values of a category are grouped.")
    min_level_count: int = Field(default=30, ge=1, description="A value seen in fewer objects is grouped as rare.")
    utc_offset_hours: float = Field(
        default=0.0, ge=-14, le=14, description="Working hours, Mon-Fri 8-18, are read from a clock this far from UTC."
    )
    season_from_days: float = Field(
        default=1095.0, ge=0, description="A shorter history cannot tell seasons from its trend, so they are left out."
    )
    discount: Discount = Discount()


class FeatureContract(BaseModel):
    """What a model's columns mean: fixed when it was trained, stored with it, and followed when scoring.

    ``stages`` are the keys (``pipeline/stage``) behind the codes of the feature ``stage``; ``properties`` maps each
    property in use to its levels (none for a number), ``company_properties`` those of the company. ``vouched`` and
    ``company_vouched`` are the columns that the user vouched for; every other property comes from its history alone.
    ``company_links`` says whose ``company_id`` is used, and whether from the vouched column or from its history.
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
    directed: bool = False
    outcomes: tuple[tuple[str, str], ...] = ()
    trend_days: float = 28.0
    utc_offset_hours: float = 0.0
    discount: Discount = NO_DISCOUNT
    company_links: dict[ObjectType, bool] = Field(default_factory=dict)
    company_properties: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    company_vouched: tuple[str, ...] = ()
    features: tuple[Feature, ...]

    @property
    def plan(self) -> SeriesPlan:
        """Return the series of activities that are counted."""
        return SeriesPlan(
            kinds=self.kinds,
            directed=self.directed,
            outcomes=self.outcomes,
            utc_offset_hours=self.utc_offset_hours,
        )

    @property
    def behaviour(self) -> BehaviourPlan:
        """Return what is computed of activities."""
        return BehaviourPlan(
            series=self.plan,
            windows_days=self.windows_days,
            half_lives_days=self.half_lives_days,
            trend_days=self.trend_days,
            discount=self.discount,
        )

    def rests_on(self, *beginnings: str) -> bool:
        """Say whether any feature's name begins like this."""
        return any(name.startswith(beginnings) for name in self.names)

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
    object_type = OBJECT_TYPE[question]
    links = company_link_columns(tables, properties)
    usable, left_out = usable_properties(tables=tables, object_type=object_type, settings=properties)
    deal_columns = tuple(name for name in _DEAL_COLUMNS if name in usable) if question == "deals" else ()
    learnt, unusable = _learn_properties(tables, object_type, usable, skip=deal_columns, settings=settings)
    company_learnt, company_left_out = _company_properties(
        tables, settings=settings, properties=properties, is_linked="contact" in links or object_type in links
    )
    left_out += [*unusable, *company_left_out]
    left_out += [
        LeftOut(table, None, "the source has no such table")
        for table in ("activities", "companies", "property_history")
        if not tables.has(table)
    ]
    open_stages = stages.loc[stages["outcome"] == "open"].sort_values(["pipeline", "position", "stage"])
    pipelines = tuple(sorted(stages["pipeline"].unique()))
    stage_keys = tuple(open_stages["pipeline"] + "/" + open_stages["stage"])
    seasons = history_days(tables, question=question) >= settings.season_from_days
    needs = on_offer(tables=tables, question=question, deal_columns=deal_columns, links=links, seasons=seasons)
    choices = Choices(
        question=question,
        kinds=(),
        kind_families={},
        outcomes=(),
        days=_days(settings),
        properties=learnt,
        company_properties=company_learnt,
        levels={},
        available=frozenset(needs),
    )
    choices = with_kinds(choices, activities=activities, max_kinds=settings.max_kinds)
    choices = with_outcomes(
        choices, activities=activities, min_objects=settings.min_level_count, max_outcomes=settings.max_outcomes
    )
    levels = {
        "first_kind": choices.kinds,
        "last_kind": choices.kinds,
        "month": MONTHS,
        "weekday": WEEKDAYS,
        "pipeline": (*pipelines, RARE_LEVEL),
        "stage": (*_stage_words(open_stages, many_pipelines=len(pipelines) > 1), RARE_LEVEL),
    }
    contract = FeatureContract(
        question=question,
        kinds=choices.kinds,
        windows_days=settings.windows_days,
        half_lives_days=settings.half_lives_days,
        properties=learnt,
        deal_columns=deal_columns,
        vouched=tuple(name for name in usable if name in properties.safe(object_type)),
        pipelines=pipelines,
        stages=stage_keys,
        has_activities=bool(len(activities)),
        directed="directions" in choices.available,
        outcomes=choices.outcomes,
        trend_days=settings.trend_days,
        utc_offset_hours=settings.utc_offset_hours,
        discount=settings.discount,
        company_links=links,
        company_properties=company_learnt,
        company_vouched=tuple(name for name in company_learnt if name in properties.safe("company")),
        features=tuple(expand(replace(choices, levels=levels))),
    )
    return contract, left_out


def refuse(
    contract: FeatureContract, left_out: Iterable[LeftOut], *, refused: Mapping[str, str]
) -> tuple[FeatureContract, list[LeftOut]]:
    """Take the ``refused`` features (name to reason) out of a contract; their reason goes before any other."""
    told = [LeftOut(*_column_behind(name, contract), reason) for name, reason in refused.items()]
    columns = {(item.table, item.column) for item in told}
    kept: dict[str, object] = {
        "features": tuple(feature for feature in contract.features if feature.name not in refused),
        "properties": {
            name: known for name, known in contract.properties.items() if (contract.question, name) not in columns
        },
        "company_properties": {
            name: known for name, known in contract.company_properties.items() if ("companies", name) not in columns
        },
    }
    others = [item for item in left_out if (item.table, item.column) not in columns]
    return contract.model_copy(update=kept), [*told, *others]


def _column_behind(name: str, contract: FeatureContract) -> tuple[str, str]:
    of_company = name.removeprefix("company_property_")
    return ("companies", of_company) if of_company != name else (contract.question, name.removeprefix("property_"))


def _days(settings: FeatureSettings) -> dict[Spans, tuple[float, ...]]:
    return {
        "windows": settings.windows_days,
        "longest window": (max(settings.windows_days),) if settings.windows_days else (),
        "half-lives": settings.half_lives_days,
        "trend": (settings.trend_days,),
    }


def _learn_properties(
    tables: CrmTables,
    object_type: ObjectType,
    usable: Iterable[str],
    *,
    skip: tuple[str, ...],
    settings: FeatureSettings,
) -> tuple[dict[str, tuple[str, ...]], list[LeftOut]]:
    learnt: dict[str, tuple[str, ...]] = {}
    left_out = []
    for name in usable:
        if name in skip or (name == COMPANY_ID and object_type != "company"):
            continue
        if name == "owner_id":
            reason: str | None = f"an identifier: no feature of a {object_type} rests on its owner"
        else:
            levels, reason = learn_levels(
                tables, object_type, name, min_count=settings.min_level_count, max_levels=settings.max_levels
            )
        if reason:
            left_out.append(LeftOut(TABLE_OF[object_type], name, reason))
        else:
            learnt[name] = levels
    return learnt, left_out


def _company_properties(
    tables: CrmTables, *, settings: FeatureSettings, properties: PropertySettings, is_linked: bool
) -> tuple[dict[str, tuple[str, ...]], list[LeftOut]]:
    usable, left_out = usable_properties(tables=tables, object_type="company", settings=properties)
    if is_linked:
        learnt, unusable = _learn_properties(tables, "company", usable, skip=(), settings=settings)
        return learnt, [*left_out, *unusable]
    reason = (
        "nobody is known to belong to a company: give company_id a history, or vouch for it in "
        "properties.contacts.safe or properties.deals.safe"
    )
    return {}, [*left_out, *(LeftOut("companies", name, reason) for name in usable)]


def _stage_words(open_stages: pd.DataFrame, *, many_pipelines: bool) -> tuple[str, ...]:
    labels = open_stages["label"].fillna(open_stages["stage"])
    return tuple(open_stages["pipeline"] + ": " + labels if many_pipelines else labels)
