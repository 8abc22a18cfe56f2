"""One contact erased: searched for in every file of the home, whatever its form, and not found."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.places import store_of
from flows.settings import load_settings
from serving.writeback.ledger import Ledger, Write
from tests.flows.commands import Installed, leadline, leadline_json


def files_that_name(home: Path, *words: str) -> list[str]:
    """Search bytes, and the values of Parquet files, which are compressed."""

    def names(file: Path) -> bool:
        held = file.read_bytes()
        if file.suffix == ".parquet":
            held += json.dumps(pq.read_table(file).to_pydict(), default=str).encode()
        return any(word.encode() in held for word in words)

    return sorted(str(file.relative_to(home)) for file in home.rglob("*") if file.is_file() and names(file))


@pytest.fixture
def planted(tmp_path: Path, tiny: Installed) -> tuple[Installed, str, str]:
    """A home in which one contact with an address is named wherever it may be."""
    own = tiny.copied_to(tmp_path)
    tables, _ = own.workplace.source.read()
    with closing(store_of(own.home)) as store:
        scored = store.read("contacts")["contact_id"]
    known = tables["contacts"].loc[tables["contacts"]["email"].notna() & tables["contacts"]["contact_id"].isin(scored)]
    contact_id, email = known[["contact_id", "email"]].iloc[0]
    asked = own.home / "exports" / "api" / "one"
    asked.mkdir(parents=True)
    leadline("export", "contacts", "--home", own.home, "--out", own.home / "exports" / "contacts.csv")
    (asked / "export.json").write_text(json.dumps({"request": {"question": "contacts"}}), encoding="utf-8")
    (asked / "part.ndjson").write_text(contact_id, encoding="utf-8")
    with closing(Ledger(own.home)) as ledger:
        run = ledger.begin(question="contacts", batch_id="b", as_of=None, now=own.workplace.store().batches()[0].as_of)
        write = Write(contact_id, before={"email": email}, after={"score": "1"})
        ledger.intend(run, [write])
        ledger.settle(run, question="contacts", as_of=None, written=[write], dead=[])
    for page in (own.home / "reports").glob("*.html"):
        page.write_text(f"<td>{contact_id}</td>", encoding="utf-8")
    (own.home / "reports" / "of-a-batch-that-is-gone.html").write_text(f"<td>{contact_id}</td>", encoding="utf-8")
    (own.home / "prefect").mkdir()
    (own.home / "prefect" / "prefect.db").write_text(contact_id, encoding="utf-8")
    return own, contact_id, email


def test_an_erased_contact_is_in_no_file_of_the_home_and_the_record_proves_it(
    planted: tuple[Installed, str, str],
) -> None:
    own, contact_id, email = planted
    named_before = files_that_name(own.home, contact_id, email)

    said = leadline_json("erase", contact_id, "--home", own.home)

    assert {"scores.db", "writeback.db", "warehouse/activities.duckdb", "exports/contacts.csv"} < set(named_before)
    # The tombstone of the next batch, which the jobs that hold a copy need.
    assert files_that_name(own.home, contact_id) == ["scores.db"]
    assert files_that_name(own.home, email) == []
    assert (said["score_rows"], said["writes"], said["exports"]) == (1, 1, 2)
    (line,) = (own.home / "erasures.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["contact_sha256"] == hashlib.sha256(contact_id.encode()).hexdigest()
    (report,) = (own.home / "reports").glob("*.html")
    assert "</html>" in report.read_text(encoding="utf-8")


def test_the_next_run_after_an_erasure_is_compared_with_the_one_before_it(planted: tuple[Installed, str, str]) -> None:
    own, contact_id, _ = planted
    leadline("erase", contact_id, "--home", own.home)

    again = leadline_json("score", "--config", own.config, "--home", own.home)

    assert load_settings(own.config).source.kind == "synthetic"
    assert again["batch_id"] == own.batch_id
    with closing(store_of(own.home)) as store:
        assert contact_id not in set(store.read("contacts")["contact_id"])


def test_a_contact_that_nothing_names_is_told(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)

    said = leadline("erase", "nobody", "--home", own.home)

    assert said.exit_code == 0
    assert "Nothing names it" in said.output
    assert not (own.home / "warehouse" / "activities.duckdb").exists()
