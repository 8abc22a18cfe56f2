"""From the files of HubSpot's export button to tables, as a person does it: draft, complete, check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.checks import check_tables
from features.findings import Finding
from features.properties import PropertySettings, usable_properties
from features.sources.csv_export.source import CsvExportSource
from features.tables import CrmTables
from flows.mapping_files import draft_file
from flows.settings import ConfigurationError, load_mapping
from tests.features.exports import LABELS, write_export
from tests.flows.commands import leadline, leadline_json, write_config


def drafted(folder: Path, language: str = "en", *, zone: str = "Europe/Berlin", **options: Any) -> Path:
    """A mapping as it was drafted, with the zone filled in."""
    out = folder / "mapping.yaml"
    draft_file(write_export(folder, language, **options), out=out)
    out.write_text(out.read_text(encoding="utf-8").replace('time_zone: ""', f"time_zone: {zone}"), encoding="utf-8")
    return out


def read(mapping: Path) -> tuple[CrmTables, list[Finding]]:
    return CsvExportSource(mapping=load_mapping(mapping), folder=mapping.parent).read()


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    plain = frame[list(columns)].astype(object).where(frame[list(columns)].notna(), None)
    return list(plain.itertuples(index=False, name=None))


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize("language", LABELS)
def test_a_draft_needs_nothing_but_the_time_zone(tmp_path: Path, language: str) -> None:
    tables, findings = read(drafted(tmp_path, language))

    assert [finding for finding in findings if finding.severity != "info"] == []
    # Berlin is one hour ahead of UTC in winter and two in summer, which begins on 29 March.
    assert rows(tables["contacts"], "contact_id", "created_at", "company_id", "email") == [
        ("501", utc("2025-11-03 08:15"), "900", "ada@example.org"),
        ("502", utc("2026-02-10 15:40"), "900", "bob@example.org"),
        ("503", utc("2026-03-01 07:00"), None, None),
    ]
    assert rows(tables["stages"], "pipeline", "stage", "position", "outcome") == [
        ("Sales", "Qualified", 1.0, "open"),
        ("Sales", "Offer", 2.0, "open"),
        ("Sales", "Signed", 3.0, "won"),
        ("Sales", "Gone", 4.0, "lost"),
    ]
    assert rows(tables["deal_stage_history"], "deal_id", "stage", "entered_at") == [
        ("71", "Qualified", utc("2025-12-01 09:00")),
        ("71", "Offer", utc("2025-12-15 08:30")),
        ("71", "Signed", utc("2026-01-20 11:00")),
        ("72", "Qualified", utc("2026-02-11 08:00")),
        ("72", "Gone", utc("2026-03-02 07:00")),
        ("73", "Qualified", utc("2026-03-05 08:00")),
        # A time that no clock in Berlin showed: from two it went to three.
        ("73", "Offer", utc("2026-03-29 01:30")),
        ("74", "Qualified", utc("2026-04-01 07:00")),
    ]
    assert rows(tables["deals"], "deal_id", "amount", "expected_close_at", "company_id") == [
        ("71", 1200.5, utc("2026-01-20 11:00"), "900"),
        ("72", 800.0, utc("2026-03-02 07:00"), "900"),
        ("73", None, None, "900"),
        ("74", 300.0, None, None),
    ]
    assert rows(tables["deal_contacts"], "deal_id", "contact_id") == [
        ("71", "501"),
        ("72", "502"),
        ("73", "501"),
        ("74", "502"),
        ("74", "503"),
    ]
    assert tables.absent == ("activities", "property_history")
    assert [one for one in check_tables(tables, as_of=None) if one.severity == "error"] == []


def test_what_knows_the_outcome_and_what_is_personal_is_left_out_with_the_reason(tmp_path: Path) -> None:
    mapping = drafted(tmp_path, "de")

    text = mapping.read_text(encoding="utf-8")
    tables, _ = read(mapping)

    assert "# Lifecycle-Phase: written after the outcome" in text
    assert "# Vorname: personal or protected" in text
    assert "industry" in tables["contacts"].columns
    assert {"lifecyclestage", "firstname", "hs_is_closed_won"}.isdisjoint(
        {*tables["contacts"].columns, *tables["deals"].columns}
    )
    # A file shows today's values, so nothing counts that is not vouched for.
    usable, _ = usable_properties(tables=tables, object_type="contact", settings=PropertySettings())
    assert usable == []


def test_sellers_go_by_ids_and_not_by_their_names(tmp_path: Path) -> None:
    tables, _ = read(drafted(tmp_path))

    owners = dict(rows(tables["owners"], "name", "owner_id"))
    assert set(owners) == {"Sam Seller", "Tia Trader"}
    assert rows(tables["deals"], "owner_id")[:2] == [(owners["Sam Seller"],), (owners["Tia Trader"],)]
    assert not any("Seller" in number for number in owners.values())


def test_without_a_time_zone_nothing_is_read(tmp_path: Path) -> None:
    mapping = drafted(tmp_path, zone='""')

    with pytest.raises(
        ConfigurationError, match="say which zone the times of the export are in, such as Europe/Berlin"
    ):
        load_mapping(mapping)


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    mapping = drafted(tmp_path, zone="Berlin")

    with pytest.raises(ConfigurationError, match=r"time_zone.*is no time zone; write it as Europe/Berlin"):
        load_mapping(mapping)


def test_another_zone_gives_other_instants(tmp_path: Path) -> None:
    tables, _ = read(drafted(tmp_path, zone="America/Bogota"))

    assert tables["contacts"]["created_at"].iloc[0] == utc("2025-11-03 14:15")


@pytest.mark.parametrize(
    ("without", "code", "help_"),
    [
        ("Create Date", "no-creation-date", "choose all properties on records, or add Create Date to the view"),
        ("Date entered", "no-stage-dates", "add Date entered ... of each stage to the view"),
        ('entered "Signed', "no-stage-dates", "nothing tells when deals entered the stages 'Signed'"),
    ],
)
def test_without_the_dates_that_matter_training_is_refused_with_words_that_help(
    tmp_path: Path, without: str, code: str, help_: str
) -> None:
    config = write_config(tmp_path, f"source: {{kind: csv_export, mapping: {drafted(tmp_path, without=(without,))}}}\n")

    checked = leadline("check", "--config", config, "--home", tmp_path / "home", "--json")
    trained = leadline("train", "--config", config, "--home", tmp_path / "home", "--as-of", "2026-06-01")

    assert (checked.exit_code, trained.exit_code) == (1, 1)
    assert code in checked.stdout
    assert help_ in trained.stderr
    assert "docs/hubspot.md" in trained.stderr
    assert not (tmp_path / "home" / "registry").exists()


def test_stages_that_the_export_does_not_explain_are_asked_for_and_not_guessed(tmp_path: Path) -> None:
    files = write_export(tmp_path, without=("Is Closed Won", "Is closed lost", "Is Deal Closed"))
    out = tmp_path / "mapping.yaml"

    draft = draft_file(files, out=out)

    assert [question for question in draft.questions if "Signed" in question and "won or lost" in question]
    out.write_text(out.read_text(encoding="utf-8").replace('time_zone: ""', "time_zone: UTC"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"stages\.0\.outcome.*'open', 'won' or 'lost'"):
        load_mapping(out)


def test_a_deal_without_the_date_of_its_stage_is_left_out_and_counted(tmp_path: Path) -> None:
    mapping = drafted(tmp_path)
    deals = tmp_path / "deals.csv"
    deals.write_text(deals.read_text(encoding="utf-8-sig").replace("2026-03-02 08:00,2026-01-01", ",2026-01-01"))

    tables, findings = read(mapping)

    assert tables["deals"]["deal_id"].tolist() == ["71", "73", "74"]
    assert "72" not in tables["deal_stage_history"]["deal_id"].tolist()
    assert ("72", "502") not in rows(tables["deal_contacts"], "deal_id", "contact_id")
    assert [(one.code, one.count) for one in findings] == [("undated-stage", 1)]


def test_times_that_a_spreadsheet_has_rewritten_are_read_by_their_format(tmp_path: Path) -> None:
    mapping = drafted(tmp_path)
    contacts = tmp_path / "contacts.csv"
    text = contacts.read_text(encoding="utf-8-sig")
    for iso, local in (("2025-11-03", "03.11.2025"), ("2026-02-10", "10.02.2026"), ("2026-03-01", "01.03.2026")):
        text = text.replace(iso, local)
    contacts.write_text(text, encoding="utf-8")
    only = mapping.read_text(encoding="utf-8").partition("  companies.csv:")[0]
    mapping.write_text(only, encoding="utf-8")

    _, refused = read(mapping)
    mapping.write_text(only.replace('time_format: ""', 'time_format: "%d.%m.%Y %H:%M"'), encoding="utf-8")
    tables, accepted = read(mapping)

    assert [(one.code, one.count) for one in refused] == [("bad-time", 3)]
    assert "row 1: '03.11.2025 09:15'" in refused[0].message
    assert "set time_format in the mapping" in refused[0].message
    assert accepted == []
    assert tables["contacts"]["created_at"].iloc[0] == utc("2025-11-03 08:15")


def test_a_column_that_the_file_no_longer_has_is_named(tmp_path: Path) -> None:
    mapping = drafted(tmp_path)
    (tmp_path / "deals.csv").write_text("Record ID,Create Date\n71,2026-01-01 00:00\n", encoding="utf-8")

    _, findings = read(mapping)

    (error,) = [finding for finding in findings if finding.severity == "error"]
    assert error.code == "missing-column"
    assert "deals.csv has no column 'Pipeline', 'Deal Stage'" in error.message


def test_several_files_of_one_table_are_one_table(tmp_path: Path) -> None:
    mapping = drafted(tmp_path)
    lines = (tmp_path / "contacts.csv").read_text(encoding="utf-8-sig").splitlines()
    for name, part in (("contacts.csv", lines[:3]), ("contacts-2.csv", [lines[0], lines[3], lines[2]])):
        (tmp_path / name).write_text("\n".join(part) + "\n", encoding="utf-8")
    text = mapping.read_text(encoding="utf-8")
    block = text[text.index("  contacts.csv:") : text.index("  companies.csv:")]
    mapping.write_text(text.replace(block, block + block.replace("contacts.csv", "contacts-2.csv")), encoding="utf-8")

    tables, findings = read(mapping)

    assert set(tables["contacts"]["contact_id"]) == {"501", "502", "503"}
    assert [one.code for one in findings if one.severity == "error"] == ["duplicate-key"]


def test_a_person_is_told_what_is_still_to_be_said(tmp_path: Path) -> None:
    files = write_export(tmp_path, "es", without=("Fecha de creación",))

    told = leadline("map", *files, "--out", tmp_path / "mapping.yaml")
    again = leadline("map", *files, "--out", tmp_path / "mapping.yaml")

    assert told.exit_code == 0
    assert "contacts.csv: contacts, " in told.stdout
    assert "- time_zone: which zone are the times of the files in?" in told.stdout
    assert "- deals.csv: no column was recognised as the creation date (Create Date)" in told.stdout
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_a_script_reads_the_draft_as_json(tmp_path: Path) -> None:
    said = leadline_json("map", *write_export(tmp_path, "de"), "--out", tmp_path / "mapping.yaml")

    assert {name: one["table"] for name, one in said["files"].items()} == {
        "contacts.csv": "contacts",
        "companies.csv": "companies",
        "deals.csv": "deals",
    }
    assert said["files"]["deals.csv"]["columns"]["stage"] == "Deal-Phase"


def test_hostile_labels_stay_text_in_the_draft(tmp_path: Path) -> None:
    contacts = tmp_path / "contacts.csv"
    odd = "a: [b]", "#hash", "yes", "!!python/object", "Größe\u2028neu"
    header = ",".join(f'"{label}"' for label in ("Record ID", "Create Date", *odd))
    contacts.write_text(f"{header}\n1,2026-01-01 00:00,1,2,3,4,5\n", encoding="utf-8")
    out = tmp_path / "mapping.yaml"

    draft_file([contacts], out=out)

    out.write_text(out.read_text(encoding="utf-8").replace('time_zone: ""', "time_zone: UTC"), encoding="utf-8")
    mapping = load_mapping(out).files["contacts.csv"]
    assert sorted(mapping.properties.values()) == sorted(odd)
    assert mapping.columns == {"contact_id": "Record ID", "created_at": "Create Date"}
