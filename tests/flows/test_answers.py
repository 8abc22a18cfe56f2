from __future__ import annotations

from pathlib import Path

from tests.flows.commands import FOLDER, Installed, leadline, tiny_tables, write_config, write_csv


def test_a_run_without_a_model_leaves_a_page_for_the_manager(installed: Installed) -> None:
    page = (installed.home / "reports" / "answer-deals.md").read_text(encoding="utf-8")

    assert page.startswith("# Scores of a small company: deals\n")
    assert "## What there is" in page
    assert "won deals" in page or "lost deals" in page
    assert "## What is published instead" in page
    # Contacts are scored by the model, so there is nothing to explain.
    assert not (installed.home / "reports" / "answer-contacts.md").exists()


def test_the_report_gives_the_answer_in_plain_words(installed: Installed) -> None:
    report = next((installed.home / "reports").glob("*.html")).read_text(encoding="utf-8")

    assert "Yes: use the model’s probabilities for contacts." in report
    assert "It was tried on" in report
    assert "deals as they stood in the past" in report


def test_nothing_to_learn_from_is_a_page_as_well(tmp_path: Path) -> None:
    data = write_csv(tiny_tables(), tmp_path / "data", without=("deals", "deal_contacts", "deal_stage_history"))
    config = write_config(tmp_path, FOLDER + "questions: [deals]\n")
    home = tmp_path / "home"

    result = leadline("train", "--config", config, "--data", data, "--home", home, "--as-of", "2026-01-01T00:00:00Z")

    assert result.exit_code == 1
    page = (home / "reports" / "answer-deals.md").read_text(encoding="utf-8")
    assert "Nothing is published for deals yet." in page
    assert "Bring a longer history" in page
