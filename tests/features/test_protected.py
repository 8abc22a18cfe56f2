"""Protected and personal columns are recognised by their names, whatever the language, and counts of them are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.protected import protected_attribute, protected_reason


@pytest.mark.parametrize(
    ("column", "attribute"),
    [
        ("age", "age"),
        ("Age group", "age"),
        ("Alter", "age"),
        ("edad", "age"),
        ("gender", "gender"),
        ("sex", "gender"),
        ("Geschlecht", "gender"),
        ("Anrede", "gender"),
        ("civilité", "gender"),
        ("title", "title"),
        ("Titel", "title"),
        ("academic_title", "title"),
        ("marital", "marital status"),
        ("Familienstand", "marital status"),
        ("estado_civil", "marital status"),
        ("nationality", "nationality"),
        ("Staatsangehörigkeit", "nationality"),
        ("dateOfBirth", "birth"),
        ("birthday", "birth"),
        ("Geburtsdatum", "birth"),
        ("religion", "religion"),
        ("Konfession", "religion"),
        ("health", "health"),
        ("disability", "health"),
        ("Behinderung", "health"),
        ("number_of_children", "family"),
    ],
)
def test_protected_attribute_is_named(column: str, attribute: str) -> None:
    assert protected_attribute(column) == attribute
    assert protected_reason(column) == f"protected attribute ({attribute}): never used unless vouched for"


@pytest.mark.parametrize(
    "column",
    ["email", "e-mail", "name", "firstName", "last_name", "Vorname", "nachname", "apellidos", "phone_number", "IBAN"],
)
def test_personal_data_is_named(column: str) -> None:
    assert protected_attribute(column) is None
    assert protected_reason(column) == "personal data: never used unless vouched for"


@pytest.mark.parametrize("column", ["notes", "Bemerkungen", "message", "call_comment", "commentaires", "free_text"])
def test_free_text_is_named(column: str) -> None:
    reason = protected_reason(column)

    assert reason is not None
    assert reason.startswith("free text")


@pytest.mark.parametrize(
    "column",
    [
        "account_age_days",
        "dealAge",
        "page_views",
        "percentage",
        "average",
        "language",
        "health_score",
        "account_health",
        "job_title",
        "jobtitle",
        "num_notes",
        "notes_last_contacted",
        "message_count",
        "email_opens",
        "phone_number_updated",
        "company_name",
        "industry",
        "country",
        "stage",
        "essex",
        "marketing",
        "campaign",
        "",
    ],
)
def test_what_only_sounds_like_it_may_be_used(column: str) -> None:
    assert protected_reason(column) is None


@given(
    st.sampled_from(["age", "gender", "Geburtsdatum", "marital_status", "Vorname", "Staatsangehörigkeit"]),
    st.sampled_from(["", "contact_", "Contact ", "kunde-", "customer."]),
    st.sampled_from([str, str.upper, str.title, str.lower]),
)
def test_prefixes_and_capitals_hide_nothing(column: str, prefix: str, write: object) -> None:
    assert callable(write)

    assert protected_reason(write(prefix + column)) is not None
