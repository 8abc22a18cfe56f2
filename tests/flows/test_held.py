"""Fifteen kinds of poison in the tables: each is held back, and what was served before is served on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.findings import Finding, RefusedTablesError
from features.plausibility import HeldTablesError, PlausibilitySettings
from features.tables import CrmTables
from flows.extracting import checked, extract
from flows.held import read_held
from flows.wiring import Workplace
from tests.flows.commands import END, Installed, contents, leadline, leadline_json, write_parquet

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Delivered:
    """A source that delivers the tables it was given."""

    tables: CrmTables

    def read(self) -> tuple[CrmTables, list[Finding]]:
        return self.tables, []


def half(name: str) -> Callable[[Frames], Frames]:
    return lambda frames: {name: frames[name].sample(frac=0.5, random_state=1).sort_index()}


def columns(name: str, **values: Any) -> Callable[[Frames], Frames]:
    return lambda frames: {name: frames[name].assign(**values)}


def renumbered(frames: Frames) -> Frames:
    return {
        name: frames[name].assign(contact_id="x" + frames[name]["contact_id"]) for name in ("contacts", "activities")
    }


def shifted(frames: Frames) -> Frames:
    moved = frames["activities"]["occurred_at"] + pd.Timedelta(days=800)
    return {"activities": frames["activities"].assign(occurred_at=moved, known_at=moved)}


def older(frames: Frames) -> Frames:
    """The export of three weeks ago."""
    return {"activities": frames["activities"].loc[lambda rows: rows["occurred_at"] < END - pd.Timedelta(days=21)]}


def swapped(frames: Frames) -> Frames:
    outcome = frames["stages"]["outcome"].map({"won": "lost", "lost": "won", "open": "open"})
    return {"stages": frames["stages"].assign(outcome=outcome)}


POISON: dict[str, tuple[Callable[[Frames], Frames], str]] = {
    "contacts without a row": (lambda frames: {"contacts": frames["contacts"].iloc[:0]}, "empty-table"),
    "contacts not there": (lambda frames: {"contacts": None}, "implausible-gone"),  # type: ignore[dict-item]
    "half of the contacts": (half("contacts"), "implausible-shrunken"),
    "half of the deals": (half("deals"), "implausible-shrunken"),
    "half of the activities": (half("activities"), "implausible-shrunken"),
    "activities without a row": (lambda frames: {"activities": frames["activities"].iloc[:0]}, "implausible-emptied"),
    "links not there": (lambda frames: {"deal_contacts": None}, "implausible-gone"),  # type: ignore[dict-item]
    "a type of activity missing": (
        lambda frames: {"activities": frames["activities"].loc[lambda rows: rows["type"] != "email_open"]},
        "implausible-kind-gone",
    ),
    "everybody under another id": (renumbered, "implausible-exchanged"),
    "a property emptied": (columns("contacts", industry=None), "implausible-emptied"),
    "nobody has a company": (columns("contacts", company_id=None), "implausible-emptied"),
    "everybody has one owner": (columns("contacts", owner_id="o1"), "implausible-constant"),
    "last month's export": (older, "implausible-older"),
    "times of another epoch": (shifted, "implausible-ahead"),
    "won and lost exchanged": (swapped, "implausible-outcome-changed"),
}


def poisoned(tables: CrmTables, poison: Callable[[Frames], Frames]) -> CrmTables:
    changed = poison({name: tables[name] for name in tables.frames})
    absent = tuple(name for name, frame in changed.items() if frame is None)
    frames = {
        name: tables[name].iloc[:0] if name in absent else changed.get(name, tables[name]) for name in tables.frames
    }
    return CrmTables(
        frames={name: frame.reset_index(drop=True) for name, frame in frames.items()}, absent=(*tables.absent, *absent)
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Installed) -> tuple[Workplace, CrmTables]:
    """A home with a batch, whose contacts' industry is vouched for, and the tables it was made of."""
    workplace = tiny.copied_to(tmp_path_factory.mktemp("served")).workplace
    safe = workplace.settings.properties.model_copy(
        update={"contacts": workplace.settings.properties.contacts.model_copy(update={"safe": ("industry",)})}
    )
    tables, _ = workplace.source.read()
    workplace = replace(
        workplace,
        settings=workplace.settings.model_copy(
            update={"properties": safe, "plausibility": PlausibilitySettings(least_rows=20)}
        ),
        source=Delivered(tables),
    )
    extract(workplace, as_of=END)
    return workplace, tables


