"""Features of the company behind a contact or a deal: its other contacts, its other deals, its properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.contact_features import Column
from features.episodes import OPEN, WON, Timelines
from features.fact_stream import FactStream, fact_stream
from features.memberships import Memberships
from features.visibility import NEVER, Int64Array


@dataclass(frozen=True)
class Own:
    """What belongs to each snapshot itself and is left out of its company's sums: (snapshot, item) pairs."""

    snapshot: Int64Array
    item: Int64Array

    def by_snapshot(self, count: int) -> FactStream:
        """Index the pairs by snapshot."""
        return fact_stream(
            objects=self.snapshot, times=np.zeros(len(self.snapshot), dtype=np.int64), object_count=count
        )


def colleagues(
    *,
    members: Memberships,
    activity: FactStream,
    companies: Int64Array,
    as_of: Int64Array,
    own: Own,
    company_count: int,
    windows_days: tuple[float, ...],
) -> dict[str, Column]:
    """Count the other contacts of each snapshot's company and what they did in each window.

    ``activity`` holds the contacts' activities; each counts for the company that its contact then belonged to, or
    came to first. ``own`` are the snapshot's own contacts. Without a company there is nothing to count: NaN.
    """
    first_known = members.first_known()
    contact = np.repeat(np.arange(len(first_known)), np.diff(activity.starts))
    times = np.maximum(activity.times, first_known[contact])
    belongs = members.at(objects=contact, as_of=np.minimum(times, NEVER - 1) + 1)
    stream = fact_stream(objects=belongs, times=times, object_count=company_count)
    joins = _joins(members, company_count=company_count)
    pairs = own.by_snapshot(len(companies))
    known, active, counts = _company_sweep(
        stream.starts,
        stream.times,
        contact[stream.rows],
        joins[0].starts,
        joins[0].times,
        joins[1],
        np.lexsort((as_of, companies)),
        companies,
        as_of,
        pairs.starts,
        own.item[pairs.rows],
        len(first_known),
        np.round(np.array(windows_days) * 86_400_000_000).astype(np.int64),
    )
    columns = {"colleagues": known, f"colleagues_active_{max(windows_days):g}d": active}
    return columns | {f"colleague_activity_{days:g}d": counts[:, w] for w, days in enumerate(windows_days)}


def company_deals(
    *,
    members: Memberships,
    timelines: Timelines,
    companies: Int64Array,
    as_of: Int64Array,
    own: Own,
    company_count: int,
) -> dict[str, Column]:
    """Count the other deals of each snapshot's company that were open, and those won and lost before the as-of.

    A deal counts for the company that it was known to belong to when it was won or lost, or while it was open.
    ``own`` are the snapshot's own deals.
    """
    deal, time, company, step = _openings(timelines, members)
    own_company, own_as_of = companies[own.snapshot], as_of[own.snapshot]
    columns = {"company_open_deals": _Steps(deal, time, company, step, company_count)}
    closings = timelines.closings
    closed = np.repeat(np.arange(len(timelines.deal_ids)), np.diff(closings.stream.starts))
    belongs = members.at(objects=closed, as_of=closings.stream.times + 1)
    undone = np.flatnonzero(closings.undone_at != NEVER)
    for name, is_won in (("company_won_deals", True), ("company_lost_deals", False)):
        chosen = (closings.outcome == WON) == is_won
        columns[name] = _Steps(
            np.append(closed, closed[undone]),
            np.append(closings.stream.times, closings.undone_at[undone]),
            np.append(belongs, belongs[undone]),
            np.append(np.ones(len(closed)), -np.ones(len(undone))) * np.append(chosen, chosen[undone]),
            company_count,
        )
    found = {}
    for name, steps in columns.items():
        mine = steps.of_deals(deals=own.item, companies=own_company, as_of=own_as_of)
        others = steps.of_companies(companies=companies, as_of=as_of)
        others -= np.bincount(own.snapshot, weights=mine, minlength=len(companies))
        found[name] = np.where(companies >= 0, others, np.nan)
    return found


class _Steps:
    """Numbers of deals that step up and down in time, by company, and by deal and company."""

    def __init__(
        self, deal: Int64Array, time: Int64Array, company: Int64Array, step: NDArray[np.float64], company_count: int
    ) -> None:
        self._count = company_count
        self._pairs, pair = np.unique(deal * company_count + company, return_inverse=True)
        counts = (company >= 0) & (step != 0)
        self._by_company = _Running(np.where(counts, company, -1), time, step, company_count)
        self._by_pair = _Running(np.where(counts, pair, -1), time, step, len(self._pairs))

    def of_companies(self, *, companies: Int64Array, as_of: Int64Array) -> Column:
        return self._by_company.at(companies, as_of)

    def of_deals(self, *, deals: Int64Array, companies: Int64Array, as_of: Int64Array) -> Column:
        wanted = deals * self._count + companies
        place = np.searchsorted(self._pairs, wanted)
        found = np.append(self._pairs, -1)[place] == wanted
        return self._by_pair.at(np.where(found & (companies >= 0), place, -1), as_of)


