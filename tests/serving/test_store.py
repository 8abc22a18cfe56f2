"""The score store: whole batches or none, the same in SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine

from serving.batch import batch_name
from serving.contract import CONTRACTS, ContractError, check_rows
from serving.database import SlowStoreError
from serving.store import (
    Batch,
    BatchConflictError,
    Published,
    ReadOnlyStoreError,
    ScoreStore,
    StoreBusyError,
    StoreError,
    StoreUnreachableError,
    UnknownBatchError,
    batch_digest,
)
from tests.serving.conftest import (
    APRIL,
    MARCH,
    PostgresServer,
    make_batch,
    make_contact,
    make_deal,
    make_reasons,
    unscored_deal,
)


def test_an_empty_store_has_no_batches_and_is_not_made_by_reading(tmp_path: Path) -> None:
    store = ScoreStore(f"sqlite:///{tmp_path / 'scores.db'}")

    assert store.batches() == []
    assert store.latest_batch() is None
    assert store.previous("contacts").empty
    with pytest.raises(UnknownBatchError, match="holds none"):
        store.read("contacts")
    assert not list(tmp_path.iterdir())


def test_an_empty_database_has_no_batches(store: ScoreStore) -> None:
    assert store.latest_batch() is None
    with pytest.raises(UnknownBatchError):
        store.read("deals", "b1")


def test_published_rows_are_read_back_as_they_were(store: ScoreStore) -> None:
    published = store.publish(make_batch())

    deals = store.read("deals")
    assert (published.already, dict(published.rows), published.moved) == (
        False,
        {"contacts": 2, "deals": 3},
        ("contacts", "deals"),
    )
    assert tuple(deals.columns) == CONTRACTS["deals"].names
    assert {name: str(dtype) for name, dtype in deals.dtypes.items()} == {
        column.name: column.dtype for column in CONTRACTS["deals"].columns
    }
    assert deals["deal_id"].tolist() == ["D2", "d1", "d3"]
    stored = {str(name): value for name, value in deals.iloc[1].items() if name not in ("batch_id", "scored_at")}
    given = make_deal("d1")
    assert stored.keys() == given.keys() | {"owner_id", "points_reasons", "change"}
    assert {name: value for name, value in stored.items() if given.get(name) is not None} == {
        name: value for name, value in given.items() if value is not None
    }
    assert deals["not_scored"].isna().tolist() == [True, True, False]
    assert deals.iloc[2][["win_probability", "stalled", "reasons", "expected_close_at"]].isna().all()
    assert set(deals["batch_id"]) == {"b1"}
    assert set(deals["scored_at"]) == {pd.Timestamp("2024-03-02T04:05:00Z")}
    check_rows("deals", deals)


def test_floats_keep_their_last_bit_and_times_their_microsecond(store: ScoreStore) -> None:
    third = make_deal("d1", amount=1 / 3, days_in_stage=5e-324, expected_value=1.7976931348623157e308)

    store.publish(make_batch(deals=pd.DataFrame([third])))

    row = store.read("deals").iloc[0]
    assert (row["amount"], row["days_in_stage"], row["expected_value"]) == (1 / 3, 5e-324, 1.7976931348623157e308)
    assert row["expected_close_at"] == pd.Timestamp("2024-04-10T12:00:00.000001Z")


def test_hostile_text_is_stored_as_data(store: ScoreStore) -> None:
    stage = "'; DROP TABLE batches; --\n\"=1+1\u202e"

    store.publish(make_batch(deals=pd.DataFrame([make_deal("d'1", stage=stage, pipeline="a\0b")])))

    row = store.read("deals").iloc[0]
    assert (row["deal_id"], row["stage"], row["pipeline"]) == ("d'1", stage, "a\ufffdb")


def test_the_batch_says_what_it_holds(store: ScoreStore) -> None:
    batch = make_batch()

    store.publish(batch)

    stored = store.latest_batch()
    assert stored is not None
    assert (stored.batch_id, stored.as_of, stored.scored_at) == ("b1", MARCH, batch.scored_at)
    assert (stored.model_versions, stored.summary) == (batch.model_versions, batch.summary)
    assert (dict(stored.rows), stored.contract_version) == ({"contacts": 2, "deals": 3}, "1.2")
    assert stored.digest == batch_digest(batch)
    assert stored.latest_for == ("contacts", "deals")


def test_publishing_twice_equals_publishing_once(store: ScoreStore) -> None:
    first = store.publish(make_batch())
    before = store.read("contacts")

    second = store.publish(make_batch(scored_at=datetime(2024, 3, 9, tzinfo=UTC)))

    assert second == Published("b1", already=True, digest=first.digest, rows=first.rows, moved=())
    assert len(store.batches()) == 1
    assert_frame_equal(store.read("contacts"), before)


def test_other_content_under_the_same_id_is_refused(store: ScoreStore) -> None:
    store.publish(make_batch())

    with pytest.raises(BatchConflictError, match="'b1' must stay what it is"):
        store.publish(make_batch(contacts=pd.DataFrame([make_contact("9")])))

    assert len(store.read("contacts")) == 2


def test_a_later_batch_becomes_the_latest_and_the_old_one_stays(store: ScoreStore) -> None:
    store.publish(make_batch("b1"))

    published = store.publish(make_batch("b2", as_of=APRIL))

    assert published.moved == ("contacts", "deals")
    assert set(store.read("contacts")["batch_id"]) == {"b2"}
    assert set(store.read("contacts", "b1")["batch_id"]) == {"b1"}
    assert [batch.batch_id for batch in store.batches()] == ["b2", "b1"]


def test_a_new_model_at_the_same_as_of_becomes_the_latest(store: ScoreStore) -> None:
    store.publish(make_batch("b1"))

    store.publish(make_batch("b2", model_versions={"contacts": "contacts-4", "deals": "deals-2"}))

    assert set(store.read("deals")["batch_id"]) == {"b2"}
    assert [batch.batch_id for batch in store.batches()] == ["b2", "b1"]


def test_a_backfill_is_kept_but_does_not_become_the_latest(store: ScoreStore) -> None:
    store.publish(make_batch("b2", as_of=APRIL))

    published = store.publish(make_batch("b1", as_of=MARCH))

    latest = store.latest_batch(question="contacts")
    assert published.moved == ()
    assert latest is not None
    assert latest.batch_id == "b2"
    assert len(store.read("contacts", "b1")) == 2


def test_a_backfill_has_the_digest_of_the_batch_it_repeats(store: ScoreStore) -> None:
    first = store.publish(make_batch("b1"))
    store.publish(make_batch("b2", as_of=APRIL))

    again = store.publish(make_batch("b1-again", scored_at=APRIL))

    assert again.digest == first.digest


def test_a_batch_of_one_question_leaves_the_others_latest_alone(store: ScoreStore) -> None:
    store.publish(make_batch("b1"))

    published = store.publish(make_batch("b2", as_of=APRIL, contacts=None))

    newest = store.latest_batch()
    assert published.moved == ("deals",)
    assert set(store.read("contacts")["batch_id"]) == {"b1"}
    assert newest is not None
    assert newest.batch_id == "b2"
    with pytest.raises(UnknownBatchError, match="none called 'b2'"):
        store.read("contacts", "b2")


def test_previous_is_the_probability_of_each_scored_object(store: ScoreStore) -> None:
    store.publish(make_batch())

    previous = store.previous("deals")

    assert previous.to_dict() == {"D2": 0.3, "d1": 0.3}
    assert (previous.name, previous.index.name) == ("win_probability", "deal_id")


def test_previous_before_an_as_of_does_not_see_a_batch_of_that_as_of_or_later(store: ScoreStore) -> None:
    lower = make_contact("9", close_likelihood=0.25, reasons=make_reasons(company=-0.1))
    store.publish(make_batch("b1", contacts=pd.DataFrame([lower])))
    store.publish(make_batch("b2", as_of=APRIL))

    assert store.previous("contacts").to_dict() == {"17": 0.3, "9": 0.3}
    assert store.previous("contacts", before=APRIL).to_dict() == {"9": 0.25}
    assert store.previous("contacts", before=MARCH).empty


def test_the_digest_depends_on_content_alone() -> None:
    batch = make_batch()
    assert batch.deals is not None
    turned = make_batch("other", scored_at=APRIL, deals=batch.deals.iloc[::-1])
    nudged = make_batch(deals=pd.DataFrame([unscored_deal("d3"), make_deal("d1", amount=1000.2), make_deal("D2")]))

    assert batch_digest(turned) == batch_digest(batch)
    assert batch_digest(nudged) != batch_digest(batch)
    assert batch_digest(make_batch(summary={})) == batch_digest(batch)
    assert batch_name(make_batch(summary={})) != batch_name(batch)
    assert batch_name(turned) == batch_name(batch)
    assert batch_name(nudged) != batch_name(batch)
    assert batch_digest(make_batch(model_versions={})) != batch_digest(batch)


def test_what_is_read_has_the_digest_that_was_published(store: ScoreStore) -> None:
    published = store.publish(make_batch())

    read = {question: store.read(question).drop(columns=["batch_id", "scored_at"]) for question in CONTRACTS}

    assert batch_digest(make_batch(contacts=read["contacts"], deals=read["deals"])) == published.digest


def test_a_bad_row_in_the_second_question_publishes_nothing_of_the_first(store: ScoreStore) -> None:
    store.publish(make_batch("b1"))
    bad = pd.DataFrame([make_deal("d1", as_of=pd.Timestamp(APRIL), win_probability=1.5)])

    with pytest.raises(ContractError, match="win_probability"):
        store.publish(make_batch("b2", as_of=APRIL, deals=bad))

    assert [batch.batch_id for batch in store.batches()] == ["b1"]
    assert set(store.read("contacts")["batch_id"]) == {"b1"}


def test_a_failing_insert_rolls_the_whole_batch_back(store: ScoreStore) -> None:
    store.publish(make_batch("b1"))

    def fail(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE latest"):
            raise RuntimeError("fault")

    event.listen(Engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(RuntimeError, match="fault"):
            store.publish(make_batch("b2", as_of=APRIL))
    finally:
        event.remove(Engine, "before_cursor_execute", fail)

    assert [batch.batch_id for batch in store.batches()] == ["b1"]
    assert store.publish(make_batch("b2", as_of=APRIL)).already is False


def test_readers_see_the_old_batch_until_the_new_one_is_whole(store: ScoreStore, store_url: str) -> None:
    store.publish(make_batch("b1"))
    reader = ScoreStore(store_url)
    seen: list[tuple[str, int, int]] = []

    def read(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            contacts = reader.read("contacts")
            seen.append((contacts["batch_id"].iloc[0], len(contacts), len(reader.batches())))

    event.listen(Engine, "before_cursor_execute", read)
    try:
        store.publish(make_batch("b2", as_of=APRIL))
    finally:
        event.remove(Engine, "before_cursor_execute", read)

    # The rows are loaded between the batch's own and those that make it the latest, by none of SQLAlchemy's statements.
    assert seen == [("b1", 2, 1)] * 3
    assert set(reader.read("contacts")["batch_id"]) == {"b2"}
    reader.close()


def test_two_runs_at_once_publish_a_batch_once(store: ScoreStore, store_url: str) -> None:
    other = ScoreStore(store_url)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda one: one.publish(make_batch("b1")), [store, other]))

    assert sorted(published.already for published in both) == [False, True]
    assert len(store.batches()) == 1
    other.close()


def test_a_run_that_finds_the_store_held_says_so(store: ScoreStore, store_url: str) -> None:
    store.publish(make_batch("b1"))
    hasty = ScoreStore(store_url, busy_seconds=0.05)
    answers: list[str] = []

    def hold(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE latest") and not answers:
            with pytest.raises(StoreBusyError, match="one run may publish at a time") as caught:
                hasty.publish(make_batch("b3", as_of=APRIL))
            answers.append(str(caught.value))

    event.listen(Engine, "before_cursor_execute", hold)
    try:
        store.publish(make_batch("b2", as_of=APRIL))
    finally:
        event.remove(Engine, "before_cursor_execute", hold)

    assert len(answers) == 1
    assert [batch.batch_id for batch in store.batches()] == ["b2", "b1"]
    hasty.close()


def test_a_read_only_store_can_be_read_and_says_that_it_cannot_be_written(store: ScoreStore, store_url: str) -> None:
    store.publish(make_batch("b1"))
    store.close()
    path = store_url.removeprefix("sqlite:///")
    read_only = ScoreStore(
        f"sqlite:///file:{path}?mode=ro&uri=true"
        if path != store_url
        else f"{store_url}%20-cdefault_transaction_read_only%3Don"
    )

    with pytest.raises(ReadOnlyStoreError, match="must be writable to publish"):
        read_only.publish(make_batch("b2", as_of=APRIL))

    assert len(read_only.read("contacts")) == 2
    read_only.close()


def test_a_store_in_a_folder_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    store = ScoreStore(f"sqlite:///{tmp_path / 'nowhere' / 'scores.db'}")

    with pytest.raises(StoreUnreachableError, match="nowhere"):
        store.publish(make_batch())
    with pytest.raises(StoreUnreachableError, match="nowhere"):
        store.batches()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "scores.db").write_text("contact_id,score\n" * 100)
    store = ScoreStore(f"sqlite:///{tmp_path / 'scores.db'}")

    with pytest.raises(StoreError, match="not a database"):
        store.batches()


def test_a_full_disk_is_told_and_the_old_batch_stays(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'scores.db'}"
    first = ScoreStore(url)
    first.publish(make_batch("b1"))
    first.close()

    def shrink(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count=20")

    event.listen(Engine, "connect", shrink)
    store = ScoreStore(url)
    try:
        with pytest.raises(StoreError, match="full"):
            store.publish(big_batch(40))
    finally:
        event.remove(Engine, "connect", shrink)

    assert [batch.batch_id for batch in store.batches()] == ["b1"]
    assert len(store.read("deals")) == 3
    store.close()


def chain_of(error: BaseException) -> str:
    """Everything that a traceback would print of an error and its causes."""
    said = ""
    link: BaseException | None = error
    while link is not None:
        said, link = (
            f"{said}\n{link!r} {link}",
            link.__cause__ or (None if link.__suppress_context__ else link.__context__),
        )
    return said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://lead:s3cretword@127.0.0.1:1/scores",
        "postgresql+psycopg://lead@/scores?host=/nowhere&password=s3cretword",
        "postgresql+psycopg://lead:s3c@s3cretword@localhost/scores",
        "postgresql+psycopg://lead:x@localhost:s3cretword/scores",
        "mysql://lead:s3cretword@localhost/scores",
        "s3cretword",
        "",
        "sqlite://",
    ],
)
def test_a_store_that_cannot_be_reached_never_tells_the_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        ScoreStore(url).batches()

    assert "s3cretword" not in chain_of(caught.value)


def test_a_stopped_server_is_unreachable_and_told_by_name(tmp_path: Path) -> None:
    store = ScoreStore(f"postgresql+psycopg://lead@/scores?host={tmp_path}")

    with pytest.raises(StoreUnreachableError, match="the PostgreSQL score store scores at"):
        store.publish(make_batch())


def test_a_lost_connection_is_told_and_the_next_call_recovers(postgres: PostgresServer) -> None:
    url = postgres.new_store()
    store = ScoreStore(url)
    store.publish(make_batch())
    admin = create_engine(url)

    def cut(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "FROM deal_scores" in statement:
            with admin.connect() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(StoreUnreachableError):
            store.read("deals")
    finally:
        event.remove(Engine, "before_cursor_execute", cut)

    assert len(store.read("deals")) == 3
    admin.dispose()
    store.close()


def test_a_look_that_takes_too_long_is_given_up_and_a_write_is_not(store: ScoreStore, store_url: str) -> None:
    store.publish(make_batch())
    hasty = ScoreStore(store_url, read_seconds=0.05)
    counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT max(i) FROM n"

    def count() -> None:
        with hasty.reading() as connection:
            assert connection is not None
            connection.exec_driver_sql(counting.format(10**9))

    with pytest.raises(SlowStoreError, match=r"within 0\.05 s"):
        count()
    assert len(hasty.read("deals")) == 3
    with hasty.writing() as connection:
        assert connection.exec_driver_sql(counting.format(10**6)).scalar() == 10**6
    hasty.close()


@pytest.mark.parametrize(
    ("changed", "must"),
    [
        ({"batch_id": "latest"}, "batch id"),
        ({"batch_id": ""}, "batch id"),
        ({"batch_id": "../b1"}, "batch id"),
        ({"as_of": datetime(2024, 3, 1)}, "zone"),  # noqa: DTZ001 - the naive time is the point
        ({"contacts": None, "deals": None}, "contacts or deals"),
    ],
)
def test_a_batch_is_checked_when_it_is_made(changed: dict[str, Any], must: str) -> None:
    with pytest.raises(StoreError, match=must):
        make_batch(**changed)


def test_a_summary_that_is_not_json_is_refused(store: ScoreStore) -> None:
    with pytest.raises(StoreError, match="plain JSON"):
        store.publish(make_batch(summary={"base_rate": float("nan")}))

    assert store.batches() == []


def test_rows_of_another_as_of_are_refused(store: ScoreStore) -> None:
    with pytest.raises(ContractError, match="must be the batch's") as caught:
        store.publish(make_batch(contacts=pd.DataFrame([make_contact("9", as_of=pd.Timestamp(APRIL))])))

    assert caught.value.row == "9"


def test_rows_that_carry_the_stores_own_stamps_are_refused(store: ScoreStore) -> None:
    store.publish(make_batch())

    with pytest.raises(ContractError, match="which the store fills in"):
        store.publish(make_batch("b2", contacts=store.read("contacts")))


def big_batch(number: int) -> Batch:
    as_of = pd.Timestamp(MARCH) + pd.Timedelta(days=number)
    contacts = pd.DataFrame([make_contact(str(row), as_of=as_of) for row in range(60)])
    deals = pd.DataFrame([make_deal(str(row), as_of=as_of) for row in range(40)])
    return make_batch(f"b{number}", as_of=as_of.to_pydatetime(), contacts=contacts, deals=deals)


def publish_and_die(url: str, batch: Batch, *, at_statement: int | None, after_seconds: float) -> bool:
    """Publish in a forked process that is killed at a statement or at an instant; say whether it was killed."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status)
    count = 0

    def die(*_arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == at_statement:
            os.kill(os.getpid(), signal.SIGKILL)
        if count == 1:
            # The default action of this signal ends the process wherever it is, with no clean-up.
            signal.setitimer(signal.ITIMER_REAL, after_seconds)

    event.listen(Engine, "before_cursor_execute", die)
    event.listen(Engine, "commit", die)
    ScoreStore(url).publish(batch)
    os._exit(0)


def look(url: str) -> dict[str, Any]:
    store = ScoreStore(url)
    newest = store.latest_batch()
    frames = {question: store.read(question) for question in CONTRACTS}
    seen = {
        "batches": [batch.batch_id for batch in store.batches()],
        "latest": newest.batch_id if newest else None,
        "read": {name: [sorted(set(frame["batch_id"])), len(frame)] for name, frame in frames.items()},
    }
    store.close()
    return seen


def kill_everywhere(url: str, at_random: int = 10) -> None:
    """Kill a publish at every statement, then at random instants, and tell what a reader sees after each kill."""
    chance = random.Random(7)
    store = ScoreStore(url)
    store.publish(big_batch(0))
    store.close()
    newest = 0
    for at_statement in range(1, 100):
        killed = publish_and_die(url, big_batch(newest + 1), at_statement=at_statement, after_seconds=0)
        sys.stdout.write(json.dumps({"killed": killed, "old": newest, "seen": look(url)}) + "\n")
        if not killed:
            break
    newest += 1
    for _ in range(at_random):
        killed = publish_and_die(
            url, big_batch(newest + 1), at_statement=None, after_seconds=chance.uniform(1e-4, 0.04)
        )
        seen = look(url)
        sys.stdout.write(json.dumps({"killed": killed, "old": newest, "seen": seen}) + "\n")
        newest = int(seen["latest"][1:])


def test_a_publish_killed_anywhere_leaves_one_whole_batch(store_url: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"from tests.serving.test_store import *; kill_everywhere({store_url!r})"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    told = [json.loads(line) for line in run.stdout.splitlines()]

    kills = [line for line in told if line["killed"]]
    assert len(kills) >= 10
    for line in told:
        latest, old = line["seen"]["latest"], line["old"]
        assert latest in ((f"b{old}", f"b{old + 1}") if line["killed"] else (f"b{old + 1}",))
        assert line["seen"]["read"] == {"contacts": [[latest], 60], "deals": [[latest], 40]}
        assert line["seen"]["batches"] == [f"b{number}" for number in range(int(latest[1:]), -1, -1)]
    at_statements = told[: next(place for place, line in enumerate(told) if not line["killed"])]
    assert {line["seen"]["latest"] for line in at_statements} == {"b0"}
