"""Protected and personal attributes, recognised by the names of columns in several languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "age": _set_of("age alter edad eta leeftijd idade"),
    "birth": _set_of(
        "birth birthday birthdate birthyear dob yob born geburt geburtsdatum geburtstag geburtsjahr geburtsort "
        "dateofbirth naissance nacimiento nascita nascimento geboortedatum geboortejaar"
    ),
    "gender": _set_of(
        "gender sex geschlecht geslacht sexe sexo sesso genero genere salutation anrede civilite tratamiento aanhef "
        "honorific pronoun pronouns"
    ),
    "marital status": _set_of(
        "marital maritalstatus married marriage spouse familienstand ehestand estadocivil matrimonial"
    ),
    "family": _set_of("children kinder enfants hijos figli kinderen pregnant pregnancy schwanger"),
    "nationality": _set_of(
        "nationality citizenship ethnicity ethnic ethnie race staatsangehorigkeit staatsburgerschaft nationalitat "
        "nationalite nacionalidad nazionalita nationaliteit nacionalidade herkunft migration birthplace"
    ),
    "religion": _set_of("religion religious faith konfession confession religione religioso godsdienst kirchensteuer"),
    "health": _set_of(
        "health gesundheit sante salud salute gezondheid saude medical disease illness krankheit disability disabled "
        "behinderung schwerbehinderung handicap discapacidad disabilita deficiencia"
    ),
    "orientation": _set_of("sexual orientation homosexual transgender"),
    "politics": _set_of("political politics politik unionized gewerkschaft"),
    "military service": _set_of("military veteran wehrdienst"),
}
_ATTRIBUTE_PHRASES: Final[Mapping[str, tuple[str, ...]]] = {
    "marital status": (
        "relationship status",
        "civil status",
        "estado civil",
        "etat civil",
        "stato civile",
        "situation familiale",
        "family status",
        "burgerlijke staat",
    ),
    "title": ("name prefix", "personal title", "academic title", "akademischer titel", "name title"),
    "family": ("number of children", "num children"),
    "politics": ("union membership", "trade union"),
    "birth": ("date of birth", "year of birth"),
}
_ATTRIBUTE_ALONE: Final[Mapping[str, str]] = {"title": "title", "titel": "title", "titre": "title", "genre": "gender"}
_NAMES: Final = _set_of(
    "firstname lastname surname forename fullname middlename maidenname givenname familyname vorname nachname zuname "
    "geburtsname prenom apellido apellidos cognome voornaam achternaam sobrenome username"
)
_NAME_PHRASES: Final = (
    "first name",
    "last name",
    "full name",
    "middle name",
    "given name",
    "family name",
    "maiden name",
    "name of contact",
    "contact name",
    "person name",
)
_PERSONAL_ALONE: Final = _set_of(
    "name nom nome nombre naam email mail phone telephone telefon telefono telefoon mobile handy cellphone fax address "
    "adresse anschrift direccion indirizzo adres ssn passport iban linkedin twitter facebook photo avatar"
)
_PERSONAL: Final = _set_of(
    "mobilephone phonenumber telefonnummer handynummer emailaddress strasse street iban ssn passport passnummer"
)
_PERSONAL_PHRASES: Final = (
    "e mail",
    "email address",
    "work email",
    "private email",
    "personal email",
    "phone number",
    "mobile phone",
    "mobile number",
    "ip address",
    "home address",
    "street address",
    "social security",
    "tax id",
)
_FREE_TEXT: Final = _set_of(
    "note notes notiz notizen comment comments kommentar kommentare commentaire commentaires comentario comentarios "
    "commento commenti remark remarks remarque remarques bemerkung bemerkungen opmerking opmerkingen message messages "
    "nachricht mensaje messaggio description beschreibung descripcion descrizione bio biography freetext freitext "
    "observaciones"
)
_FREE_TEXT_PHRASES: Final = ("free text", "about me")
_COUNTED_OR_DATED: Final = _set_of(
    "num number count counts total last next first recent date time at updated days since rate has is open opens click "
    "clicks sent score"
)
"""Beside one of these words, ``notes`` or ``message`` is a count or a time, not the text."""
_OF_THINGS: Final = _set_of(
    "account company firm business deal domain opportunity ticket lead page website site building vehicle car machine "
    "contract subscription record days months weeks score index check system data"
)
"""Beside one of these words, ``age`` or ``health`` speaks of a thing, not of a person."""
_MAY_BE_OF_THINGS: Final = frozenset({"age", "health", "alter", "migration", "orientation"})


def protected_attribute(column: str) -> str | None:
    """Return which attribute that must not decide about a person a column seems to hold, by its name.

    >>> protected_attribute("Age group"), protected_attribute("dealAge"), protected_attribute("Familienstand")
    ('age', None, 'marital status')
    """
    words = _words(column)
    if len(words) == 1 and words[0] in _ATTRIBUTE_ALONE:
        return _ATTRIBUTE_ALONE[words[0]]
    for attribute, phrases in _ATTRIBUTE_PHRASES.items():
        if _has_phrase(words, phrases):
            return attribute
    of_a_thing = not _OF_THINGS.isdisjoint(words)
    for attribute, names in _ATTRIBUTES.items():
        found = names.intersection(words)
        if found and not (of_a_thing and found <= _MAY_BE_OF_THINGS):
            return attribute
    return None


def protected_reason(column: str) -> str | None:
    """Return why a column stays out of every model unless the configuration vouches for it; None if it may be used.

    >>> protected_reason("Vorname"), protected_reason("job_title")
    ('personal data: never used unless vouched for', None)
    """
    attribute = protected_attribute(column)
    if attribute is not None:
        return f"protected attribute ({attribute}): never used unless vouched for"
    words = _words(column)
    if _is_personal(words):
        return "personal data: never used unless vouched for"
    is_text = not _FREE_TEXT.isdisjoint(words) or _has_phrase(words, _FREE_TEXT_PHRASES)
    if is_text and _COUNTED_OR_DATED.isdisjoint(words):
        return "free text, which may hold anything about a person: never used unless vouched for"
    return None


def _is_personal(words: tuple[str, ...]) -> bool:
    alone = len(words) == 1 and words[0] in _PERSONAL_ALONE
    if alone or not (_NAMES | _PERSONAL).isdisjoint(words):
        return True
    said = next((phrase for phrase in (*_NAME_PHRASES, *_PERSONAL_PHRASES) if _has_phrase(words, (phrase,))), None)
    # The count of first names or the day on which a phone number changed is not the name or the number itself.
    return said is not None and _COUNTED_OR_DATED.isdisjoint(set(words) - set(said.split()))


def _has_phrase(words: tuple[str, ...], phrases: tuple[str, ...]) -> bool:
    joined = f" {' '.join(words)} "
    return any(f" {phrase} " in joined for phrase in phrases)


def _words(column: str) -> tuple[str, ...]:
    """Split a column's name into plain lower-case words: at separators, digits and humps, without accents."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", column) if not unicodedata.combining(one))
    plain = plain.replace("ß", "ss")
    humps = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return tuple(re.findall(r"[a-z]+", humps.lower()))
