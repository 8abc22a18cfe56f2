"""The demo, as the person who tries the product sees it."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows.console import Progress
from flows.run import run
from serving.contract import contract_of
from tests.flows.commands import END, Installed, contents, leadline
from tests.serving.conftest import PostgresServer, postgres

__all__ = ["postgres"]

PASSWORD = "canary-5f2c-password"
EMAIL = re.compile(rb"[\w.+-]+@[\w-]+\.[\w.]+")


@dataclass(frozen=True)
class Shown:
    """What the demo printed, and the home it filled."""

    home: Path
    stdout: str
    stderr: str

    def paths(self, word: str) -> list[Path]:
        return [Path(found) for found in re.findall(rf"^{word} +(\S+)", self.stdout, flags=re.MULTILINE)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    home = tmp_path_factory.mktemp("demo") / "home"
    result = leadline("demo", "--contacts", "1200", "--home", home)
    assert result.exit_code == 0
    return Shown(home=home, stdout=result.stdout, stderr=result.stderr)


def test_the_demo_ends_with_where_things_lie(demo: Shown) -> None:
    scores, reports = demo.paths("Scores"), demo.paths("Report")

    assert [path.name for path in scores] == ["contacts.csv", "deals.csv"]
    assert [path.suffix for path in reports] == [".html"]
    assert all(path.is_absolute() and path.stat().st_size > 1000 for path in scores + reports)
    assert "Report" in demo.stdout.strip().splitlines()[-1]


def test_the_demo_tells_each_step_and_both_verdicts(demo: Shown) -> None:
    assert len(re.findall(r"^done ", demo.stderr, flags=re.MULTILINE)) == 7
    for question in ("contacts", "deals"):
        assert f"Verdict for {question}: use " in demo.stdout


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_the_scores_keep_the_contract_and_their_reasons_add_up(demo: Shown, question: str) -> None:
    contract = contract_of(question)
    (file,) = [path for path in demo.paths("Scores") if path.stem == question]

    rows = pd.read_csv(file)

    assert list(rows) == list(contract.names)
    scored = rows.loc[rows[contract.probability].notna()]
    assert len(scored) > 10
    assert rows.loc[rows[contract.probability].isna(), "not_scored"].notna().all()
    for _, row in scored.iterrows():
        families: list[dict[str, Any]] = json.loads(row["reasons"])
        told = row["base_rate"] + sum(family["effect"] for family in families)
        assert told == pytest.approx(row[contract.probability], abs=1e-9)
        for family in families:
            parts = sum(feature["effect"] for feature in family["features"])
            assert parts == pytest.approx(family["effect"], abs=1e-9)


def test_the_report_asks_nothing_of_any_network(demo: Shown) -> None:
    (report,) = demo.paths("Report")
    html = report.read_text(encoding="utf-8")

    # Names of the SVG and XHTML vocabularies are no addresses that anything is loaded from.
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+[^\s\"'<)]*", html))
    assert {address for address in addresses if not address.startswith("http://www.w3.org/")} == set()
    assert re.findall(r"<(?:script|link|iframe|img|object|embed)\b[^>]*(?:src|href|data)=[\"'](?!data:|#)", html) == []
    assert "@import" not in html
    assert report.stat().st_size < 1_000_000


def test_nothing_is_written_beside_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path / "own")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert leadline("run", "--config", own.config, "--as-of", "2026-01-05", "--home", own.home).exit_code == 0

    assert contents(tmp_path / "elsewhere") == {}


def test_no_address_and_no_password_leaves_the_warehouse(
    tmp_path: Path,
    installed: Installed,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A run and every export at the loudest logging, with canaries: e-mail addresses, and the store's password."""
    own = installed.copied_to(tmp_path)
    url = postgres.new_store().replace("postgres@/", f"postgres:{PASSWORD}@/")
    monkeypatch.setenv("LEADLINE_STORE_URL", url)
    caplog.set_level(logging.DEBUG)
    addresses = set(own.workplace.source.read()[0]["contacts"]["email"].dropna().str.lower())
    assert len(addresses) > 500

    run(own.workplace, as_of=END, now=pd.Timestamp("2026-01-02T00:00:00Z").to_pydatetime(), progress=Progress())
    for question in ("contacts", "deals"):
        for kind in ("csv", "parquet", "ndjson"):
            file = own.home / "exports" / f"{question}.{kind}"
            file.parent.mkdir(exist_ok=True)
            assert leadline("export", question, "--format", kind, "--out", file, "--home", own.home).exit_code == 0
    status = leadline("status", "--home", own.home)

    said = "".join([caplog.text, *capfd.readouterr(), status.output]).encode()
    written = {name: data for name, data in contents(own.home).items() if not name.startswith("warehouse/")}
    for question in ("contacts", "deals"):
        # Parquet is compressed: its text is searched as it is read.
        rows = pd.read_parquet(own.home / "exports" / f"{question}.parquet")
        written[f"rows of {question}.parquet"] = rows.to_csv().encode()
    assert {Path(name).suffix for name in written} >= {".html", ".csv", ".json", ".txt", ".db", ".parquet", ".ndjson"}
    for place, data in (written | {"log and terminal": said}).items():
        assert PASSWORD.encode() not in data, place
        leaked = {found.decode().lower() for found in EMAIL.findall(data)} & addresses
        assert leaked == set(), place
