from __future__ import annotations

import threading
from functools import partial

import pytest

from features.sources.hubspot.lanes import run_side_by_side
from features.sources.hubspot.pace import Pace, PaceSettings, Window
from tests.features.hubspot_accounts import VirtualClock


def test_requests_under_way_take_up_room() -> None:
    window = Window(most=3, seconds=10.0)
    window.under_way = 3

    crowded = window.wait(0.0)
    window.note(1.0)
    after_an_answer = window.wait(1.0)

    # Nobody knows when the next answer comes; once one is there, its place is free ten seconds later.
    assert 0 < crowded < 1
    assert after_an_answer == 10.0


def test_a_pause_that_hubspot_asks_one_for_holds_for_all() -> None:
    clock = VirtualClock()
    pace = Pace(PaceSettings(), clock)
    pace.hold(7)

    pace.wait_turn(search=False)

    assert clock.slept == [7]


def test_many_threads_stay_within_the_limit_and_use_it() -> None:
    clock = VirtualClock()
    pace = Pace(PaceSettings(requests_per_10_seconds=50), clock)
    sent: list[float] = []

    def ask(count: int) -> None:
        for _ in range(count):
            pace.wait_turn(search=False)
            sent.append(clock.monotonic())
            pace.sent(search=False)

    begun = clock.monotonic()
    threads = [threading.Thread(target=ask, args=(75,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # 300 requests at 50 in ten seconds: the last fifty are sent after fifty seconds.
    sent.sort()
    assert all(later - earlier >= 10.0 for earlier, later in zip(sent, sent[50:], strict=False))
    assert sent[-1] - begun == pytest.approx(50.0, abs=0.5)


def test_what_is_left_of_the_day_counts_those_under_way() -> None:
    pace = Pace(PaceSettings(keep_daily=10), VirtualClock())
    pace.wait_turn(search=False)
    pace.wait_turn(search=False)
    pace.sent(search=False)

    pace.learn({"X-HubSpot-RateLimit-Daily": "100", "X-HubSpot-RateLimit-Daily-Remaining": "12"})

    # Twelve are left as of this answer; one is under way, and one more may be sent.
    assert (pace.wait_turn(search=False), pace.wait_turn(search=False)) == (True, False)


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_tasks_are_begun_in_order_and_all_are_done(lanes: int) -> None:
    done: list[int] = []

    run_side_by_side([partial(done.append, number) for number in range(6)], lanes=lanes, stop=lambda: None)

    assert sorted(done) == list(range(6))
    assert lanes > 1 or done == list(range(6))


def test_the_first_failure_is_raised_and_the_rest_is_told_to_stop() -> None:
    stopped = threading.Event()
    begun: list[str] = []

    def fail() -> None:
        raise KeyError("the cause")

    def last_until_stopped() -> None:
        begun.append("long")
        assert stopped.wait(timeout=20)

    with pytest.raises(KeyError, match="the cause"):
        run_side_by_side([fail, last_until_stopped], lanes=2, stop=stopped.set)
