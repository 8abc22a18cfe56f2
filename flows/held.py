"""What was held back: a record in the home, there until tables are accepted again, for people and monitors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from features.findings import Finding
from features.plausibility import WHAT_TO_DO
from models.promotion_log import replace_file

HELD: Final = "held.json"


def keep_held(home: Path, findings: Sequence[Finding], *, at: datetime) -> None:
    """Note that tables were held back, when, and why."""
    told = {"at": at.isoformat(timespec="seconds"), "reasons": [finding.to_dict() for finding in findings]}
    replace_file(home / HELD, (json.dumps(told, indent=1) + "\n").encode())


def read_held(home: Path) -> dict[str, Any] | None:
    """Return the record, if tables are held back."""
    try:
        told: dict[str, Any] = json.loads((home / HELD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return told


def held_words(told: Mapping[str, Any]) -> str:
    """Say what is held back, why, and what to do."""
    why = "; ".join(reason["message"] for reason in told["reasons"])
    return f"the tables of {told['at']}: {why}; {WHAT_TO_DO}"


def forget_held(home: Path) -> None:
    """Remove the record: tables were accepted."""
    (home / HELD).unlink(missing_ok=True)
