from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.findings import RefusedTablesError
from features.sources.synthetic import SyntheticSource
from features.tables import TABLE_NAMES, CrmTables
from flows import pipeline
from flows.console import Progress
from flows.extracting import checked, extract
from flows.pipeline import ModelFromTheFutureError, NothingPublishableError, training_due
from flows.run import RunResult, run
from flows.wiring import Workplace
from models.rules.sheet import Thresholds
from tests.flows.commands import (
    END,
    FOLDER,
    Installed,
    contents,
    leadline,
    leadline_json,
    tiny_tables,
    write_config,
    write_csv,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = pd.Timedelta(days=1)


def run_quietly(workplace: Workplace, *, as_of: pd.Timestamp = END, now: datetime = NOW) -> RunResult:
    return run(workplace, as_of=as_of, now=now, progress=Progress(quiet=True))


def told_otherwise(workplace: Workplace, **settings: Any) -> Workplace:
    return replace(workplace, settings=workplace.settings.model_copy(update=settings))


def folders(workplace: Workplace) -> list[str]:
    return sorted(path.name for path in workplace.warehouse.iterdir() if path.is_dir())


def test_training_is_due_where_no_model_was_promoted(tmp_path: Path, installed: Installed) -> None:
    empty = replace(installed.workplace, home=tmp_path)

    assert training_due(empty, question="contacts", as_of=END)


@pytest.mark.parametrize(
    ("as_of", "due"),
    [
        (END, False),
        (END + 30 * DAY - pd.Timedelta(microseconds=1), False),
        (END + 30 * DAY, True),
        # The model knows what this as-of must not.
        (END - pd.Timedelta(microseconds=1), True),
    ],
)
def test_training_is_due_once_the_model_is_too_old_or_knows_the_future(
    installed: Installed, as_of: pd.Timestamp, due: bool
) -> None:
    assert training_due(installed.workplace, question="contacts", as_of=as_of) is due


def test_training_is_due_as_often_as_the_settings_say(installed: Installed) -> None:
    hourly = told_otherwise(installed.workplace, retrain_after_days=1 / 24)

    assert not training_due(hourly, question="deals", as_of=END + pd.Timedelta(minutes=59))
    assert training_due(hourly, question="deals", as_of=END + pd.Timedelta(minutes=60))


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({"horizon_days": 60.0}, True),
        ({"seed": 8}, True),
        # What is only shown, or only says when to train, changes no model.
        ({"title": "Another title"}, False),
        ({"retrain_after_days": 20.0}, False),
    ],
)
def test_training_is_due_once_what_decides_the_model_was_changed(
    installed: Installed, changed: dict[str, Any], due: bool
) -> None:
    assert training_due(told_otherwise(installed.workplace, **changed), question="deals", as_of=END) is due


def test_training_is_due_once_the_rule_sheet_was_changed(installed: Installed) -> None:
    rules = installed.workplace.rules.model_copy(update={"thresholds": Thresholds(mql=51.0)})

    assert training_due(replace(installed.workplace, rules=rules), question="contacts", as_of=END)


def test_extracting_twice_keeps_one_folder(tmp_path: Path, tiny: Installed) -> None:
    workplace = replace(tiny.workplace, home=tmp_path)

    first = extract(workplace, as_of=END)
    written = contents(tmp_path)
    second = extract(workplace, as_of=END + DAY)

    assert (first.folder, first.digest) == (second.folder, second.digest)
    assert folders(workplace) == [first.digest[:16]]
    assert contents(tmp_path) == written


def test_what_was_kept_is_what_was_read(tmp_path: Path, tiny: Installed) -> None:
    extracted = extract(replace(tiny.workplace, home=tmp_path), as_of=END)

    read, _ = tiny.workplace.source.read()
    kept = extracted.deal_tables()
    for name in TABLE_NAMES:
        if name != "activities":
            pd.testing.assert_frame_equal(kept[name], read[name], check_like=True, check_column_type=False)
    # Of an activity its id is not needed any more, words are categories, and a contact's lie together.
    delivered = read["activities"].drop(columns="activity_id")
    columns = list(delivered.columns)
    pd.testing.assert_frame_equal(
        kept["activities"].astype(delivered.dtypes)[columns].sort_values(columns, ignore_index=True),
        delivered.sort_values(columns, ignore_index=True),
    )


