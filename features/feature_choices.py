"""What the training past decides about the features: kinds, outcomes, levels, links, and what is on offer at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from features.catalogue import Choices, Question, names_of_kind, names_without_kind
from features.memberships import COMPANY_ID
from features.properties import TABLE_OF, ObjectType, PropertySettings
from features.series import DIRECTIONS, OTHER_KIND
from features.tables import CrmTables
from features.visibility import MICROSECONDS_PER_DAY, effective_time

RARE_LEVEL: Final = "(other)"
_BEGINNING: Final = 0.01
"""The share of objects that may be older than what counts as the beginning of the history: typing errors."""


def with_kinds(choices: Choices, *, activities: pd.DataFrame, max_kinds: int) -> Choices:
    """Choose the kinds that reach most objects; the rest, and kinds that would share a name, become ``OTHER_KIND``."""
    reach = _reach(activities, ["type"], question=choices.question)
    taken = names_without_kind(choices)
    free = (
        kind for kind in map(str, reach.index) if kind != OTHER_KIND and taken.isdisjoint(names_of_kind(kind, choices))
    )
    kinds = sorted(kind for kind, _ in zip(free, range(max_kinds), strict=False))
    if len(kinds) < len(reach):
        kinds.append(OTHER_KIND)
    directed = activities.loc[activities["direction"].notna(), ["type", "direction"]]
    inbound = directed["direction"].eq(DIRECTIONS[0]).groupby(directed["type"]).mean()
    families = {str(kind): "their_activity" if share >= 0.5 else "our_activity" for kind, share in inbound.items()}
    return replace(choices, kinds=tuple(kinds), kind_families=families)


def with_outcomes(choices: Choices, *, activities: pd.DataFrame, min_objects: int, max_outcomes: int) -> Choices:
    """Choose the outcomes of kinds that reach most objects, if they say more than the kind alone."""
    ended = activities.loc[activities["outcome"].notna() & activities["type"].isin(choices.kinds)]
    reach = _reach(ended, ["type", "outcome"], question=choices.question)
    told = ended.groupby(["type", "outcome"]).size()
    all_of_kind = activities["type"].value_counts()
    taken = names_without_kind(choices) | {name for kind in choices.kinds for name in names_of_kind(kind, choices)}
    chosen: list[tuple[str, str]] = []
    for kind, outcome in reach.index.to_list():
        pair = (str(kind), str(outcome))
        names = names_of_kind("_".join(pair), choices)
        says_more = told[kind, outcome] < all_of_kind[kind]
        is_frequent = reach[kind, outcome] >= min_objects and len(chosen) < max_outcomes
        if says_more and is_frequent and kind != OTHER_KIND and taken.isdisjoint(names):
            chosen.append(pair)
            taken |= names
    return replace(choices, outcomes=tuple(sorted(chosen)))


def both_directions(activities: pd.DataFrame) -> bool:
    """Say whether activities of both sides are told apart."""
    return set(DIRECTIONS) <= set(activities["direction"].dropna().unique())


def company_link_columns(tables: CrmTables, settings: PropertySettings) -> dict[ObjectType, bool]:
    """Return which objects' ``company_id`` may be used: from the vouched column (true) or from its history (false).

    A history goes before the column. Which of the two it is must not change with what becomes known later.
    """
    links: dict[ObjectType, bool] = {}
    kinds: tuple[ObjectType, ...] = ("contact", "deal")
    for kind in kinds:
        if len(_history(tables, kind, COMPANY_ID)):
            links[kind] = False
        elif COMPANY_ID in settings.safe(kind) and tables[TABLE_OF[kind]][COMPANY_ID].notna().any():
            links[kind] = True
    return links


def learn_levels(
    tables: CrmTables, object_type: ObjectType, name: str, *, min_count: int, max_levels: int
) -> tuple[tuple[str, ...], str | None]:
    """Return the levels of a property (none for a number), or the reason why it cannot be used."""
    written = _history(tables, object_type, name)["value"]
    values = (written if len(written) else tables[TABLE_OF[object_type]][name]).dropna()
    if not len(values):
        return (), "never filled"
    if pd.to_numeric(values, errors="coerce").notna().all():
        return (), None
    counts = values.astype(str).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    frequent = counts[counts >= min_count].index[:max_levels]
    if counts[frequent].sum() < 0.2 * counts.sum():
        rare = f"hardly any value occurs {min_count} times"
        return (), f"{rare}: free text, an identifier, or too little data"
    return (*sorted(frequent), RARE_LEVEL), None


def history_days(tables: CrmTables, *, question: Question) -> float:
    """Return over how many days the objects of a question were created."""
    times = effective_time(question, tables[question])
    if not len(times):
        return 0.0
    return float(times.max() - np.quantile(times, _BEGINNING)) / MICROSECONDS_PER_DAY


def on_offer(
    *,
    tables: CrmTables,
    question: Question,
    deal_columns: tuple[str, ...],
    links: dict[ObjectType, bool],
    seasons: bool,
) -> Iterator[str]:
    """Yield the needs of the catalogue's entries that the tables meet."""
    activities = tables["activities"]
    yield from ("properties", *deal_columns)
    if seasons:
        yield "seasons"
    if len(tables["contacts"]):
        yield "contacts"
    if len(tables["deal_contacts"]):
        yield "deal_contacts"
    if len(activities):
        yield "activities"
    if activities["outcome"].notna().any():
        yield "outcomes"
    if both_directions(activities):
        yield "directions"
    if len(tables["deals"]) and activities["owner_id"].notna().any():
        yield "actors"
    if "contact" in links:
        yield "contact_company"
    if len(tables["deals"]) and ("contact" in links or (question == "deals" and "deal" in links)):
        yield "deal_company"


def _reach(activities: pd.DataFrame, by: list[str], *, question: Question) -> pd.Series:
    """Count the distinct objects behind each group of activities, most first."""
    contact, _ = pd.factorize(activities["contact_id"])
    who = pd.Series(contact, index=activities.index).where(contact >= 0)
    if question == "deals":
        deal, deals = pd.factorize(activities["deal_id"])
        who = (who + len(deals)).where(deal < 0, deal)
    reach = who.groupby([activities[name] for name in by]).nunique()
    # Categories would be sorted in their own order.
    words = [reach.index.get_level_values(name).astype("str") for name in by]
    reach.index = pd.MultiIndex.from_arrays(words) if len(words) > 1 else words[0]
    return reach.sort_index().sort_values(ascending=False, kind="stable")


def _history(tables: CrmTables, object_type: ObjectType, name: str) -> pd.DataFrame:
    history = tables["property_history"]
    return history.loc[(history["object_type"] == object_type) & (history["property"] == name)]
