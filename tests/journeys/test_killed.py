"""A run that is killed at any moment: what was published stays whole, and the next run makes up for it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pandas as pd
import pytest

from flows.wiring import make_workplace, store_of
from serving.contract import check_rows
from tests.flows.commands import TINY, Installed, leadline_json, write_config

# How many homes, and how many kills in each.
CI = (1, 5)
SLOW = (8, 6)


def run_in_process(config: Path, home: Path) -> None:
    """Run everything, quietly, in a process that may die; its exit code tells whether it came to its end."""
    from flows.cli import main

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        main(["run", "--config", str(config), "--home", str(home), "--json"])


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """New processes from one that has imported everything: kills then hit the run, not its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "tests.journeys.test_killed",
            "flows.cli",
            "flows.run",
            "models.contact_training",
            "models.deal_training",
            "models.contact_scoring",
            "models.deal_scoring",
            "mlflow.tracking",
            "lightgbm",
            "serving.report",
        ]
    )
    return context


def assert_whole(home: Path, known: set[str]) -> set[str]:
    """Check that every batch that can be read is whole, and that none has gone; return their ids."""
    store = store_of(home)
    batches = store.batches()
    for batch in batches:
        for question, count in batch.rows.items():
            rows = store.read(question, batch.batch_id)
            assert len(rows) == count
            check_rows(question, rows.drop(columns=["batch_id", "scored_at"]))
    latest = store.latest_batch()
    store.close()
    assert (latest is None) == (not batches)
    assert known <= {batch.batch_id for batch in batches}
    return {batch.batch_id for batch in batches}


@pytest.mark.parametrize(("rounds", "kills"), [CI, pytest.param(*SLOW, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_in_the_batch_of_an_undisturbed_one(
    tmp_path: Path, tiny: Installed, processes: ForkServerContext, rounds: int, kills: int
) -> None:
    config = write_config(tmp_path, TINY)
    # Starting the fork server takes longer than a run.
    first = processes.Process(target=os.getpid)
    first.start()
    first.join()
    started = time.monotonic()
    undisturbed = processes.Process(target=run_in_process, args=(config, tmp_path / "undisturbed"))
    undisturbed.start()
    undisturbed.join()
    length = time.monotonic() - started
    assert undisturbed.exitcode == 0
    draw = random.Random(20260101)
    killed = 0

    for number in range(rounds):
        home = tmp_path / f"round-{number}"
        known: set[str] = set()
        for kill in range(kills):
            process = processes.Process(target=run_in_process, args=(config, home))
            process.start()
            # Later kills come later: what the earlier ones left done is not done again.
            process.join(length * draw.uniform(0, 1) * (kill + 1) / kills)
            if process.is_alive():
                os.kill(process.pid or 0, signal.SIGKILL)
                process.join()
                killed += 1
                assert process.exitcode == -signal.SIGKILL
            else:
                assert process.exitcode == 0
            if home.exists():
                known = assert_whole(home, known)
        said = leadline_json("run", "--config", config, "--home", home)

        assert said["batch_id"] == tiny.batch_id, said
        assert assert_whole(home, known) == {tiny.batch_id}
        workplace = make_workplace(config=config, data=None, home=home)
        for question in ("contacts", "deals"):
            pd.testing.assert_frame_equal(
                workplace.store().read(question).drop(columns="scored_at"),
                tiny.workplace.store().read(question).drop(columns="scored_at"),
            )
        assert [path.name[0] for path in workplace.warehouse.iterdir()] != ["."]
        assert not any(path.name.startswith(".") for path in home.rglob("*.partial"))
        assert Path(said["report"]).read_text(encoding="utf-8")
        assert said["report"] == str(home / "reports" / f"{tiny.batch_id}.html")
    assert killed >= rounds * kills // 2