def test_a_table_that_was_not_delivered_is_absent_when_read_back(tmp_path: Path) -> None:
    folder = write_csv(tiny_tables(), tmp_path / "data", without=("owners", "companies"))
    workplace = folder_workplace(tmp_path, folder)

    tables = extract(workplace, as_of=END).small_tables

    assert sorted(tables.absent) == ["companies", "owners"]
    assert tables["owners"].empty


@pytest.mark.parametrize("home_exists", [False, True])
def test_what_is_only_checked_leaves_no_trace_and_clears_away_what_was_killed(
    tmp_path: Path, home_exists: bool
) -> None:
    workplace = folder_workplace(tmp_path, write_csv(tiny_tables(), tmp_path / "data"))
    if home_exists:
        # No process has the first number; the second one is at work.
        for number in (2**30, os.getppid()):
            (workplace.warehouse / f".{number}.spill").mkdir(parents=True)

    with checked(workplace, as_of=END) as source:
        assert len(source.tables["activities"]) == source.warehouse.rows()

    left = [path.name for path in workplace.warehouse.iterdir()] if home_exists else []
    assert left == ([f".{os.getppid()}.spill"] if home_exists else [])
    assert workplace.home.exists() == home_exists


def test_an_extract_that_was_cut_short_leaves_nothing_that_counts(
    tmp_path: Path, tiny: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = replace(tiny.workplace, home=tmp_path / "cut")
    whole = extract(replace(tiny.workplace, home=tmp_path / "whole"), as_of=END)
    written = pd.DataFrame.to_parquet
    count = 0

    def cut_short(frame: pd.DataFrame, path: Path, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        written(frame, path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", cut_short)
        with pytest.raises(KeyboardInterrupt):
            extract(workplace, as_of=END)
    halves = folders(workplace)
    extracted = extract(workplace, as_of=END)

    assert [name[0] for name in halves] == ["."]
    assert folders(workplace) == [extracted.folder.name]
    assert extracted.digest == whole.digest
    assert extracted.deal_tables().digest() == whole.deal_tables().digest()


def test_only_the_two_newest_extracts_are_kept(tmp_path: Path, tiny: Installed) -> None:
    folders = [
        extract(
            replace(
                tiny.workplace,
                home=tmp_path,
                accepts_tables=True,
                source=SyntheticSource(tiny.workplace.settings.source.model_copy(update={"seed": seed})),  # type: ignore[arg-type]
            ),
            as_of=END,
        ).folder
        for seed in (1, 2, 3)
    ]

    assert [folder.exists() for folder in folders] == [False, True, True]


def folder_workplace(tmp_path: Path, folder: Path, text: str = FOLDER) -> Workplace:
    from flows.wiring import make_workplace

    return make_workplace(config=write_config(tmp_path, text), data=folder, home=tmp_path / "home")


def test_tables_with_an_error_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    tables = tiny_tables()
    stages = tables["stages"].assign(outcome=tables["stages"]["outcome"].replace("won", "closed"))
    folder = write_csv(CrmTables({**tables.frames, "stages": stages}), tmp_path / "data")

    with pytest.raises(RefusedTablesError, match="none of open, won, lost"):
        extract(folder_workplace(tmp_path, folder), as_of=END)

    assert not (tmp_path / "home").exists()


def test_publishing_the_same_scores_twice_is_publishing_them_once(tmp_path: Path, tiny: Installed) -> None:
    workplace = tiny.copied_to(tmp_path).workplace
    store = workplace.store()
    before = store.batches()
    rows = store.read("contacts")

    again = run_quietly(workplace, now=datetime(2027, 7, 7, tzinfo=UTC))

    assert again.published.already
    assert again.published.batch_id == tiny.batch_id
    assert store.batches() == before
    pd.testing.assert_frame_equal(store.read("contacts"), rows)


def test_other_words_over_the_report_make_another_batch_instead_of_a_conflict(tmp_path: Path, tiny: Installed) -> None:
    workplace = told_otherwise(tiny.copied_to(tmp_path).workplace, title="Another title")

    result = run_quietly(workplace)

    assert result.trained == ()
    assert result.published.batch_id != tiny.batch_id
    assert workplace.store().read("deals")["batch_id"].eq(result.published.batch_id).all()


def test_a_rerun_after_a_backfill_publishes_what_it_now_knows_of_the_past(tmp_path: Path, tiny: Installed) -> None:
    workplace = tiny.copied_to(tmp_path).workplace
    run_quietly(workplace, as_of=END - 20 * DAY)

    again = run_quietly(workplace)

    # The same scores, but now there is an earlier likelihood to compare with.
    assert not again.published.already
    first = workplace.store().read("contacts", tiny.batch_id)
    second = workplace.store().read("contacts", again.published.batch_id)
    assert first["previous_likelihood"].isna().all()
    assert second["previous_likelihood"].notna().any()
    pd.testing.assert_series_equal(first["close_likelihood"], second["close_likelihood"])


def test_a_backfill_changes_neither_the_latest_batch_nor_the_model_in_use(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)
    earlier = END - 20 * DAY

    first = run_quietly(own.workplace, as_of=earlier)
    second = run_quietly(own.workplace, as_of=earlier)
    between = run_quietly(own.workplace, as_of=END - 10 * DAY)

    assert [outcome.promoted for outcome in first.trained] == [False, False]
    assert first.published.batch_id.startswith("20251212T000000Z-")
    assert first.published.moved == ()
    assert second.published.already
    # The model of the backfill is young enough to score a later one too.
    assert (second.trained, between.trained) == ((), ())
    assert {version.version for version in between.models.values()} == {"2"}
    status = leadline_json("status", "--home", own.home)
    assert status["batch"]["batch_id"] == tiny.batch_id
    assert {model["version"] for model in status["models"].values()} == {"1"}


def test_a_training_as_of_an_earlier_day_says_that_it_was_not_promoted(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)

    result = leadline("train", "--config", own.config, "--as-of", "2025-12-12", "--home", own.home)

    assert result.stdout.count("not promoted: the version in use was trained on later facts") == 2


def masked(home: Path, folder: Path, question: str) -> str:
    """Export as CSV with the time of scoring left out."""
    file = folder / f"{home.parent.name}-{question}.csv"
    assert leadline("export", question, "--out", file, "--home", home).exit_code == 0
    lines = [line.split(",") for line in file.read_text(encoding="utf-8").splitlines()]
    column = lines[0].index("scored_at")
    return "\n".join(",".join([*cells[:column], *cells[column + 1 :]]) for cells in lines)


def test_the_same_input_gives_the_same_bytes_in_every_home_but_for_the_time_of_scoring(
    tmp_path: Path, installed: Installed
) -> None:
    other = replace(installed.workplace, home=tmp_path / "elsewhere" / "home")
    when = re.compile(r"\d{1,2} \w+ \d{4}|\d\d:\d\d|\d+ (?:hours|days|years)")

    result = run_quietly(other, now=datetime(2026, 5, 6, 7, 8, tzinfo=UTC))

    assert result.published.batch_id == installed.batch_id
    for question in ("contacts", "deals"):
        assert masked(other.home, tmp_path, question) == masked(installed.home, tmp_path, question)
        evaluations = [
            leadline_json("models", "show", question, "--home", home)["evaluation"]
            for home in (other.home, installed.home)
        ]
        assert evaluations[0] == evaluations[1]
    report, first_report = result.report.read_text(encoding="utf-8"), Path(installed.said["report"]).read_text("utf-8")
    assert when.sub("", report) == when.sub("", first_report)


def test_a_report_written_again_is_the_same_bytes(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)
    report = own.home / "reports" / f"{tiny.batch_id}.html"
    first = report.read_bytes()
    report.unlink()

    run_quietly(own.workplace)

    assert report.read_bytes() == first


@pytest.fixture
def without_contacts(tmp_path: Path) -> Path:
    return write_csv(tiny_tables(), tmp_path / "data", without=("contacts", "deal_contacts"))


def test_a_question_with_nothing_to_learn_is_refused_and_the_other_published(
    tmp_path: Path, without_contacts: Path
) -> None:
    workplace = folder_workplace(tmp_path, without_contacts)

    result = run_quietly(workplace)

    assert set(result.published.rows) == {"deals"}
    assert set(result.refused) == {"contacts"}
    assert result.refused["contacts"].startswith("contacts cannot be scored: no contact was created before")
    stored = workplace.store().latest_batch()
    assert stored is not None
    assert stored.summary["refused"] == result.refused
    assert result.report.exists()


def test_a_refused_question_is_told_to_the_person_at_the_terminal(tmp_path: Path, without_contacts: Path) -> None:
    config = write_config(tmp_path, FOLDER)

    result = leadline(
        "run", "--config", config, "--data", without_contacts, "--as-of", END.isoformat(), "--home", tmp_path / "home"
    )

    assert result.exit_code == 0
    assert "contacts cannot be scored" in result.stdout
    assert "leadline export deals" in result.stdout


def test_where_no_question_can_be_scored_nothing_is_published(tmp_path: Path, tiny: Installed) -> None:
    workplace = replace(tiny.workplace, home=tmp_path / "home")
    before_everything = END - 2000 * DAY

    with pytest.raises(NothingPublishableError) as caught:
        run_quietly(workplace, as_of=before_everything)

    assert "contacts cannot be scored" in str(caught.value)
    assert "deals cannot be scored" in str(caught.value)
    assert workplace.store().batches() == []


def test_where_no_question_can_be_scored_the_command_ends_with_one(tmp_path: Path, tiny: Installed) -> None:
    result = leadline("run", "--config", tiny.config, "--as-of", "2020-01-01", "--home", tmp_path / "home")

    assert result.exit_code == 1
    assert "nothing was published" in result.stderr


def test_a_model_from_the_future_is_not_loaded_for_scoring(tiny: Installed) -> None:
    with pytest.raises(ModelFromTheFutureError, match="trained on facts up to"):
        pipeline.bundle_for(tiny.workplace, question="deals", as_of=END - DAY)


def test_training_again_on_the_same_tables_records_no_second_version(tmp_path: Path, tiny: Installed) -> None:
    workplace = tiny.copied_to(tmp_path).workplace
    extracted = extract(workplace, as_of=END)

    outcome = pipeline.train(workplace, extracted, question="deals", as_of=END, now=NOW)

    assert outcome.version == "1"
    assert len(workplace.registry().versions("deals")) == 1
    assert len(workplace.registry().promotions("deals")) == 1


def test_what_does_not_fit_into_memory_has_the_features_and_scores_of_what_does(
    tmp_path: Path, tiny: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = tiny.copied_to(tmp_path).workplace
    extracted = extract(workplace, as_of=END)

    def computed() -> Iterator[pd.DataFrame]:
        for question in workplace.settings.questions:
            files = pipeline.build_features(workplace, extracted, question=question, as_of=END)
            scores = pipeline.score(workplace, extracted, question=question, as_of=END)
            for file in (*files, scores):
                yield pd.read_parquet(file).sort_values(f"{question[:-1]}_id", ignore_index=True)

    whole = list(computed())

    # As if an activity took so much memory that hardly any fit into it.
    monkeypatch.setattr("flows.extracting.BYTES_OF_AN_ACTIVITY", extracted.memory_bytes // 2 // 500)
    parted = list(computed())

    assert len(list(extracted.contact_tables())) > 5
    assert extracted.deal_tables().complete_for is not None
    for left, right in zip(parted, whole, strict=True):
        pd.testing.assert_frame_equal(left, right)
