"""The small language of rule sheets kept in a spreadsheet: one line of words becomes one criterion.

Properties   ``industry is software``; ``country in DE, AT``; ``title contains head``; ``phone is known`` (or unknown);
             ``employees between 50 and 500``; ``employees at least 50``; ``employees at most 500``
Companies    the same after ``company``: ``company industry is software``
Behaviour    ``did demo_request``; ``did page_view or webinar 5 times in 28 days``; ``did page_view named pricing``
Each time    ``each webinar up to 30 points``; ``each email_click in 28 days``
Fading       ``each webinar halving every 30 days``; ``did demo_request fading 20 % a month``
Silence      ``inactive for 60 days``
Deals        ``open deal``; ``open deal in stage Offer worth at least 5000``; ``lost deal before``; ``won deal before``

Names and values of several words stand in quotes: ``"job level" is "c level"``. Key words may be in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from features.errors import LeadScoringError
from models.rules.sheet import ENGAGEMENT, FIT, Criterion, PointRules, RuleGroup

_WORD: Final = r'(?:"[^"]+"|[^\s",;]+)'
_NUMBER: Final = r"[+-]?\d+(?:[.,]\d+)?"
_RESERVED: Final = set(PointRules.model_fields) - {FIT, ENGAGEMENT}
_NAME: Final = rf"(?P<company>company\s+)?(?P<name>{_WORD})\s+"


class UnreadableLineError(LeadScoringError):
    """A line of a sheet that is no criterion of the language."""


@dataclass(frozen=True)
class SheetLine:
    """One line of a spreadsheet, as it was found; ``group`` may be empty."""

    number: int
    criterion: str
    points: str
    group: str = ""


@dataclass(frozen=True)
class Draft:
    """The rule sheet that could be read, and the lines that could not, with the reason."""

    rules: PointRules
    unread: tuple[tuple[SheetLine, str], ...]


def read_sheet(lines: Iterable[SheetLine]) -> Draft:
    """Read what can be read; a line without a group goes to fit if it is about who they are, else to engagement."""
    groups: dict[str, dict[str, Criterion]] = {FIT: {}, ENGAGEMENT: {}}
    unread = []
    seen: set[str] = set()
    for line in lines:
        try:
            criterion = read_criterion(line.criterion, points=read_points(line.points))
            if _group(line, criterion) in _RESERVED:
                raise UnreadableLineError(f"no group may be called {line.group.strip()!r}")
            if criterion.name in seen:
                raise UnreadableLineError("the same criterion stands in an earlier line")
        except UnreadableLineError as error:
            unread.append((line, str(error)))
            continue
        seen.add(criterion.name)
        groups.setdefault(_group(line, criterion), {})[criterion.name] = criterion
    sheets = {name: RuleGroup(cap=_roomy(own.values()), criteria=tuple(own.values())) for name, own in groups.items()}
    return Draft(rules=PointRules().model_copy(update=sheets), unread=tuple(unread))


def read_points(text: str) -> float:
    """Read a number of points: ``15``, ``+15``, ``-7,5``, ``15 points``."""
    cleaned = re.sub(r"(?i)\s*(points?|pts\.?|punkte?)\s*$", "", text.strip().replace("\u2212", "-"))
    if not re.fullmatch(_NUMBER, cleaned):
        raise UnreadableLineError(f"{text.strip()!r} is no number of points")
    return _number(cleaned)


def read_criterion(text: str, *, points: float) -> Criterion:
    """Read one line of the language. Raises ``UnreadableLineError`` with what was expected."""
    said = " ".join(text.split())
    for pattern, build in _SHAPES:
        found = re.fullmatch(pattern, said, flags=re.IGNORECASE)
        if found:
            try:
                return Criterion.model_validate({"name": said, "points": points, **build(found)})
            except ValidationError as error:
                raise UnreadableLineError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    raise UnreadableLineError(
        "it is none of: NAME is VALUE, NAME in A, B, NAME contains TEXT, NAME between A and B, NAME is known, "
        "did KIND, each KIND, inactive for N days, open deal, lost deal before"
    )


def _group(line: SheetLine, criterion: Criterion) -> str:
    named = line.group.strip()
    if named.lower() in (FIT, ENGAGEMENT):
        return named.lower()
    return named or (FIT if criterion.subject() in ("property", "company_property") else ENGAGEMENT)


def _property(found: re.Match[str], **test: Any) -> dict[str, Any]:
    return {"company_property" if found["company"] else "property": _plain(found["name"]), **test}


def _activity(found: re.Match[str]) -> dict[str, Any]:
    parts = found.groupdict()
    kinds = tuple(_plain(kind) for kind in re.split(r"\s+or\s+", parts["kinds"], flags=re.IGNORECASE))
    each = parts["verb"].lower() == "each"
    numbers = {
        "at_least": parts["times"],
        "cap": parts["cap"],
        "within_days": parts["days"],
        "half_life_days": parts["half_life"],
        "fade_percent_per_month": parts["fade"],
    }
    criterion: dict[str, Any] = {key: _number(value) for key, value in numbers.items() if value}
    if parts["named"]:
        criterion["name_contains"] = _plain(parts["named"])
    if each:
        criterion["per_event"] = True
    return {"activity": kinds[0] if len(kinds) == 1 else kinds, **criterion}


def _open_deal(found: re.Match[str]) -> dict[str, Any]:
    criterion: dict[str, Any] = {"deal": "open"}
    if found["stage"]:
        criterion["stage"] = _plain(found["stage"])
    if found["low"]:
        criterion["amount"] = (_number(found["low"]), _number(found["high"]) if found["high"] else None)
    return criterion


_SHAPES: Final[tuple[tuple[str, Callable[[re.Match[str]], dict[str, Any]]], ...]] = (
    (
        rf"(?P<verb>did|each)\s+(?P<kinds>{_WORD}(?:\s+or\s+{_WORD})*)"
        rf"(?:\s+named\s+(?P<named>{_WORD}))?"
        r"(?:\s+(?P<times>\d+)\s+times)?"
        rf"(?:\s+up\s+to\s+(?P<cap>{_NUMBER})(?:\s+points)?)?"
        rf"(?:\s+(?:with)?in\s+(?P<days>{_NUMBER})\s+days)?"
        rf"(?:\s+halving\s+every\s+(?P<half_life>{_NUMBER})\s+days)?"
        rf"(?:\s+fading\s+(?P<fade>{_NUMBER})\s*%\s+a\s+month)?",
        _activity,
    ),
    (
        rf"(?:inactive|nothing)\s+for\s+(?P<days>{_NUMBER})\s+days",
        lambda found: {"inactive_days": _number(found["days"])},
    ),
    (
        rf"open\s+deal(?:\s+in\s+stage\s+(?P<stage>{_WORD}))?"
        rf"(?:\s+worth\s+(?:at\s+least\s+)?(?P<low>{_NUMBER})(?:\s+to\s+(?P<high>{_NUMBER}))?)?",
        _open_deal,
    ),
    (
        r"(?P<outcome>won|lost)\s+(?:a\s+)?deal\s+before",
        lambda found: {"deal": found["outcome"].lower()},
    ),
    (
        rf"{_NAME}is\s+(?P<state>known|unknown|filled|empty)",
        lambda found: _property(found, known=found["state"].lower() in ("known", "filled")),
    ),
    (
        rf"{_NAME}(?:in|is\s+one\s+of)\s+(?P<values>{_WORD}(?:\s*[,;]\s*{_WORD})*)",
        lambda found: _property(found, **{"in": tuple(map(_plain, re.findall(_WORD, found["values"])))}),
    ),
    (
        rf"{_NAME}between\s+(?P<low>{_NUMBER})\s+and\s+(?P<high>{_NUMBER})",
        lambda found: _property(found, between=(_number(found["low"]), _number(found["high"]))),
    ),
    (
        rf"{_NAME}at\s+least\s+(?P<low>{_NUMBER})",
        lambda found: _property(found, between=(_number(found["low"]), None)),
    ),
    (
        rf"{_NAME}at\s+most\s+(?P<high>{_NUMBER})",
        lambda found: _property(found, between=(None, _number(found["high"]))),
    ),
    (
        rf"{_NAME}contains\s+(?P<text>{_WORD})",
        lambda found: _property(found, contains=_plain(found["text"])),
    ),
    (
        rf"{_NAME}(?:is|=)\s+(?P<value>{_WORD})",
        lambda found: _property(found, **{"is": _plain(found["value"])}),
    ),
)


def _plain(word: str) -> str:
    return word.strip('"')


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _roomy(criteria: Iterable[Criterion]) -> float:
    """Return a cap that holds nothing back: a spreadsheet of points has none."""
    most = sum(max(0.0, one.points if one.cap is None else one.cap) for one in criteria)
    return max(100.0, most)
