"""The behaviour features read plainly from their definitions: one snapshot at a time, every activity looked at.

Slow and obvious on purpose. Both engines are held against it, on random tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import nan

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from features.discounting import Discount
from features.feature_contract import FeatureContract
from features.visibility import MICROSECONDS_PER_DAY
from tests.features.builders import make_frame

DAY = MICROSECONDS_PER_DAY
SECOND = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SIDES = (None, "inbound", "outbound")
CONTACTS = ("c0", "c1", "c2")


def contract_with(**changed: object) -> FeatureContract:
    """Return a contract with one kind that comes in bursts, a rest of other kinds, and everything that can be told."""
    told: dict[str, object] = {
        "question": "contacts",
        "kinds": ("call", "email_open", "other"),
        "windows_days": (1.0, 2.5, 7.0),
        "half_lives_days": (0.5, 7.0),
        "properties": {},
        "deal_columns": (),
        "vouched": (),
        "pipelines": (),
        "stages": (),
        "has_activities": True,
        "directed": True,
        "outcomes": (("call", "held"), ("email_open", "held")),
        "trend_days": 2.0,
        "utc_offset_hours": 2.0,
        "discount": Discount(burst_kinds=("open",), burst_seconds=2.0, max_per_day=2),
        "features": (),
    }
    return FeatureContract.model_validate(told | changed)


@dataclass(frozen=True)
class Happening:
    """One activity: when it happened and, if not at once, when that became known (microseconds)."""

    contact: str | None
    kind: str | None
    occurred: int
    known: int | None = None
    direction: str | None = None
    outcome: str | None = None
    deal: str | None = None

    @property
    def counts_from(self) -> int:
        return self.occurred if self.known is None else max(self.occurred, self.known)


def activities_frame(happenings: Sequence[Happening]) -> pd.DataFrame:
    """Return the table that a source would deliver."""
    rows = [
        {
            "contact_id": one.contact,
            "deal_id": one.deal,
            "type": one.kind,
            "occurred_at": pd.Timestamp(one.occurred, unit="us", tz="UTC"),
            "known_at": pd.NaT if one.known is None else pd.Timestamp(one.known, unit="us", tz="UTC"),
            "direction": one.direction,
            "outcome": one.outcome,
        }
        for one in happenings
    ]
    return make_frame("activities", rows)


# Quarters of a day meet the borders of days, windows and working hours again and again; some seconds make bursts.
quarters = st.integers(0, 30).map(lambda quarter: 19_000 * DAY + quarter * (DAY // 4))
moments = st.builds(lambda quarter, seconds: quarter + seconds * SECOND, quarters, st.integers(0, 5))
happenings = st.builds(
    Happening,
    contact=st.sampled_from(["c0", *["c1"] * 4, "nobody", None]),
    kind=st.sampled_from(["call", "email_open", "email_open", "fax", None]),
    occurred=moments,
    known=st.none() | st.none() | moments,
    direction=st.sampled_from(["inbound", "outbound", "sideways", None]),
    outcome=st.sampled_from(["held", "missed", None]),
)
snapshots = st.lists(st.tuples(st.sampled_from([*CONTACTS, "c1"]), quarters | moments), min_size=1, max_size=12)


def plain_row(own: Sequence[Happening], *, as_of: int, contract: FeatureContract) -> dict[str, float]:
    """Return every activity feature of an object to whom ``own`` happened, by the definitions of docs/features.md."""
    past = counting([one for one in in_order(own, contract) if one.counts_from < as_of], contract)
    kinds = [kind_of(one, contract) for one in past]
    row: dict[str, float] = {}
    for name in (*contract.kinds, *SIDES[1:]):
        times = [one.counts_from for one, kind in zip(past, kinds, strict=True) if name in (kind, one.direction)]
        for days in contract.windows_days:
            row[f"{name}_{days:g}d"] = sum(time >= as_of - days * DAY for time in times)
        row[f"{name}_total"] = len(times)
        row[f"days_since_{name}"] = (as_of - max(times)) / DAY if times else nan
    for kind, outcome in contract.outcomes:
        row[f"{kind}_{outcome}_total"] = sum(
            (found, one.outcome) == (kind, outcome) for one, found in zip(past, kinds, strict=True)
        )
    for side, prefix in zip(SIDES, ("", "inbound_", "outbound_"), strict=True):
        for days in contract.half_lives_days:
            ages = [(as_of - one.counts_from) / DAY for one in past if side in (None, one.direction)]
            row[f"warmth_{prefix}{days:g}d"] = sum(0.5 ** (age / days) for age in ages)
    for days in contract.windows_days:
        row[f"active_days_{days:g}d"] = len(
            {one.counts_from // DAY for one in past if one.counts_from >= as_of - days * DAY}
        )
    return row | _mix(past, kinds, as_of, contract) | _ends(past, kinds, as_of, contract) | _answers(past, as_of)


def in_order(own: Sequence[Happening], contract: FeatureContract) -> list[Happening]:
    """Order as things became known; at one instant by when they happened, then kind, direction and outcome."""
    counted = [one for one in own if kind_of(one, contract) is not None]
    listed = {pair: place for place, pair in enumerate(contract.outcomes, start=1)}
    return sorted(
        counted,
        key=lambda one: (
            one.counts_from,
            one.occurred,
            contract.kinds.index(str(kind_of(one, contract))),
            SIDES.index(one.direction if one.direction in SIDES else None),
            listed.get((str(kind_of(one, contract)), str(one.outcome)), 0),
        ),
    )


def kind_of(one: Happening, contract: FeatureContract) -> str | None:
    """Return the kind that an activity is counted as, None if as none."""
    return one.kind if one.kind in contract.kinds else "other" if "other" in contract.kinds else None


def counting(past: Sequence[Happening], contract: FeatureContract) -> list[Happening]:
    """Leave out what machines did: what follows the same kind at once, and what exceeds the limit of a day."""
    rules = contract.discount
    latest: dict[str, int] = {}
    of_day: Counter[int] = Counter()
    kept = []
    for one in past:
        kind, day = str(kind_of(one, contract)), one.occurred // DAY
        before = latest.get(kind)
        latest[kind] = one.occurred
        bursts = rules.burst_seconds > 0 and any(word in kind for word in rules.burst_kinds)
        if bursts and before is not None and abs(one.occurred - before) <= rules.burst_seconds * SECOND:
            continue
        if rules.max_per_day and of_day[day] == rules.max_per_day:
            continue
        of_day[day] += 1
        kept.append(one)
    return kept


def _mix(
    past: Sequence[Happening], kinds: Sequence[str | None], as_of: int, contract: FeatureContract
) -> dict[str, float]:
    longest = max(contract.windows_days)
    recent = [(one, kind) for one, kind in zip(past, kinds, strict=True) if one.counts_from >= as_of - longest * DAY]
    per_kind = Counter(kind for _, kind in recent)
    theirs, ours = (sum(one.direction == side for one, _ in recent) for side in SIDES[1:])
    span = int(contract.trend_days * DAY)
    last = sum(one.counts_from >= as_of - span for one in past)
    both = sum(one.counts_from >= as_of - 2 * span for one in past)
    return {
        f"kinds_used_{longest:g}d": len(per_kind),
        f"main_kind_share_{longest:g}d": max(per_kind.values()) / len(recent) if recent else nan,
        f"inbound_share_{longest:g}d": theirs / (theirs + ours) if theirs + ours else nan,
        "working_hours_share": np.mean([_in_working_hours(one, contract) for one in past]).item() if past else nan,
        f"trend_{contract.trend_days:g}d": last / both if both else nan,
    }


def _in_working_hours(one: Happening, contract: FeatureContract) -> bool:
    local = EPOCH + timedelta(microseconds=one.occurred, hours=contract.utc_offset_hours)
    return local.weekday() < 5 and 8 <= local.hour < 18


def _ends(
    past: Sequence[Happening], kinds: Sequence[str | None], as_of: int, contract: FeatureContract
) -> dict[str, float]:
    if not past:
        return dict.fromkeys(("days_since_any", "days_since_first", "first_kind", "last_kind"), nan)
    return {
        "days_since_any": (as_of - past[-1].counts_from) / DAY,
        "days_since_first": (as_of - past[0].counts_from) / DAY,
        "first_kind": contract.kinds.index(str(kinds[0])),
        "last_kind": contract.kinds.index(str(kinds[-1])),
    }


def _answers(past: Sequence[Happening], as_of: int) -> dict[str, float]:
    """Read the conversation turn by turn: a turn begins with the first of one or several of the same side."""
    turns: list[tuple[str, int]] = []
    for one in past:
        if one.direction in SIDES[1:] and (not turns or turns[-1][0] != one.direction):
            turns.append((str(one.direction), one.counts_from))
    row: dict[str, float] = {}
    for whose, side in (("their", "inbound"), ("our", "outbound")):
        took = [(answered - asked) / DAY for (_, asked), (who, answered) in pairwise(turns) if who == side]
        row[f"{whose}_last_answer_days"] = took[-1] if took else nan
        row[f"{whose}_mean_answer_days"] = sum(took) / len(took) if took else nan
    for waited_for, last in (("them", "outbound"), ("us", "inbound")):
        waits = bool(turns) and turns[-1][0] == last
        row[f"waiting_for_{waited_for}_days"] = (as_of - turns[-1][1]) / DAY if waits else nan
    return row


def is_exact(name: str) -> bool:
    """Say whether a feature is a count or a code, which no engine may miss by the least."""
    return name in ("first_kind", "last_kind") or (
        name.endswith(("d", "total")) and not name.startswith(("warmth", "main_kind", "inbound_share", "trend"))
    )


def assert_agrees(found: dict[str, np.ndarray], expected: Sequence[dict[str, float]]) -> None:
    """Compare whole columns with plain rows: the same names, counts exactly, the rest to 1e-9."""
    assert set(found) == set(expected[0])
    for name, column in found.items():
        plain = np.array([row[name] for row in expected], dtype=np.float64)
        if is_exact(name):
            np.testing.assert_array_equal(column, plain, err_msg=name)
        else:
            np.testing.assert_allclose(column, plain, rtol=1e-9, atol=1e-12, err_msg=name)
