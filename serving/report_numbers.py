"""How the report writes numbers, dates and text from the data; a German report would write them otherwise."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final

LONGEST_TEXT: Final = 600
NOT_AVAILABLE: Final = "n/a"
_NBSP: Final = "\N{NO-BREAK SPACE}"
_DASH: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"

# Controls, halves of surrogate pairs, and marks that turn the direction of the text around them.
_UNSAFE: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_E_MAIL: Final = re.compile(r"[^\s@<>\"'(),;:]{1,64}@[^\s@<>\"'(),;:]{1,255}")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_HYPHEN: Final = re.compile(r"(?<![\w\-.,/])-(?=\d)")
_BARE_PERCENT: Final = re.compile(r"(?<=\d)%")
_RANGE_OF_NUMBERS: Final = re.compile(r"-?[\d,.]+%?( to -?[\d,.]+%?)?")
_NO_DECIMALS: Final = re.compile(r"(?<=\d)\.0+(?!\d)")


def inert(text: object, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from the data fit to show: no control or direction marks, no e-mail address, not endless.

    >>> inert("a\\0b, write to jane@example.org")
    'a\\ufffdb, write to [address removed]'
    """
    shown = str(text)[: 4 * longest]
    shown = _E_MAIL.sub("[address removed]", _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", shown))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def typeset(text: str) -> str:
    """Write the numbers in a text from elsewhere as this report writes its own.

    >>> typeset("days until the close date: -22, 60% there").replace("\\xa0", " ")
    'days until the close date: −22, 60 % there'
    """
    return _BARE_PERCENT.sub(f"{_NBSP}%", _HYPHEN.sub(_MINUS, text))


def bin_label(label: str) -> str:
    """Write the values of a bin without decimals that say nothing.

    >>> bin_label("1.00 to 2.50"), bin_label("0.00 to 0.00"), bin_label("plan 2.00")
    ('1 to 2.50', '0', 'plan 2.00')
    """
    if not _RANGE_OF_NUMBERS.fullmatch(label):
        return label
    first, _, last = _NO_DECIMALS.sub("", label).partition(" to ")
    return typeset(first if first == last or not last else f"{first} to {last}")


def as_sentence(text: str) -> str:
    """Give a text from elsewhere a capital letter and a full stop.

    >>> as_sentence("it beats the rules (log loss -0.1)")
    'It beats the rules (log loss −0.1).'
    """
    written = typeset(text.strip())
    return f"{written[:1].upper()}{written[1:]}{'' if written.endswith(('.', '!', '?', '…')) or not written else '.'}"


def finite(value: object) -> bool:
    """Say whether there is a number to show.

    >>> finite(0.5), finite(None), finite(float("nan"))
    (True, False, False)
    """
    return isinstance(value, int | float) and math.isfinite(value)


def count(value: float | None) -> str:
    """Write a whole number.

    >>> count(12345.0)
    '12,345'
    """
    return f"{value:,.0f}".replace("-", _MINUS) if value is not None and finite(value) else NOT_AVAILABLE


def plural(value: float, one: str, many: str) -> str:
    """Write a count with its noun."""
    return f"{count(value)} {one if value == 1 else many}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed number of decimals, and a true minus sign."""
    if value is None or not finite(value):
        return NOT_AVAILABLE
    written = f"{value:,.{digits}f}"
    return (written.lstrip("-") if not float(written.replace(",", "")) else written).replace("-", _MINUS)


def percent(value: float | None) -> str:
    """Write a share as a percentage, with as many decimals as its size needs.

    >>> [percent(share).replace("\\xa0", " ") for share in (0.314, 0.0314, 0.00314, 0.9996, 0.00001)]
    ['31 %', '3.1 %', '0.31 %', '99.9 %', '<0.01 %']
    """
    if value is None or not finite(value):
        return NOT_AVAILABLE
    if 0.0 < value < 0.0001:
        return f"<0.01{_NBSP}%"
    if 0.99 < value < 1.0:
        return f"{min(100 * value, 99.9):.1f}{_NBSP}%"
    digits = 0 if value >= 0.0995 or value == 0.0 else 1 if value >= 0.00995 else 2
    return f"{100 * value:.{digits}f}{_NBSP}%"


def percent_range(low: float | None, high: float | None) -> str:
    """Write the two ends of an interval of shares."""
    if not (finite(low) and finite(high)):
        return NOT_AVAILABLE
    first, last = percent(low), percent(high)
    return first if first == last else f"{first.removesuffix(f'{_NBSP}%')}{_DASH}{last}"


def number_range(low: float | None, high: float | None, digits: int = 3) -> str:
    """Write the two ends of an interval of numbers.

    >>> number_range(-0.1, 0.2, 1), number_range(0.1, 0.2, 1)
    ('−0.1 to 0.2', '0.1–0.2')
    """
    if low is None or not finite(low) or not finite(high):
        return NOT_AVAILABLE
    first, last = number(low, digits), number(high, digits)
    return first if first == last else f"{first}{' to ' if low < 0 else _DASH}{last}"


def points(value: float | None, *, signed: bool = True) -> str:
    """Write a difference of probabilities in percentage points.

    >>> points(0.031).replace("\\xa0", " "), points(0.031, signed=False).replace("\\xa0", " ")
    ('+3.1 pp', '3.1 pp')
    """
    if value is None or not finite(value):
        return NOT_AVAILABLE
    digits = 1 if abs(value) >= 0.00095 else 2
    written = number(100 * value, digits)
    return f"{'+' if signed and value > 0 and float(written) != 0 else ''}{written}{_NBSP}pp"


def day(value: datetime | str | None) -> str:
    """Write a date.

    >>> day("2026-03-01T00:00:00+00:00")
    '1 March 2026'
    """
    if value is None:
        return NOT_AVAILABLE
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def instant(value: datetime) -> str:
    """Write a date with its time of day, in UTC as everywhere in the product."""
    return f"{day(value)}, {value.hour:02d}:{value.minute:02d} UTC"


def span(days: float) -> str:
    """Write how long it is between two times.

    >>> span(0.25), span(1.0), span(12.4)
    ('6 hours', '24 hours', '12 days')
    """
    return plural(round(24 * days), "hour", "hours") if days < 2 else plural(round(days), "day", "days")
