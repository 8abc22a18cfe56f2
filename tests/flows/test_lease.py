from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from flows.lease import HomeBusyError, lease
from tests.flows.commands import Installed, contents, leadline


def hold(home: Path, pipe: Connection) -> None:
    with lease(home):
        pipe.send("held")
        pipe.recv()


def held_by_another_process(home: Path) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(home, there), daemon=True)
    process.start()
    assert here.poll(60)
    # Kept open on the process, so that the holder waits for a word that never comes.
    process.pipe = here  # type: ignore[attr-defined]
    return process


def test_a_home_is_free_again_after_its_lease(tmp_path: Path) -> None:
    for _ in range(2):
        with lease(tmp_path / "home"):
            pass


def test_a_lease_that_ended_with_an_error_is_given_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), lease(tmp_path):
        raise ValueError("boom")

    with lease(tmp_path):
        pass


def test_a_second_run_is_refused_until_the_first_one_has_died(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)
    process = held_by_another_process(own.home)
    before = contents(own.home)

    with pytest.raises(HomeBusyError) as caught, lease(own.home):
        pass
    refused = leadline("run", "--config", own.config, "--home", own.home)
    during = contents(own.home)
    process.kill()
    process.join()
    after = leadline("run", "--config", own.config, "--home", own.home)

    assert caught.value.holder == f"process {process.pid}"
    assert refused.exit_code == 1
    assert f"one run may work in {own.home} at a time; process {process.pid} is at it" in refused.stderr
    assert during == before
    assert after.exit_code == 0


def test_reading_goes_on_while_a_run_holds_the_home(tmp_path: Path, tiny: Installed) -> None:
    own = tiny.copied_to(tmp_path)

    with lease(own.home):
        exported = leadline("export", "deals", "--out", tmp_path / "deals.csv", "--home", own.home)
        status = leadline("status", "--home", own.home)

    assert (exported.exit_code, status.exit_code) == (0, 0)
