"""Plain values and comments as YAML that people edit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

_PLAIN: Final = re.compile(r"[^\W\d][\w./%<>()+ -]*[\w.%)]|[^\W\d]")
_NOT_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


def scalar(value: Any) -> str:
    """Return a value, or a list of them, as YAML in one line, in quotation marks only where it needs them."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    if isinstance(value, datetime):
        return json.dumps(value.isoformat())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_WORDS:
        return value
    # YAML would fold a line separator, and knows no surrogates.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in text)


def comments(lines: Iterable[str]) -> list[str]:
    """Return lines as comments."""
    return [("# " + " ".join("".join(c if c.isprintable() else " " for c in line).split())).rstrip() for line in lines]
