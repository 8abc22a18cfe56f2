"""The rule commands, as a person or a script uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.settings import CONFIGS, load_rule_file
from tests.flows.commands import FOLDER, leadline, leadline_json, tiny_tables, write_config, write_csv

SHEET = CONFIGS / "point_rules.yaml"
WRONG = """\
fit: {criteria: [{name: Came from a bought list, property: source, is: outbound, points: 30}]}
engagement: {criteria: [{name: Silent for two months, inactive_days: 60, points: 40}]}
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options that name a small CRM in a folder."""
    folder = tmp_path_factory.mktemp("market")
    data = write_csv(tiny_tables(contacts=700, months=18), folder / "data")
    vouched = "properties: {contacts: {safe: [industry, country, source]}}\n"
    config = write_config(folder, FOLDER + vouched)
    return ("--config", str(config), "--data", str(data), "--as-of", "2026-01-01")


def test_a_test_drive_is_printed_for_people(market: tuple[str, ...]) -> None:
    result = leadline("rules", "test", "--rules", SHEET, *market, "--capacity", "10")

    assert result.exit_code == 0, result.output
    assert "your 10 calls a week are the best" in result.output
    assert "point_rules: won deals below 50 points (MQL)" in result.output
    assert "point_rules: over the whole list it puts later buyers first" in result.output


def test_two_sheets_are_compared_for_scripts(market: tuple[str, ...], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WRONG, encoding="utf-8")

    said = leadline_json("rules", "test", "--rules", SHEET, "--against", wrong, *market)

    assert [one["name"] for one in said["sheets"]] == ["point_rules", "wrong"]
    assert said["share"] == 0.2
    assert said["order"]["differences"]["point_rules"]["auc"]["low"] > 0
    assert any("wrong: over the whole list it puts later buyers last" in line for line in said["said"])
    assert any("point_rules is better" in line for line in said["said"])


def test_a_sheet_may_be_compared_with_its_namesake(market: tuple[str, ...], tmp_path: Path) -> None:
    other = tmp_path / SHEET.name
    other.write_bytes(SHEET.read_bytes())

    said = leadline_json("rules", "test", "--rules", SHEET, "--against", other, *market)

    assert [one["name"] for one in said["sheets"]] == ["point_rules", "point_rules (second)"]


def test_a_configuration_without_rules_needs_a_sheet(market: tuple[str, ...]) -> None:
    result = leadline("rules", "test", *market)

    assert result.exit_code == 2
    assert "there are no point rules; name a sheet with --rules" in result.output


def test_a_past_without_wins_is_refused(market: tuple[str, ...]) -> None:
    result = leadline("rules", "test", "--rules", SHEET, *market[:4], "--as-of", "2024-08-01")

    assert result.exit_code == 1
    assert "shorter than the horizon" in result.output


def test_what_was_learnt_is_printed_and_the_suggested_sheet_loads_as_it_is(
    market: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "suggested.yaml"

    result = leadline("rules", "learn", "--rules", SHEET, *market, "--out", out)

    assert result.exit_code == 0, result.output
    assert "10 points double the odds" in result.output
    assert "On later outcomes" in result.output
    # A small CRM proves nothing against the rule.
    assert "Keep the rule" in result.output
    suggested = load_rule_file(out)
    assert suggested.criteria
    assert {one.name for one in suggested.criteria} <= {one.name for one in load_rule_file(SHEET).criteria}
    tested = leadline_json("rules", "test", "--rules", out, "--against", SHEET, *market)
    assert [one["name"] for one in tested["sheets"]] == ["suggested", "point_rules"]
    assert any("suggested was learnt from outcomes until 2026-01-01" in line for line in tested["said"])


def test_a_suggestion_never_takes_the_place_of_another_sheet(market: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine", encoding="utf-8")

    result = leadline("rules", "learn", "--rules", SHEET, *market, "--out", out)

    assert result.exit_code == 2
    assert "is there already" in result.output
    assert out.read_text(encoding="utf-8") == "mine"


def test_a_points_goal_is_printed_with_its_arithmetic(market: tuple[str, ...]) -> None:
    result = leadline("rules", "goal", "--wins", "12", "--rules", SHEET, *market)
    said = leadline_json("rules", "goal", "--wins", "12", "--rules", SHEET, *market)

    assert result.exit_code == 0, result.output
    assert "Points a month for 12 wins a month" in result.output
    assert "12 wins x" in result.output
    goals = [one["goal_a_month"] for one in said["sources"]]
    assert sum(goals) == pytest.approx(said["everybody"]["goal_a_month"])


def test_the_points_of_a_contact_are_explained_line_by_line(market: tuple[str, ...]) -> None:
    said = leadline_json("rules", "log", "c000001", "--rules", SHEET, *market)
    result = leadline("rules", "log", "c000001", "--rules", SHEET, *market)

    assert sum(line["points"] for line in said["lines"]) == pytest.approx(said["total"])
    assert "Asked for a demo" in result.output
    assert f"total: {said['total']:.2f}" in result.output
    assert leadline("rules", "log", "nobody", "--rules", SHEET, *market).exit_code == 1


def test_tables_that_end_long_ago_are_said_to_be_old_unless_an_as_of_is_chosen(market: tuple[str, ...]) -> None:
    now = leadline("rules", "log", "c000001", "--rules", SHEET, *market[:4])
    then = leadline("rules", "log", "c000001", "--rules", SHEET, *market)

    assert "note: nothing is known after 2025-12-31" in now.stderr
    assert "--as-of 2026-01-01" in now.stderr
    assert "note:" not in then.stderr
