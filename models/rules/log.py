"""One contact's points at an as-of, line by line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.errors import LeadScoringError
from features.properties import PropertySettings
from features.tables import CrmTables
from features.visibility import as_known_at
from models.evaluation import as_plain
from models.rules.replay import apply_rules
from models.rules.sheet import PointRules

State = Literal["held", "did not hold", "not known", "limit"]


class UnknownContactError(LeadScoringError):
    """A contact was asked for that nobody knew at the as-of."""

    def __init__(self, *, contact_id: str, as_of: pd.Timestamp) -> None:
        self.contact_id, self.as_of = contact_id, as_of
        super().__init__(
            f"contact {contact_id!r} was not known as of {as_of.isoformat()}; correct the id, or choose a later --as-of"
        )


@dataclass(frozen=True)
class PointLine:
    """What one criterion or limit gave."""

    group: str
    name: str
    state: State
    points: float


@dataclass(frozen=True)
class PointLog:
    """The lines of one contact, which add up to its total; None where points are not known."""

    contact_id: str
    as_of: datetime
    lines: tuple[PointLine, ...]
    groups: tuple[tuple[str, float | None], ...]
    total: float | None
    grade: str | None
    reached: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        content: dict[str, Any] = as_plain(self)
        return {**content, "groups": dict(self.groups)}


def point_log(
    *, rules: PointRules, tables: CrmTables, contact_id: str, as_of: pd.Timestamp, properties: PropertySettings
) -> PointLog:
    """Replay the rules for one contact. Raises ``UnknownContactError`` if it was not known by then."""
    as_of = as_of.as_unit("us")
    known = as_known_at(tables, as_of=as_of)
    if not (known["contacts"]["contact_id"] == contact_id).any():
        raise UnknownContactError(contact_id=contact_id, as_of=as_of)
    snapshot = pd.DataFrame({"contact_id": pd.Series([contact_id], dtype="str"), "as_of": as_of})
    points = apply_rules(rules=rules, tables=known, snapshots=snapshot, properties=properties)
    given, judged, times = points.log[0], points.judged[0], points.times[0]
    lines = []
    for place, line in enumerate(points.lines):
        state: State = "limit"
        if line.subject is not None:
            state = "not known" if not judged[place] else "held" if times[place] > 0 else "did not hold"
        lines.append(PointLine(group=line.group, name=line.name, state=state, points=float(given[place])))
    total = _known(points.total[0])
    return PointLog(
        contact_id=contact_id,
        as_of=as_of.to_pydatetime(),
        lines=tuple(lines),
        groups=tuple((name, _known(points.of_group(name)[0])) for name, group in rules.groups() if group.criteria),
        total=total,
        grade=points.grades(rules)[0],
        reached=tuple(name for name, value in rules.thresholds.named().items() if total is not None and total >= value),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
