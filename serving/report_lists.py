"""The likeliest contacts or deals, each with what speaks for and against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from serving.report_disagreements import told_reasons
from serving.report_groups import known_number
from serving.report_language import Language

Row = Mapping[str, Any]

TOP_ROWS: Final = 10
REASONS_EACH_WAY: Final = 3


@dataclass(frozen=True)
class TopRow:
    """One of the likeliest: its probability, how sure, and what speaks for and against it."""

    id: str
    probability: float
    low: float | None
    high: float | None
    up: tuple[Row, ...]
    down: tuple[Row, ...]


def likeliest(lang: Language, known: pd.DataFrame, *, id_column: str, probability: str) -> tuple[TopRow, ...]:
    """Return the ten with the highest probability, the largest first and equals by id."""
    low, high = ("likelihood_low", "likelihood_high") if id_column == "contact_id" else ("win_low", "win_high")
    best = known.sort_values([probability, id_column], ascending=[False, True], kind="stable").head(TOP_ROWS)
    rows = []
    for row in best.to_dict("records"):
        told = told_reasons(lang, row["reasons"], each_way=REASONS_EACH_WAY)
        rows.append(
            TopRow(
                id=str(row[id_column]),
                probability=float(row[probability]),
                low=known_number(row[low]),
                high=known_number(row[high]),
                up=tuple(each for each in told if each["effect"] > 0),
                down=tuple(each for each in told if each["effect"] < 0),
            )
        )
    return tuple(rows)
