"""How the report counts rows into groups: tiers, agreement, bands of probability, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from serving.report_language import Language

Row = Mapping[str, Any]

_BANDS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
_MOST_COLUMNS: Final = 12


def contact_groups(lang: Language, rows: pd.DataFrame) -> Mapping[str, tuple[Row, ...]]:
    """Count contacts by tier and by agreement with the points."""

    def group(column: str, names: Mapping[str, str]) -> tuple[Row, ...]:
        if not rows[column].notna().any():
            return ()
        parts = [(name, rows.loc[rows[column] == value, "close_likelihood"]) for value, name in names.items()]
        return tuple(
            {
                "name": name,
                "rows": len(part),
                "share": len(part) / len(rows),
                "mean": known_number(part.mean()),
                "low": known_number(part.min()),
                "high": known_number(part.max()),
                "wins": float(part.sum()),
            }
            for name, part in parts
        )

    return {
        "tiers": group("tier", lang.names["tiers"]),
        "agreement": group("agreement", lang.names["agreements"]),
    }


def deal_groups(rows: pd.DataFrame) -> Mapping[str, tuple[Row, ...]]:
    """Count the scored deals in bands of probability, with what they are worth."""
    bands = []
    for low, high in reversed(list(pairwise(_BANDS))):
        inside = rows["win_probability"].ge(low) & (rows["win_probability"].lt(high) | (high == 1.0))
        part = rows[inside]
        bands.append(
            {
                "low": low,
                "high": high,
                "rows": len(part),
                "wins": float(part["win_probability"].sum()),
                "amount": known_number(part["amount"].sum(min_count=1)),
                "expected": known_number(part["expected_value"].sum(min_count=1)),
                "stalled": int(part["stalled"].fillna(False).astype(bool).sum()),
            }
        )
    return {"bands": tuple(bands) if len(rows) else ()}


def not_scored(reasons: pd.Series) -> Mapping[str, int]:
    """Count what was not scored by the reason, as far as it stands before a colon: what follows is of one case."""
    kinds = reasons.fillna("").map(lambda reason: str(reason).partition(":")[0].strip())
    return {str(reason): int(rows) for reason, rows in kinds.value_counts(sort=True).items()}


def left_out_lines(lang: Language, left_out: Sequence[Row]) -> tuple[Row, ...]:
    """Bring what was left out for the same reason onto one line: the columns of a table, or whole tables."""
    lines: dict[tuple[str, str], list[str]] = {}
    for each in left_out:
        table = str(each["table"]) if each["column"] else ""
        lines.setdefault((table, str(each["reason"])), []).append(str(each["column"] or each["table"]))
    return tuple(
        {
            "table": table or _listed(lang, names),
            "column": _listed(lang, names)
            if table
            else lang.texts["whole_table" if len(names) == 1 else "whole_tables"],
            "reason": reason,
        }
        for (table, reason), names in lines.items()
    )


def known_number(value: Any) -> float | None:
    """Return a number, or None for any kind of missing."""
    return None if pd.isna(value) else float(value)


def _listed(lang: Language, names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_COLUMNS])
    more = len(names) - _MOST_COLUMNS
    return f"{shown} {lang.texts['and_more'].format(more=more)}" if more > 0 else shown
