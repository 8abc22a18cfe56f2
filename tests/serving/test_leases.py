"""The right to publish: one holder at a time, the dead are taken over, and who was taken over publishes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from serving.store import Lease, LeaseHeldError, LeaseLostError, ScoreStore
from tests.serving.conftest import APRIL, make_batch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def take(store: ScoreStore, holder: str, *, minutes: float = 0, known_dead: str | None = None) -> Lease:
    return store.acquire_lease(holder=holder, now=NOON + timedelta(minutes=minutes), seconds=180, known_dead=known_dead)


def test_a_lease_is_held_until_it_is_given_back(store: ScoreStore) -> None:
    first = take(store, "a:1")

    with pytest.raises(LeaseHeldError, match="a:1 has been at it"):
        take(store, "b:1", minutes=2.9)
    store.release_lease(first)
    second = take(store, "b:1", minutes=2.9)

    assert (first.token, second.token) == (1, 2)


def test_a_silent_holder_is_taken_over_and_can_publish_nothing(store: ScoreStore) -> None:
    slow = take(store, "a:1")

    quick = take(store, "b:1", minutes=3)

    assert quick.token == 2
    with pytest.raises(LeaseLostError, match=r"a:1 must still hold the lease .token 1.* b:1 .token 2. holds it"):
        store.publish(make_batch("b1"), lease=slow)
    assert store.batches() == []
    assert store.publish(make_batch("b2", as_of=APRIL), lease=quick).already is False
    assert not store.renew_lease(slow, now=NOON, seconds=180)
    store.release_lease(slow)
    with pytest.raises(LeaseHeldError):
        take(store, "c:1", minutes=5)


def test_a_holder_that_says_it_is_alive_is_left_alone(store: ScoreStore) -> None:
    held = take(store, "a:1")

    assert store.renew_lease(held, now=NOON + timedelta(minutes=2), seconds=180)

    with pytest.raises(LeaseHeldError):
        take(store, "b:1", minutes=4.9)
    assert take(store, "b:1", minutes=5).token == 2


def test_a_holder_that_is_known_to_be_dead_is_taken_over_at_once(store: ScoreStore) -> None:
    take(store, "machine:/home/x:17")

    with pytest.raises(LeaseHeldError):
        take(store, "machine:/home/y:18", known_dead="machine:/home/y:")
    assert take(store, "machine:/home/x:19", known_dead="machine:/home/x:").token == 2


def test_a_lease_given_back_publishes_nothing(store: ScoreStore) -> None:
    held = take(store, "a:1")
    store.release_lease(held)

    with pytest.raises(LeaseLostError, match="nobody holds it"):
        store.publish(make_batch(), lease=held)
