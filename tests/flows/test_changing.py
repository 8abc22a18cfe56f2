"""A second batch says why its scores are not those of the first."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select, update

from flows import pipeline
from flows.changing import earlier_batch, explain_changes
from flows.extracting import Extract, extract
from flows.wiring import Workplace
from models.score_change import LEAST_MOVE, NO_MODEL, Earlier
from serving.schema import batches
from tests.flows.commands import END, Installed, leadline, leadline_json
from tests.models.keys import make_keys

WEEK_LATER = END + pd.Timedelta(days=7)


@dataclass(frozen=True)
class Scored:
    """A home in which the contacts were scored a week after its first batch, and not yet published."""

    workplace: Workplace
    extracted: Extract
    difference: pd.Series

    def changes(self, workplace: Workplace | None = None) -> dict[str, dict[str, Any]]:
        """Run the step, perhaps in a workplace that was told otherwise, and return its answers by contact."""
        place = workplace or self.workplace
        frame = pd.read_parquet(explain_changes(place, self.extracted, question="contacts", as_of=WEEK_LATER))
        return dict(zip(frame["contact_id"], map(json.loads, frame["change"]), strict=True))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, installed: Installed) -> Scored:
    workplace = installed.copied_to(tmp_path_factory.mktemp("scored")).workplace
    extracted = extract(workplace, as_of=WEEK_LATER)
    pipeline.build_features(workplace, extracted, question="contacts", as_of=WEEK_LATER)
    file = pipeline.score(workplace, extracted, question="contacts", as_of=WEEK_LATER)
    rows = pd.read_parquet(file).set_index("contact_id")
    return Scored(workplace, extracted, rows["close_likelihood"] - rows["previous_likelihood"])


def test_every_score_that_moved_is_explained_in_one_part_or_many(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scored.changes()

    monkeypatch.setattr("flows.extracting.BYTES_OF_AN_ACTIVITY", scored.extracted.memory_bytes // 2 // 4000)
    assert len(list(scored.extracted.contact_tables())) > 1
    assert scored.changes() == whole
    moved = scored.difference.index[scored.difference.abs() >= LEAST_MOVE]
    assert set(whole) == set(moved)
    assert len(whole) > 20
    for name, one in whole.items():
        total = sum(part["effect"] for part in one["parts"])
        assert total == pytest.approx(scored.difference[name], abs=1e-9)
        # Nothing became known after the end of the invented history.
        assert re.fullmatch(r"[+-]\d+\.\d percentage points: 7 days without anything new", one["words"])


def test_without_the_old_model_the_difference_is_told_and_not_split(tmp_path: Path, scored: Scored) -> None:
    home = tmp_path / "home"
    shutil.copytree(scored.workplace.home, home)
    forgetful = replace(scored.workplace, home=home)
    with closing(forgetful.store()) as store, store.writing() as connection:
        versions = json.loads(connection.scalar(select(batches.c.model_versions)) or "{}")
        connection.execute(update(batches).values(model_versions=json.dumps(versions | {"contacts": "contacts-gone"})))

    told = scored.changes(forgetful)

    assert {(one["words"], len(one["parts"])) for one in told.values()} == {(f"not split: {NO_MODEL}", 0)}
    assert {name: pytest.approx(one["difference"]) for name, one in told.items()} == scored.difference[
        list(told)
    ].to_dict()


def test_an_old_model_that_may_not_be_loaded_is_not_at_hand(scored: Scored) -> None:
    signing = scored.workplace.settings.signing.model_copy(update={"required": True})
    strict = replace(
        scored.workplace,
        settings=scored.workplace.settings.model_copy(update={"signing": signing}),
        public_key=make_keys().public,
    )

    earlier = earlier_batch(strict, question="contacts", as_of=WEEK_LATER)

    assert earlier == Earlier(as_of=END, bundle=None)


def test_a_first_batch_has_no_earlier_one(scored: Scored) -> None:
    assert earlier_batch(scored.workplace, question="contacts", as_of=END) is None


def test_the_command_tells_a_person_and_a_script_why(tmp_path: Path, installed: Installed) -> None:
    home = installed.copied_to(tmp_path).home
    leadline("score", "--config", installed.config, "--as-of", WEEK_LATER.isoformat(), "--home", home)
    out = tmp_path / "contacts.ndjson"
    leadline("export", "contacts", "--format", "ndjson", "--out", out, "--home", home)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    moved = max((row for row in rows if row["change"]), key=lambda row: abs(row["change"]["difference"]))

    told = leadline_json("why", "contacts", moved["contact_id"], "--home", home)
    said = leadline("why", "contacts", moved["contact_id"], "--home", home).stdout
    unknown = leadline("why", "deals", "nobody", "--home", home)

    assert told["change"]["difference"] == moved["change"]["difference"]
    assert told["base_rate"] + sum(one["effect"] for one in told["reasons"]) == pytest.approx(
        told["probability"], abs=1e-9
    )
    assert "Why it changed from" in said
    assert "passing time: 7 days without anything new" in said
    assert re.search(r"; the average is \d", said)
    assert len(re.findall(r"^ +[+-]\d+\.\d  ", said.partition("Why it changed")[0], flags=re.MULTILINE)) <= 7
    assert (unknown.exit_code, "no batch that is kept holds 'nobody'" in unknown.stderr) == (1, True)
