"""Rule sheets as files: written as YAML that people edit, and read from a spreadsheet's CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from flows.config_file import ConfigurationError
from flows.settings import load_rule_file
from flows.yaml_text import comments, scalar
from models.rules.language import SheetLine
from models.rules.sheet import PointRules

_COLUMNS: Final = {
    "criterion": ("criterion", "rule", "condition", "kriterium", "regel"),
    "points": ("points", "score", "punkte"),
    "group": ("group", "category", "gruppe"),
}


def rules_text(rules: PointRules, *, head: Sequence[str] = (), foot: Sequence[str] = ()) -> str:
    """Return a rule sheet as YAML, a criterion a line; ``head`` and ``foot`` become comments."""
    lines = comments(head)
    for name, group in rules.groups():
        if not group.criteria:
            continue
        lines.append(f"{scalar(name)}:")
        settings = group.model_dump(exclude_defaults=True, exclude={"criteria"})
        lines += [f"  {key}: {scalar(value)}" for key, value in settings.items()]
        lines.append("  criteria:")
        for criterion in group.criteria:
            keys = criterion.model_dump(by_alias=True, exclude_defaults=True)
            ordered = {"name": keys.pop("name"), **{key: keys[key] for key in keys if key != "points"}}
            ordered["points"] = criterion.points
            lines.append("    - {" + ", ".join(f"{key}: {scalar(value)}" for key, value in ordered.items()) + "}")
    for key in ("cap", "floor", "learned_until"):
        if getattr(rules, key) is not None:
            lines.append(f"{key}: {scalar(getattr(rules, key))}")
    thresholds = rules.thresholds.model_dump(exclude_none=True)
    if thresholds:
        lines.append("thresholds: {" + ", ".join(f"{key}: {scalar(value)}" for key, value in thresholds.items()) + "}")
    return "\n".join([*lines, *comments(foot)]) + "\n"


def write_rules(file: Path, text: str) -> PointRules:
    """Write a new rule sheet and read it back; a file that is there already is left as it is."""
    refuse_existing(file)
    file.write_text(text, encoding="utf-8")
    return load_rule_file(file)


def refuse_existing(file: Path) -> None:
    """Raise ``ConfigurationError`` if a new rule sheet cannot be written there without losing another."""
    if file.exists():
        raise ConfigurationError(file=file, message="is there already; name another file with --out, or remove it")
    if not file.parent.is_dir():
        raise ConfigurationError(file=file, message=f"the folder {file.parent} does not exist; make it first")


def read_csv(file: Path) -> list[SheetLine]:
    """Read a spreadsheet's lines: criterion, points and perhaps group, with or without a heading.

    The separator may be a comma, a semicolon or a tab.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigurationError(file=file, message="no such file; name the CSV export of your sheet") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(file=file, message="cannot be read as UTF-8 text; export it as CSV UTF-8") from error
    first = text.partition("\n")[0]
    separator = max(";\t,", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(cell.strip() for cell in row)]
    if not numbered:
        raise ConfigurationError(file=file, message="holds no line; it needs the columns criterion and points")
    place = _places(numbered[0][1])
    body = numbered[1:] if place else numbered
    place = place or {"criterion": 0, "points": 1, "group": 2}
    return [
        SheetLine(number=number, **{key: row[at] if at < len(row) else "" for key, at in place.items()})
        for number, row in body
    ]


def _places(heading: Iterable[str]) -> dict[str, int]:
    """Return where each column stands, or nothing if this line is no heading."""
    words = [cell.strip().lower() for cell in heading]
    found = {key: words.index(word) for key, names in _COLUMNS.items() for word in names if word in words}
    return found if {"criterion", "points"} <= set(found) else {}
