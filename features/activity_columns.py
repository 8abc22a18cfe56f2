"""Features of what happened: columns from the kernel's sums, and the ratios and trends between them."""

from __future__ import annotations

import numpy as np

from features.behaviour import ActivityStream, Behaviour, behaviour_before
from features.contact_features import Column
from features.feature_contract import FeatureContract
from features.series import DIRECTIONS
from features.visibility import MICROSECONDS_PER_DAY, Int64Array

ANSWERS = (
    "their_last_answer_days",
    "their_mean_answer_days",
    "our_last_answer_days",
    "our_mean_answer_days",
    "waiting_for_them_days",
    "waiting_for_us_days",
)


def activity_columns(
    activities: ActivityStream, *, objects: Int64Array, as_of: Int64Array, contract: FeatureContract
) -> dict[str, Column]:
    """Return every feature of the activities of each object before its as-of."""
    summary = behaviour_before(
        activities=activities,
        objects=objects,
        as_of=as_of,
        windows_days=contract.windows_days,
        half_lives_days=contract.half_lives_days,
    )
    columns = _series_columns(summary, contract=contract)
    columns |= _mix(summary, contract=contract)
    columns |= _ends(activities, summary, objects=objects, as_of=as_of)
    columns |= _trend(activities, objects=objects, as_of=as_of, days=contract.trend_days)
    if contract.directed:
        columns |= {name: summary.answers[:, place] for place, name in enumerate(ANSWERS)}
    return columns


def _series_columns(summary: Behaviour, *, contract: FeatureContract) -> dict[str, Column]:
    plan = contract.plan
    columns: dict[str, Column] = {}
    for place, name in enumerate(plan.names[: plan.windowed]):
        columns |= {f"{name}_{days:g}d": summary.counts[:, place, w] for w, days in enumerate(contract.windows_days)}
        columns[f"{name}_total"] = summary.total[:, place]
        columns[f"days_since_{name}"] = summary.days_since[:, place]
    for number, name in enumerate(plan.names[plan.windowed :][: len(plan.outcomes)], start=plan.windowed):
        columns[f"{name}_total"] = summary.total[:, number]
    for group, prefix in enumerate(("", *(f"{direction}_" for direction in DIRECTIONS))[: summary.decayed.shape[1]]):
        for h, days in enumerate(contract.half_lives_days):
            columns[f"warmth_{prefix}{days:g}d"] = summary.decayed[:, group, h]
    for w, days in enumerate(contract.windows_days):
        columns[f"active_days_{days:g}d"] = summary.active_days[:, w]
    return columns


def _mix(summary: Behaviour, *, contract: FeatureContract) -> dict[str, Column]:
    plan, windows = contract.plan, contract.windows_days
    columns: dict[str, Column] = {}
    kinds = summary.total[:, : len(plan.kinds)]
    if plan.utc_offset_hours is not None:
        columns["working_hours_share"] = _share(summary.total[:, -1], kinds.sum(axis=1))
    if not windows:
        return columns
    longest = windows.index(max(windows))
    recent = summary.counts[:, :, longest]
    by_kind = recent[:, : len(plan.kinds)]
    columns[f"kinds_used_{windows[longest]:g}d"] = (by_kind > 0).sum(axis=1).astype(np.float64)
    columns[f"main_kind_share_{windows[longest]:g}d"] = _share(by_kind.max(axis=1, initial=0.0), by_kind.sum(axis=1))
    if plan.directed:
        inbound, outbound = recent[:, plan.inbound], recent[:, plan.inbound + 1]
        columns[f"inbound_share_{windows[longest]:g}d"] = _share(inbound, inbound + outbound)
    return columns


def _ends(
    activities: ActivityStream, summary: Behaviour, *, objects: Int64Array, as_of: Int64Array
) -> dict[str, Column]:
    """Describe the first and the last activity."""
    kinds = len(activities.plan.kinds)
    ever = np.where(np.isnan(summary.days_since[:, :kinds]), np.inf, summary.days_since[:, :kinds])
    newest = ever.min(axis=1, initial=np.inf)
    last = activities.stream.last_before(objects=objects, as_of=as_of)
    first = np.where(last >= 0, activities.stream.starts[np.maximum(objects, 0)], -1)
    began = np.zeros(len(objects), dtype=np.int64)
    began[first >= 0] = activities.stream.times[first[first >= 0]]
    return {
        "days_since_any": np.where(np.isinf(newest), np.nan, newest),
        "days_since_first": np.where(first >= 0, (as_of - began) / MICROSECONDS_PER_DAY, np.nan),
        "last_kind": activities.kind_at(last),
        "first_kind": activities.kind_at(first),
    }


def _trend(activities: ActivityStream, *, objects: Int64Array, as_of: Int64Array, days: float) -> dict[str, Column]:
    span = int(days * MICROSECONDS_PER_DAY)
    seen = [activities.stream.before(objects=objects, as_of=as_of - times * span) for times in range(3)]
    return {f"trend_{days:g}d": _share((seen[0] - seen[1]).astype(np.float64), (seen[0] - seen[2]).astype(np.float64))}


def _share(part: Column, whole: Column) -> Column:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