def test_there_are_fifteen_kinds_of_poison() -> None:
    assert len(POISON) == 15


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_held_back_and_the_old_batch_served(served: tuple[Workplace, CrmTables], kind: str) -> None:
    workplace, tables = served
    poison, code = POISON[kind]
    spoilt = replace(workplace, source=Delivered(poisoned(tables, poison)))
    before = {name: held for name, held in contents(workplace.home).items() if name != "held.json"}

    with pytest.raises((HeldTablesError, RefusedTablesError)) as caught:
        extract(spoilt, as_of=END)

    assert code in {finding.code for finding in caught.value.findings}
    # DuckDB rolls back by writing.
    kept = {name: held for name, held in contents(workplace.home).items() if "activities.duckdb" not in name}
    assert {name: kept.get(name) for name in before if "activities.duckdb" not in name} == {
        name: held for name, held in before.items() if "activities.duckdb" not in name
    }
    with closing(workplace.store()) as store:
        latest = store.latest_batch()
        assert latest is not None
        assert len(store.read("contacts")) == latest.rows["contacts"] > 0
    extract(workplace, as_of=END)
    assert read_held(workplace.home) is None


def test_what_is_held_back_is_told_and_a_person_may_accept_it(tmp_path: Path, tiny: Installed) -> None:
    tables, _ = tiny.workplace.source.read()
    data, home = write_parquet(tables, tmp_path / "data"), tiny.copied_to(tmp_path).home
    arguments = ("--config", tiny.config, "--data", data, "--home", home, "--as-of", END.isoformat())
    first = leadline_json("score", *arguments)
    write_parquet(poisoned(tables, half("activities")), data)

    refused = leadline("score", *arguments)
    found = leadline("check", *arguments)
    status, shown = leadline_json("status", "--home", home), leadline("status", "--home", home)
    doctor = leadline("doctor", "--home", home)
    accepted = leadline_json("score", *arguments, "--accept-tables")

    assert (refused.exit_code, found.exit_code) == (1, 1)
    assert "activities has" in refused.stderr
    assert "--accept-tables" in refused.stderr
    assert "activities has" in found.output
    assert "--accept-tables" in found.output
    assert "held back" in shown.output
    assert (doctor.exit_code, "held back" in doctor.output) == (1, False)
    assert status["held"]["reasons"][0]["code"] == "implausible-shrunken"
    assert status["batch"]["batch_id"] == first["batch_id"]
    assert accepted["batch_id"] != first["batch_id"]
    assert leadline_json("status", "--home", home)["held"] is None
    # What was accepted is what the next tables are compared with.
    assert leadline("score", *arguments).exit_code == 0


def test_another_kind_of_source_is_not_compared(served: tuple[Workplace, CrmTables], tmp_path: Path) -> None:
    workplace, tables = served

    @dataclass(frozen=True)
    class Other(Delivered):
        """A CRM that was changed for another one."""

    other = replace(workplace, source=Other(poisoned(tables, half("contacts"))))

    with checked(other, as_of=END, compare=True) as source:
        assert [finding for finding in source.findings if finding.severity == "error"] == []


def test_another_configuration_in_the_same_home_is_not_compared(
    served: tuple[Workplace, CrmTables], tmp_path: Path
) -> None:
    workplace, tables = served
    spoilt = replace(workplace, source=Delivered(poisoned(tables, half("contacts"))))
    other = replace(spoilt, config=tmp_path / "another_company.yaml")

    with checked(spoilt, as_of=END, compare=True) as source:
        assert "implausible-shrunken" in [finding.code for finding in source.findings]
    with checked(other, as_of=END, compare=True) as source:
        assert [finding for finding in source.findings if finding.severity == "error"] == []
