"""What all activities of a warehouse look like in numbers, counted where they lie, whatever their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from features.plausibility import OF_LATE, TableProfile

_WORDS: Final = ("contact_id", "deal_id", "type", "direction", "outcome", "name", "owner_id")
_CURRENT: Final = "activity where is_current"
_DAY: Final = 86_400_000_000


def profile_activities(ask: Callable[[str], list[tuple[Any, ...]]]) -> TableProfile:
    """Return the profile; ``ask`` answers queries to the warehouse, whose missing words are -1."""
    counts = ", ".join(f"count(*) filter ({name} >= 0)" for name in _WORDS)
    ((rows, *filled),) = ask(f"select count(*), {counts} from {_CURRENT}")
    if not rows:
        return TableProfile(rows=0)
    commonest = {}
    for name, count in zip(_WORDS, filled, strict=True):
        ((most,),) = ask(
            f"select coalesce(max(times), 0) from "
            f"(select count(*) as times from {_CURRENT} and {name} >= 0 group by {name})"
        )
        commonest[name] = round(most / count, 6) if count else 0.0
    kinds = ask(
        "select value, count(*) from word_type join activity on type = code where is_current group by 1 order by 1"
    )
    days = ask(f"select occurred_at // {_DAY}, count(*) from {_CURRENT} group by 1 order by 1")
    return TableProfile(
        rows=rows,
        filled={name: round(count / rows, 6) for name, count in zip(_WORDS, filled, strict=True)},
        commonest=commonest,
        kinds=dict(kinds),
        late=_late(days, rows=rows),
    )


def _late(days: list[tuple[int, int]], *, rows: int) -> str:
    """Return the day by whose end all but the last hundredth has happened; an exact rank would need all times."""
    happened = np.cumsum([count for _, count in days])
    day, _ = days[int(np.searchsorted(happened, rows * OF_LATE))]
    return pd.Timestamp(day, unit="D", tz="UTC").isoformat()
