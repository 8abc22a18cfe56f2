"""Rule sheets as files: what is written is what is read back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.config_file import ConfigurationError
from flows.rule_files import read_csv, rules_text, write_rules
from flows.settings import CONFIGS, load_rule_file
from models.rules.language import SheetLine, read_criterion
from models.rules.sheet import Criterion, PointRules, RuleGroup, Thresholds
from tests.flows.commands import leadline, leadline_json

SCHEMA_FILE = CONFIGS.parent / "docs" / "point_rules.schema.json"
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 4))
WORDS = st.text(min_size=1, max_size=12)


def schema() -> Any:
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def test_the_published_schema_is_the_one_of_the_sheet() -> None:
    assert json.loads(leadline("rules", "schema").output) == schema()


def test_the_schema_takes_the_shipped_sheet_and_refuses_a_bad_one() -> None:
    sheet = yaml.safe_load((CONFIGS / "point_rules.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(sheet, schema())

    criterion = sheet["engagement"]["criteria"][0]
    for change in ({"wihtin_days": 3}, {"property": "industry"}, {"points": "many"}):
        bad = {**sheet, "engagement": {"criteria": [{**criterion, **change}]}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(WORDS, min_size=3, max_size=3, unique=True),
    values=st.lists(WORDS | NUMBERS | st.booleans(), min_size=1, max_size=4),
    points=NUMBERS,
    comment=st.text(max_size=20),
)
def test_what_is_written_is_read_back(
    tmp_path: Path, names: list[str], values: list[Any], points: float, comment: str
) -> None:
    rules = PointRules.model_validate(
        {
            "fit": {
                "cap": 12.5,
                "criteria": [{"name": names[0], "points": points, "property": names[1], "in": values}],
            },
            "engagement": {
                "floor": 0,
                "grade_from": [20, 10],
                "criteria": [{"name": names[1], "points": 3, "activity": names[0], "per_event": True, "cap": 9}],
            },
            f"own {names[2]}": {"criteria": [{"name": names[2], "points": 1, "deal": "open", "amount": [5, None]}]},
            "cap": 90,
            "learned_until": "2026-01-01T00:00:00Z",
            "thresholds": {"mql": 20, "sql": 30.5},
        }
    )
    file = tmp_path / "rules.yaml"
    file.unlink(missing_ok=True)

    assert write_rules(file, rules_text(rules, head=[comment], foot=[comment])) == rules


def test_a_sheet_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("mine", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"rules\.yaml: is there already"):
        write_rules(file, "fit: {criteria: []}\n")

    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("criterion,points\nindustry is toys,5\n", [SheetLine(2, "industry is toys", "5")]),
        ("Punkte;Gruppe;Regel\n\n7,5;fit;did call\n", [SheetLine(3, "did call", "7,5", "fit")]),
        (
            'did call,5\n"country in DE, AT",7\n',
            [SheetLine(1, "did call", "5"), SheetLine(2, "country in DE, AT", "7")],
        ),
        ("did call\t5\n", [SheetLine(1, "did call", "5")]),
        ("\ufeffcriterion,points\ndid call\n", [SheetLine(2, "did call", "")]),
    ],
)
def test_a_spreadsheet_is_read_as_it_was_exported(tmp_path: Path, text: str, lines: list[SheetLine]) -> None:
    file = tmp_path / "sheet.csv"
    file.write_text(text, encoding="utf-8")

    assert read_csv(file) == lines


@pytest.mark.parametrize(("content", "told"), [(b"", "holds no line"), (b"\xff\xfe", "UTF-8"), (None, "no such file")])
def test_a_spreadsheet_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "sheet.csv"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=rf"sheet\.csv: .*{told}"):
        read_csv(file)


def test_an_import_writes_a_sheet_that_works_and_lists_what_it_could_not_read(tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "rules.yaml"
    sheet.write_text(
        'criterion,points\nindustry is toys,15\n"Has\nbudget",10\ndid demo in 90 days,30\n', encoding="utf-8"
    )

    said = leadline_json("rules", "import", sheet, "--out", out)

    assert said["read"] == 2
    assert [(one["line"], one["criterion"]) for one in said["unread"]] == [(3, "Has\nbudget")]
    assert [one.name for one in load_rule_file(out).criteria] == ["industry is toys", "did demo in 90 days"]
    assert "# line 3: 'Has\\nbudget' (10 points): it is none of" in out.read_text(encoding="utf-8")


def test_an_import_of_nothing_readable_writes_nothing_and_says_so(tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "rules.yaml"
    sheet.write_text("Has budget,10\n", encoding="utf-8")

    result = leadline("rules", "import", sheet, "--out", out)

    assert result.exit_code == 1
    assert "0 of 1 lines read" in result.output
    assert not out.exists()


PAGE = (CONFIGS.parent / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_sheet_on_the_page_loads_and_the_page_names_every_key(tmp_path: Path) -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    file = tmp_path / "rules.yaml"
    file.write_text(example, encoding="utf-8")

    rules = load_rule_file(file)

    assert [name for name, _ in rules.groups()] == ["fit", "engagement", "campaign"]
    keys = {field.alias or name for name, field in Criterion.model_fields.items()}
    keys |= {*RuleGroup.model_fields, *Thresholds.model_fields, *PointRules.model_fields} - {"learned_until"}
    assert [key for key in sorted(keys) if f"`{key}" not in PAGE and f"{key}:" not in PAGE] == []


def test_every_line_of_the_spreadsheet_language_on_the_page_can_be_read() -> None:
    table = PAGE.split("| in the sheet | |\n|---|---|\n")[1].split("\n\n")[0]
    lines = [line for row in table.splitlines() for line in re.findall(r"`([^`]+)`", row)]
    whole = [line if "..." not in line else line.replace("...", "each webinar") for line in lines]

    assert len(whole) == 17
    for line in [*whole, '"job level" is "c level"']:
        assert read_criterion(line, points=5).name == line
