"""A small made-up market in which a rule sheet is the truth: every ten of its points double the hazard of winning."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from features.tables import CrmTables
from models.rules.sheet import PointRules
from tests.features.builders import SALES_STAGES, make_tables

END: Final = pd.Timestamp("2026-01-01", tz="UTC")
TRUTH: Final = PointRules.model_validate(
    {
        "fit": {
            "cap": 30,
            "criteria": [
                {"name": "Toys", "property": "industry", "is": "toys", "points": 15},
                {"name": "Far away", "property": "country", "is": "NZ", "points": -10},
            ],
        },
        "engagement": {
            "cap": 40,
            "criteria": [
                {"name": "Asked for a demo", "activity": "demo_request", "within_days": 60, "points": 25},
                {"name": "Read a letter", "activity": "letter", "within_days": 30, "points": 5},
            ],
        },
        "thresholds": {"mql": 25},
    }
)
_WEEKS: Final = 78
_BASE_HAZARD: Final = 0.0018
_DAY: Final = pd.Timedelta(days=1)


def make_rule_market(*, contacts: int, seed: int = 1) -> CrmTables:
    """Return a year and a half of contacts who win, week by week, as their points say and as nothing else does.

    A deal is made when it is won, so that no open deal tells the outcome.
    """
    generator = np.random.default_rng(seed)
    start = END - _WEEKS * 7 * _DAY
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("contacts", "activities", "deals", "deal_contacts", "deal_stage_history")
    }
    for number in range(contacts):
        contact = f"c{number:04d}"
        first = int(generator.integers(0, _WEEKS - 8))
        toys, far = bool(generator.random() < 0.4), bool(generator.random() < 0.2)
        rows["contacts"].append(
            {
                "contact_id": contact,
                "created_at": start + first * 7 * _DAY,
                "industry": "toys" if toys else "tools",
                "country": "NZ" if far else "DE",
                "source": ("fair", "web")[number % 2],
            }
        )
        latest = {"demo_request": -99, "letter": -99, "noise": -99}
        for week in range(first, _WEEKS):
            asked, read = (7 * (week - latest[kind]) <= days for kind, days in (("demo_request", 60), ("letter", 30)))
            moment = start + (7 * week + float(generator.uniform(0.1, 6.9))) * _DAY
            if generator.random() < _BASE_HAZARD * 2 ** (1.5 * toys - 1.0 * far + 2.5 * asked + 0.5 * read):
                deal = f"d{number:04d}"
                rows["deals"].append({"deal_id": deal, "created_at": moment, "amount": 100.0})
                rows["deal_contacts"].append({"deal_id": deal, "contact_id": contact})
                rows["deal_stage_history"].append({"deal_id": deal, "stage": "won", "entered_at": moment})
                break
            for kind, often in (("demo_request", 0.02), ("letter", 0.1), ("noise", 0.1)):
                if generator.random() < often:
                    rows["activities"].append({"contact_id": contact, "type": kind, "occurred_at": moment})
                    latest[kind] = week + 1
    for number, row in enumerate(rows["activities"]):
        row["activity_id"] = f"a{number:05d}"
    return make_tables(stages=SALES_STAGES, **rows)
