"""How the report writes numbers, dates and text from the data, in the manner of a language."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LONGEST_TEXT: Final = 600
_NBSP: Final = "\N{NO-BREAK SPACE}"
_DASH: Final = "\N{EN DASH}"
_MINUS: Final = "\N{MINUS SIGN}"

# Controls, halves of surrogate pairs, and marks that turn the direction of the text around them.
_UNSAFE: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_E_MAIL: Final = re.compile(r"[^\s@<>\"'(),;:]{1,64}@[^\s@<>\"'(),;:]{1,255}")
_HYPHEN: Final = re.compile(r"(?<![\w\-.,/])-(?=\d)")
_BARE_PERCENT: Final = re.compile(r"(?<=\d)%")
_RANGE_OF_NUMBERS: Final = re.compile(r"-?[\d,.]+%?( to -?[\d,.]+%?)?")
_NO_DECIMALS: Final = re.compile(r"(?<=\d)\.0+(?!\d)")
_NUMBER: Final = re.compile(
    r"(?<![\w.,:-])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w.,:-]*\w)|(?<![\w.,:-])\d+\.\d+(?![\w.:-]*\w)"
)


def inert(text: object, *, longest: int = LONGEST_TEXT) -> str:
    """Return text from the data fit to show: no control or direction marks, no e-mail address, not endless.

    >>> inert("a\\0b, write to jane@example.org")
    'a\\ufffdb, write to [address removed]'
    """
    shown = str(text)[: 4 * longest]
    shown = _E_MAIL.sub("[address removed]", _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", shown))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def typeset(text: str) -> str:
    """Write signs and percentages in a text from elsewhere as this report writes its own.

    >>> typeset("days until the close date: -22, 60% there").replace("\\xa0", " ")
    'days until the close date: −22, 60 % there'
    """
    return _BARE_PERCENT.sub(f"{_NBSP}%", _HYPHEN.sub(_MINUS, text))


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


@dataclass(frozen=True)
class Numbers:
    """The numbers and dates of one language; without arguments, English."""

    decimal: str = "."
    thousands: str = ","
    not_available: str = "n/a"
    to: str = "to"
    percentage_points: str = "pp"
    months: Sequence[str] = (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    )  # fmt: skip
    day_form: str = "{day} {month} {year}"
    instant_form: str = "{day}, {hour}:{minute} UTC"
    hours: tuple[str, str] = ("hour", "hours")
    days: tuple[str, str] = ("day", "days")

    def count(self, value: float | None) -> str:
        """Write a whole number.

        >>> Numbers().count(12345.0), Numbers(decimal=",", thousands=".").count(12345)
        ('12,345', '12.345')
        """
        return self._written(f"{value:,.0f}") if value is not None and finite(value) else self.not_available

    def plural(self, value: float, one: str, many: str) -> str:
        """Write a count with its noun."""
        return f"{self.count(value)} {one if value == 1 else many}"

    def number(self, value: float | None, digits: int = 3) -> str:
        """Write a number with a fixed number of decimals, and a true minus sign.

        >>> Numbers(decimal=",", thousands=".").number(-1234.5, 1)
        '−1.234,5'
        """
        if value is None or not finite(value):
            return self.not_available
        written = f"{value:,.{digits}f}"
        return self._written(written.lstrip("-") if not float(written.replace(",", "")) else written)

    def percent(self, value: float | None) -> str:
        """Write a share as a percentage, with as many decimals as its size needs.

        >>> [Numbers().percent(share).replace("\\xa0", " ") for share in (0.314, 0.0314, 0.00314, 0.9996, 0.00001)]
        ['31 %', '3.1 %', '0.31 %', '99.9 %', '<0.01 %']
        """
        if value is None or not finite(value):
            return self.not_available
        if 0.0 < value < 0.0001:
            return f"<{self._written('0.01')}{_NBSP}%"
        if 0.99 < value < 1.0:
            return f"{self._written(f'{min(100 * value, 99.9):.1f}')}{_NBSP}%"
        digits = 0 if value >= 0.0995 or value == 0.0 else 1 if value >= 0.00995 else 2
        return f"{self._written(f'{100 * value:.{digits}f}')}{_NBSP}%"

    def tick(self, value: float) -> str:
        """Write a share on an axis, as short as it goes."""
        return f"{self._written(f'{100 * value:.3g}')}{_NBSP}%"

    def percent_range(self, low: float | None, high: float | None) -> str:
        """Write the two ends of an interval of shares."""
        if not (finite(low) and finite(high)):
            return self.not_available
        first, last = self.percent(low), self.percent(high)
        return first if first == last else f"{first.removesuffix(f'{_NBSP}%')}{_DASH}{last}"

    def number_range(self, low: float | None, high: float | None, digits: int = 3) -> str:
        """Write the two ends of an interval of numbers.

        >>> Numbers().number_range(-0.1, 0.2, 1), Numbers().number_range(0.1, 0.2, 1)
        ('−0.1 to 0.2', '0.1–0.2')
        """
        if low is None or not finite(low) or not finite(high):
            return self.not_available
        first, last = self.number(low, digits), self.number(high, digits)
        return first if first == last else f"{first}{f' {self.to} ' if low < 0 else _DASH}{last}"

    def points(self, value: float | None, *, signed: bool = True) -> str:
        """Write a difference of probabilities in percentage points.

        >>> Numbers().points(0.031).replace("\\xa0", " "), Numbers().points(0.031, signed=False).replace("\\xa0", " ")
        ('+3.1 pp', '3.1 pp')
        """
        if value is None or not finite(value):
            return self.not_available
        written = self.number(100 * value, 1 if abs(value) >= 0.00095 else 2)
        return f"{'+' if signed and value > 0 and written.strip('0.,') else ''}{written}{_NBSP}{self.percentage_points}"

    def points_range(self, low: float | None, high: float | None) -> str:
        """Write the two ends of an interval of percentage points.

        >>> Numbers().points_range(-0.02, 0.031).replace("\\xa0", " ")
        '−2.0 to +3.1 pp'
        """
        if low is None or not finite(low) or not finite(high):
            return self.not_available
        unit = f"{_NBSP}{self.percentage_points}"
        return f"{self.points(low).removesuffix(unit)} {self.to} {self.points(high)}"

    def day(self, value: datetime | str | None) -> str:
        """Write a date.

        >>> Numbers().day("2026-03-01T00:00:00+00:00")
        '1 March 2026'
        """
        if value is None:
            return self.not_available
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return self.day_form.format(day=moment.day, month=self.months[moment.month - 1], year=moment.year)

    def instant(self, value: datetime | str) -> str:
        """Write a date with its time of day, in UTC as everywhere in the product."""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return self.instant_form.format(day=self.day(moment), hour=f"{moment.hour:02d}", minute=f"{moment.minute:02d}")

    def span(self, days: float) -> str:
        """Write how long it is between two times.

        >>> Numbers().span(0.25), Numbers().span(1.0), Numbers().span(12.4)
        ('6 hours', '24 hours', '12 days')
        """
        return self.plural(round(24 * days), *self.hours) if days < 2 else self.plural(round(days), *self.days)

    def localised(self, text: str) -> str:
        """Write the numbers in an English text in the manner of this language.

        >>> Numbers(decimal=",", thousands=".").localised("days since the last call: 1,203.5 of 2.25")
        'days since the last call: 1.203,5 of 2,25'
        """
        return _NUMBER.sub(lambda found: self._written(found.group()), text)

    def bin_label(self, label: str) -> str:
        """Write the values of a bin without decimals that say nothing.

        >>> Numbers().bin_label("1.00 to 2.50"), Numbers().bin_label("0.00 to 0.00"), Numbers().bin_label("plan 2.00")
        ('1 to 2.50', '0', 'plan 2.00')
        """
        if not _RANGE_OF_NUMBERS.fullmatch(label):
            return label
        first, _, last = _NO_DECIMALS.sub("", label).partition(" to ")
        both = (self._written(first), self._written(last))
        return typeset(both[0] if first == last or not last else f"{both[0]} {self.to} {both[1]}")

    def _written(self, english: str) -> str:
        swapped = {",": self.thousands, ".": self.decimal}
        return "".join(swapped.get(sign, sign) for sign in english).replace("-", _MINUS)


ENGLISH: Final = Numbers()
NOT_AVAILABLE: Final = ENGLISH.not_available
# Pages in English alone say the plain names.
count, plural, number, percent = ENGLISH.count, ENGLISH.plural, ENGLISH.number, ENGLISH.percent
percent_range, number_range, points = ENGLISH.percent_range, ENGLISH.number_range, ENGLISH.points
day, instant, span, bin_label = ENGLISH.day, ENGLISH.instant, ENGLISH.span, ENGLISH.bin_label