class _Running:
    """The sum of each group's steps before any moment."""

    def __init__(self, groups: Int64Array, time: Int64Array, step: NDArray[np.float64], group_count: int) -> None:
        self._stream = fact_stream(objects=groups, times=time, object_count=group_count)
        self._sum = np.append(0.0, np.cumsum(step[self._stream.rows]))

    def at(self, groups: Int64Array, as_of: Int64Array) -> Column:
        if not len(self._stream.times):
            return np.zeros(len(groups))
        first = self._stream.starts[np.maximum(groups, 0)]
        return np.asarray(self._sum[first + self._stream.before(objects=groups, as_of=as_of)] - self._sum[first])


def _openings(
    timelines: Timelines, members: Memberships
) -> tuple[Int64Array, Int64Array, Int64Array, NDArray[np.float64]]:
    """Return (deal, time, company, +1 or -1) whenever a company gains or loses an open deal."""
    deals = np.arange(len(timelines.deal_ids))
    deal = np.append(
        np.repeat(deals, np.diff(timelines.stream.starts)), np.repeat(deals, np.diff(members.stream.starts))
    )
    time = np.append(timelines.stream.times, members.stream.times)
    order = np.lexsort((time, deal))
    deal, time = deal[order], time[order]
    position = timelines.stream.last_before(objects=deal, as_of=time + 1)
    is_open = (position >= 0) & (np.append(timelines.outcome, -1)[position] == OPEN)
    now = np.where(is_open, members.at(objects=deal, as_of=time + 1), -1)
    same = np.append(False, deal[1:] == deal[:-1])
    before = np.where(same, np.append(-1, now[:-1]), -1) if len(now) else now
    changed = now != before
    gained, lost = np.flatnonzero(changed & (now >= 0)), np.flatnonzero(changed & (before >= 0))
    return (
        np.append(deal[gained], deal[lost]),
        np.append(time[gained], time[lost]),
        np.append(now[gained], before[lost]),
        np.append(np.ones(len(gained)), -np.ones(len(lost))),
    )


def _joins(members: Memberships, *, company_count: int) -> tuple[FactStream, Int64Array]:
    """Return when each contact was first known to belong to each company, by company, and those contacts."""
    contact = np.repeat(np.arange(len(members.stream.starts) - 1), np.diff(members.stream.starts))
    _, first = np.unique(contact * (company_count + 1) + members.company, return_index=True)
    stream = fact_stream(objects=members.company[first], times=members.stream.times[first], object_count=company_count)
    return stream, contact[first][stream.rows]


@njit(cache=True)
def _company_sweep(  # type: ignore[no-untyped-def]  # compiled by Numba
    starts,
    times,
    contact,
    join_starts,
    join_times,
    join_contact,
    order,
    companies,
    as_of,
    own_starts,
    own,
    contact_count,
    windows,
):
    n_windows = windows.shape[0]
    longest = np.argmax(windows)
    known = np.full(companies.shape[0], np.nan)
    active = np.full(companies.shape[0], np.nan)
    counts = np.full((companies.shape[0], n_windows), np.nan)
    # A contact's numbers are good only while its stamp is the present company's.
    stamp = np.full(contact_count, -1, dtype=np.int64)
    joined = np.full(contact_count, -1, dtype=np.int64)
    single = np.zeros((contact_count, n_windows))
    total = np.zeros(n_windows)
    tail = np.zeros(n_windows, dtype=np.int64)
    people = 0.0
    busy = 0.0
    head = np.int64(0)
    join = np.int64(0)
    current = np.int64(-1)
    for place in range(order.shape[0]):
        snapshot = order[place]
        company = companies[snapshot]
        if company < 0:
            continue
        if company != current:
            current = company
            head = starts[company]
            join = join_starts[company]
            total[:] = 0.0
            tail[:] = head
            people = 0.0
            busy = 0.0
        now = as_of[snapshot]
        while join < join_starts[company + 1] and join_times[join] < now:
            joined[join_contact[join]] = company
            people += 1.0
            join += 1
        while head < starts[company + 1] and times[head] < now:
            who = contact[head]
            if stamp[who] != company:
                stamp[who] = company
                single[who, :] = 0.0
            if single[who, longest] == 0.0:
                busy += 1.0
            for window in range(n_windows):
                single[who, window] += 1.0
                total[window] += 1.0
            head += 1
        for window in range(n_windows):
            limit = now - windows[window]
            while tail[window] < head and times[tail[window]] < limit:
                who = contact[tail[window]]
                single[who, window] -= 1.0
                total[window] -= 1.0
                if window == longest and single[who, window] == 0.0:
                    busy -= 1.0
                tail[window] += 1
            counts[snapshot, window] = total[window]
        known[snapshot] = people
        active[snapshot] = busy
        for item in range(own_starts[snapshot], own_starts[snapshot + 1]):
            who = own[item]
            if joined[who] == company:
                known[snapshot] -= 1.0
            if stamp[who] == company:
                if single[who, longest] > 0.0:
                    active[snapshot] -= 1.0
                for window in range(n_windows):
                    counts[snapshot, window] -= single[who, window]
    return known, active, counts
