"""The catalogue of features, as a person and as a script read it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.catalogue import CATALOGUE
from features.tables import CrmTables
from tests.flows.commands import FOLDER, leadline, leadline_json, tiny_tables, write_config, write_parquet


def test_features_of_both_questions_are_listed() -> None:
    listed = leadline_json("features", "list")

    assert [one["name"] for one in listed] == [entry.name for entry in CATALOGUE]
    assert all(one["words"] and one["known"] and one["source"] for one in listed)


def test_features_of_one_question_are_listed() -> None:
    names = {one["name"] for one in leadline_json("features", "list", "contacts")}

    assert "open_deal_position" in names
    assert "stage" not in names


def test_a_person_reads_names_words_and_families() -> None:
    lines = leadline("features", "list", "deals").stdout.splitlines()

    amount = next(line for line in lines if "amount_changes" in line)
    assert "changes of the amount" in amount
    assert "value" in amount
    assert any("warmth_{direction}_{days}d" in line for line in lines)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[CrmTables, Path, list[str]]:
    """Write the features of a folder of tables at two moments; the command's arguments but --as-of come third."""
    folder = tmp_path_factory.mktemp("written")
    tables = tiny_tables(contacts=200, months=6)
    data, config = write_parquet(tables, folder / "data"), write_config(folder, FOLDER)
    arguments = ["features", "write", "--config", str(config), "--data", str(data), "--home", str(folder / "home")]
    arguments += ["--out", str(folder / "out")]
    leadline_json(*arguments, "--as-of", "2025-12-01", "--as-of", "2025-10-01")
    return tables, folder / "out", arguments


def test_what_every_contact_had_done_is_written_at_several_moments(written: tuple[CrmTables, Path, list[str]]) -> None:
    tables, out, _ = written
    contacts, activities = tables["contacts"], tables["activities"]
    calls = activities[activities["type"] == "call"]
    expected = {}
    for moment in (pd.Timestamp("2025-10-01", tz="UTC"), pd.Timestamp("2025-12-01", tz="UTC")):
        seen = calls[calls[["occurred_at", "known_at"]].max(axis=1) < moment]
        for contact in contacts.loc[contacts["created_at"] < moment, "contact_id"]:
            expected[contact, moment] = int((seen["contact_id"] == contact).sum())

    rows = pq.read_table(out).to_pandas()

    found = dict(zip(zip(rows["contact_id"], rows["as_of"], strict=True), rows["call_total"], strict=True))
    assert found == expected
    assert sum(expected.values()) > 20
    assert {"page_view", "call"} < set(rows["last_kind"].dropna()) <= set(activities["type"])
    assert {"email_open_28d", "days_since_meeting", "warmth_inbound_7d", "their_mean_answer_days"} <= set(rows)


def test_a_folder_of_something_else_is_not_replaced(written: tuple[CrmTables, Path, list[str]]) -> None:
    _, out, arguments = written
    before = len(list(out.iterdir()))

    (out / "thesis.docx").write_text("years of work")
    result = leadline(*arguments)

    assert result.exit_code == 1
    assert "holds thesis.docx" in result.output
    assert len(list(out.iterdir())) == before + 1
