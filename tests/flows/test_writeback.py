"""From a HubSpot account to scores in it, as a person types it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from features.sources.hubspot.source import landing_file
from features.sources.hubspot_sandbox.account import Account
from features.sources.hubspot_sandbox.api import Api
from features.sources.hubspot_sandbox.filling import Filled, fill
from features.sources.hubspot_sandbox.limits import Plan
from features.sources.hubspot_sandbox.server import serving
from tests.features.hubspot_accounts import TOKEN, VirtualClock
from tests.flows.commands import END, Installed, leadline, leadline_json, tiny_tables, write_config
from tests.flows.test_erasing import files_that_name

CANARY = "canary.person@example.org"
CONFIG = """\
source:
  kind: hubspot
  base_url: {url}
  contact_properties: [job_level, country]
  pace: {{requests_per_10_seconds: 1000, keep_daily: 0}}
bootstrap_replicates: 20
"""


@dataclass(frozen=True)
class Connected:
    """A home that was filled from a sandbox account, which still answers."""

    account: Account
    api: Api
    filled: Filled
    config: Path
    home: Path
    said: dict[str, Any]
    logged: list[str]

    def writeback(self, *arguments: str) -> Any:
        return leadline_json("writeback", *arguments, "--config", self.config, "--home", self.home)

    def likelihoods(self) -> list[str | None]:
        records = self.account.objects["contacts"].values()
        return [record.values.get("leadline_likelihood") for record in records]


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    folder = tmp_path_factory.mktemp("hubspot")
    clock = VirtualClock(END.to_pydatetime())
    account = Account(now=clock.now)
    filled = fill(account, tiny_tables())
    api = Api(account, token=TOKEN, plan=Plan(burst=100_000))
    with pytest.MonkeyPatch.context() as patched, serving(api) as url:
        patched.setenv("LEADLINE_HUBSPOT_TOKEN", TOKEN)
        account.write("contacts", next(iter(filled.contacts.values())), {"email": CANARY})
        config, home = write_config(folder, CONFIG.format(url=url)), folder / "home"
        with everything_logged() as logged:
            said = leadline_json("run", "--config", config, "--home", home, "--as-of", END.isoformat())
        yield Connected(account, api, filled, config, home, said, logged)


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Gather what anybody logs at any level."""
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(f"{record.name} {record.getMessage()}\n")  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def test_a_run_on_hubspot_scores_its_contacts_and_deals(connected: Connected) -> None:
    assert connected.said["rows"]["contacts"] == len(connected.account.objects["contacts"])
    assert connected.said["rows"]["deals"] > 0


def test_the_same_account_as_tables_in_a_folder_gives_as_many_scores(connected: Connected, tiny: Installed) -> None:
    assert connected.said["rows"] == tiny.said["rows"]


def test_scores_go_back_once_and_can_be_undone(connected: Connected) -> None:
    dry = connected.writeback("contacts", "--dry-run")
    before = connected.likelihoods()
    connected.api.calls.clear()
    written = connected.writeback("contacts", "--yes")
    sent = [path for _, path in connected.api.calls if path.endswith("batch/update")]
    after = connected.likelihoods()
    connected.api.calls.clear()
    again = connected.writeback("contacts", "--yes")
    asked_again = list(connected.api.calls)
    undone = connected.writeback("contacts", "--undo", "--yes")

    changes = len(dry["plan"]["changes"])
    assert changes > 100
    assert dry["outcome"] is None
    assert before == [None] * len(before)
    assert written["outcome"]["written"] == changes == sum(value is not None for value in after)
    assert len(sent) == -(-changes // 100)
    assert (again["plan"]["unchanged"], again["outcome"]["written"], asked_again) == (len(before), 0, [])
    assert undone["outcome"]["written"] == changes
    assert connected.likelihoods() == before


def test_without_a_yes_nothing_is_written(connected: Connected) -> None:
    result = leadline("writeback", "deals", "--config", connected.config, "--home", connected.home)

    assert result.exit_code == 1
    assert "to write" in result.stdout
    assert "Write" in result.stderr
    assert all("leadline_win_probability" not in one.values for one in connected.account.objects["deals"].values())


def test_a_limit_and_a_refusal_are_told_to_a_person(connected: Connected) -> None:
    deals = connected.account.objects["deals"]
    connected.account.forbidden["deals"] = dict.fromkeys(deals, "Amount is required in this stage")

    result = leadline(
        "writeback", "deals", "--config", connected.config, "--home", connected.home, "--yes", "--limit", "2"
    )

    connected.account.forbidden.clear()
    assert result.exit_code == 0
    assert "0 written" in result.stdout
    assert "2 refused; the next write-back tries them again" in result.stdout
    assert "Amount is required in this stage" in result.stdout


def test_undo_has_no_dry_run(connected: Connected) -> None:
    result = leadline(
        "writeback", "deals", "--undo", "--dry-run", "--config", connected.config, "--home", connected.home
    )

    assert result.exit_code == 2


def test_without_a_token_the_variable_is_named(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADLINE_HUBSPOT_TOKEN")

    result = leadline("check", "--config", connected.config, "--home", connected.home)

    assert result.exit_code == 2
    assert "LEADLINE_HUBSPOT_TOKEN" in result.stderr


def test_token_and_addresses_are_in_no_log_report_batch_ledger_or_error(connected: Connected) -> None:
    deals = connected.account.objects["deals"]
    connected.account.forbidden["deals"] = dict.fromkeys(deals, f"{CANARY} must be asked before")
    arguments = ("--config", connected.config, "--home", connected.home)
    with everything_logged() as heard:
        said = [
            leadline("check", *arguments, "--json"),
            leadline("writeback", "contacts", *arguments, "--dry-run"),
            leadline("writeback", "deals", *arguments, "--yes", "--limit", "3"),
            leadline("writeback", "contacts", *arguments, "--undo"),
            leadline("report", "--home", connected.home),
            leadline("status", "--home", connected.home),
        ]
    connected.account.forbidden.clear()

    told = "".join([*connected.logged, *heard, *(one.output for one in said), json.dumps(connected.said)])
    assert "(an address) must be asked before" in told
    assert len(connected.logged) > 20
    assert TOKEN not in told
    assert CANARY not in told
    for path in connected.home.rglob("*"):
        # What was read lies in the warehouse alone: addresses are how e-mail events find their contact.
        if path.is_file():
            content = path.read_bytes()
            assert TOKEN.encode() not in content, path.name
            assert "warehouse" in path.parts or CANARY.encode() not in content, path.name
    assert CANARY.encode() in landing_file(connected.home).read_bytes()


@pytest.mark.slow
def test_the_demo_reads_its_crm_from_hubspot_and_writes_the_scores_back(tmp_path: Path) -> None:
    result = leadline("demo", "--hubspot", "--contacts", "300", "--home", tmp_path / "home")

    assert result.exit_code == 0
    assert "Writing the scores of contacts back into HubSpot" in result.stderr
    assert (tmp_path / "home" / "writeback.db").exists()
    assert (tmp_path / "home" / "exports" / "contacts.csv").stat().st_size > 10_000


def test_an_erased_contact_is_in_nothing_that_was_landed(connected: Connected, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(connected.home, home)
    contacts = connected.account.objects["contacts"]
    number, email = next((key, one.values["email"]) for key, one in contacts.items() if one.values.get("email"))
    before = files_that_name(home, email)

    said = leadline_json("erase", str(number), "--home", home)

    assert str(landing_file(home).relative_to(home)) in before
    assert files_that_name(home, email) == []
    assert (said["landed"], said["score_rows"]) == (1, 1)
