"""The report's languages: all of its words lie in one file each (``texts/``), and so does how it writes numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

from markupsafe import Markup, escape

from serving.report_numbers import Numbers, typeset

Code = Literal["en", "de"]
TEXTS: Final = Path(__file__).with_name("texts")
_BLANK: Final = re.compile(r"\{(\w+)\}")
_FAMILY_AND_FACT: Final = re.compile(r"([^()]+) \((.+)\)")


@dataclass(frozen=True)
class Language:
    """One language: fixed words, sentences with blanks, names of what the product knows, and numbers.

    ``phrases`` say in this language what other parts of the product say in English: the catalogue's words, and the
    gate's reasons. What is in no phrase stays English and is marked as such.
    """

    code: str
    texts: Mapping[str, str]
    sentences: Mapping[str, str]
    names: Mapping[str, Mapping[str, Any]]
    phrases: Mapping[str, str]
    numbers: Numbers

    def say(self, key: str, **values: object) -> str:
        """Return a sentence with its blanks filled."""
        form = self.sentences[key]
        told = form.format(**values)
        # A name that may begin a sentence is written as in the middle of one.
        return f"{told[:1].upper()}{told[1:]}" if form.startswith("{label}") else told

    def quoted(self, text: str) -> str:
        """Put a name in quotation marks."""
        return self.texts["quote"].format(text=text)

    def name(self, group: str, key: str) -> str:
        """Return what something known is called, or its own key if it has no name."""
        return str(self.names[group].get(key, key))

    def noun(self, question: str, count: float | None = None) -> str:
        """Return the word for contacts or deals: many, or as the count asks."""
        one, many = self.names["nouns"][question]
        return str(one if count == 1 else many)

    def phrase(self, text: str) -> str:
        """Say in this language what the product says in English, as far as it knows.

        Names and values that come from the data stay as they are, but for the way numbers are written.
        """
        known = self._known(text)
        if known is not None:
            return known if self.phrases else text
        family = _FAMILY_AND_FACT.fullmatch(text)
        if family and family[1] in self.phrases:
            return f"{self.phrases[family[1]]} ({self.phrase(family[2])})"
        parts = text.split(": ")
        for at in range(1, len(parts)):
            fact = self._known(": ".join(parts[:at]))
            if fact is not None:
                return f"{fact}: {self.phrase(': '.join(parts[at:]))}"
        return self.numbers.localised(text)

    def foreign(self, text: str) -> Markup:
        """Return a text of the product for a page: in this language if it is known, else in English and marked so."""
        known = self._known(text)
        if known is not None or self.code == "en":
            return escape(typeset(known or text))
        return Markup('<span lang="en">{}</span>').format(typeset(text))

    def _known(self, text: str) -> str | None:
        if not self.phrases:
            return text
        exact = self.phrases.get(text)
        if exact is not None:
            return exact
        for pattern, translated in self._patterns:
            found = pattern.fullmatch(text)
            if found:
                return translated.format(**{name: self.phrase(part) for name, part in found.groupdict().items()})
        return None

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Return the phrases with blanks, those with most fixed letters first."""
        blank = [(english, own) for english, own in self.phrases.items() if _BLANK.search(english)]
        ordered = sorted(blank, key=lambda pair: -len(_BLANK.sub("", pair[0])))
        return tuple((_pattern(english), own) for english, own in ordered)


@cache
def language(code: str) -> Language:
    """Read a language's file."""
    with (TEXTS / f"{code}.toml").open("rb") as file:
        content = tomllib.load(file)
    numbers: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content["numbers"].items()
    }
    return Language(
        code=code,
        texts=content["texts"],
        sentences=content["sentences"],
        names=content["names"],
        phrases=content.get("phrases", {}),
        numbers=Numbers(**numbers),
    )


def _pattern(english: str) -> re.Pattern[str]:
    """Match an English phrase whose blanks hold anything, the same where the same blank stands twice."""
    seen: set[str] = set()

    def blank(name: str) -> str:
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>.+?)"

    parts = _BLANK.split(english)
    return re.compile("".join(blank(part) if at % 2 else re.escape(part) for at, part in enumerate(parts)), re.DOTALL)
