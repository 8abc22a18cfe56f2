"""The report's languages: complete, alike in their blanks, and honest about what stays English."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from features.catalogue import CATALOGUE, FAMILY_WORDS
from serving.report import render_report
from serving.report_language import TEXTS, language
from tests.serving.reports import Reader, make_question, make_report, part

DE = language("de")
BLANK = re.compile(r"\{(\w+)\}")
# A sentence whose grammar needs no noun for one contact or deal.
FEWER_BLANKS = {"family_first", "family_first_range"}


def content(code: str) -> dict[str, Any]:
    return tomllib.loads((TEXTS / f"{code}.toml").read_text(encoding="utf-8"))


def test_every_language_says_the_same_things_with_the_same_blanks() -> None:
    english, german = content("en"), content("de")

    for kind in ("numbers", "texts", "sentences"):
        assert german[kind].keys() == english[kind].keys()
    for group, names in english["names"].items():
        assert german["names"][group].keys() == names.keys(), group
    for kind in ("texts", "sentences"):
        for key, form in english[kind].items():
            here, there = set(BLANK.findall(form)), set(BLANK.findall(german[kind][key]))
            assert there == here or (key in FEWER_BLANKS and there < here), key


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: str(entry.name))
def test_every_fact_of_the_catalogue_has_german_words(entry: Any) -> None:
    # A property is called as its column is.
    if entry.words == "{property}":
        return
    filled = entry.words.format(kind="call", direction="our activities", outcome="held", days="7", property="size")
    assert "lang=" not in str(DE.foreign(filled))
    assert entry.missing in DE.phrases


def test_every_family_has_german_words() -> None:
    assert set(FAMILY_WORDS.values()) <= DE.phrases.keys()


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("what we did", "was wir taten"),
        ("demo request in the last 30 days: 1,203", "demo request in den letzten 30 Tagen: 1.203"),
        (
            "how recently something happened (days since the last email reply: 1.5)",
            "wie kürzlich etwas geschah (Tage seit: email reply: 1,5)",
        ),
        ("the open deal (open deals: no open deal)", "der offene Deal (offene Deals: kein offener Deal)"),
        (
            "amount: 9,500; typically 7,000 among deals that were won, unknown among others",
            "Betrag: 9.500; üblich 7.000 bei gewonnenen Deals, sonst nicht bekannt",
        ),
        ("industry: retail", "industry: retail"),
        ("stage: machines: Budget approval", "Phase: machines: Budget approval"),
    ],
)
def test_words_of_the_catalogue_are_said_in_german_and_the_data_left_alone(english: str, german: str) -> None:
    assert DE.phrase(english) == german
    assert language("en").phrase(english) == english


def test_what_is_in_no_phrase_stays_english_and_is_marked_so() -> None:
    assert str(DE.foreign("The test holds 4 winners; 20 are needed.")) == (
        "Die Prüfung enthält 4 Abschlüsse; nötig sind 20."
    )
    assert str(DE.foreign("A <b>new</b> remark")) == '<span lang="en">A &lt;b&gt;new&lt;/b&gt; remark</span>'
    assert str(language("en").foreign("A <b>new</b> remark")) == "A &lt;b&gt;new&lt;/b&gt; remark"


def test_a_german_report_is_german_throughout() -> None:
    page = render_report(make_report(make_question("contacts"), language="de"))

    assert Reader(page).of("html") == [{"lang": "de"}]
    verdict = part(page, "use").replace("\xa0", " ")
    assert "Ja: Nutzen Sie die Wahrscheinlichkeiten des Modells für Kontakte." in verdict
    assert "Um 60 % der Abschlüsse zu erreichen, arbeiten Sie die ersten" in verdict
    assert "Datenstand 1. März 2026, 00:00 Uhr UTC" in Reader(page).words
    assert "+3,1 PP" in Reader(page).words.replace("\xa0", " ") or "PP" in Reader(page).words
    told = " ".join(part(page, section) for section in ("drives", "gains", "reliability", "rules", "disagreements"))
    for english in ("How to read", "the model", "contacts", " wins ", "days since", " pp"):
        assert english not in told, english
