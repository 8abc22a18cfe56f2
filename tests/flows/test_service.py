"""The service as a person starts it: keys on the command line, a server that refuses to be open to all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from flows.places import store_of
from flows.service import is_loopback
from tests.flows.commands import leadline, leadline_json
from tests.serving.conftest import make_batch


def home_with_scores(folder: Path) -> Path:
    home = folder / "home"
    home.mkdir()
    store = store_of(home)
    store.publish(make_batch())
    store.close()
    return home


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(tmp_path: Path) -> None:
    made = leadline("keys", "create", "--name", "crm", "--scope", "scores:read", "--home", tmp_path)
    (listed,) = leadline_json("keys", "list", "--home", tmp_path)
    table = leadline("keys", "list", "--home", tmp_path)
    revoked = leadline("keys", "revoke", listed["key_id"], "--home", tmp_path)

    text = made.stdout.strip()
    assert text.startswith(f"ll_{listed['key_id']}_")
    assert (listed["name"], listed["state"], listed["scopes"]) == ("crm", "active", ["scores:read"])
    assert text.rsplit("_", 1)[1] not in table.stdout
    assert revoked.exit_code == 0
    assert leadline_json("keys", "list", "--home", tmp_path)[0]["state"] == "revoked"
    assert leadline("keys", "revoke", "nobody", "--home", tmp_path).exit_code == 1


def test_a_key_that_replaces_another_ends_it_after_the_overlap(tmp_path: Path) -> None:
    first = leadline_json("keys", "create", "--name", "a", "--scope", "admin", "--home", tmp_path)

    leadline_json(
        *("keys", "create", "--name", "a", "--scope", "admin", "--home", tmp_path),
        *("--replaces", first["key_id"], "--overlap-days", "3"),
    )

    old, new = leadline_json("keys", "list", "--home", tmp_path)
    assert old["expires_at"] < new["expires_at"]
    assert old["expires_at"] < first["expires_at"]
    assert (old["state"], new["state"]) == ("active", "active")


def test_the_service_does_not_open_to_others_without_a_key(tmp_path: Path) -> None:
    home = home_with_scores(tmp_path)

    refused = leadline("serve", "--host", "0.0.0.0", "--port", "0", "--home", home)
    nowhere = leadline("serve", "--home", tmp_path / "none")

    assert refused.exit_code == 1
    assert "must have an active API key before others may reach it at 0.0.0.0" in refused.stderr
    assert nowhere.exit_code == 1


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("crm.example", False),
    ],
)
def test_only_loopback_addresses_are_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_the_service_starts_answers_and_stops(tmp_path: Path) -> None:
    home = home_with_scores(tmp_path)
    key = leadline("keys", "create", "--name", "crm", "--scope", "scores:read", "--home", home).stdout.strip()

    program = [sys.executable, "-c", "from flows.cli import main; main()"]
    process = subprocess.Popen([*program, "serve", "--port", "0", "--home", home], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        url = told.split()[1]
        answer = httpx.get(f"{url}v1/deals/scores", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert url.startswith("http://127.0.0.1:")
    assert len(answer.json()["results"]) == 3
    assert process.returncode in (0, -signal.SIGINT)
