"""What every test runs under, and one small home that is trained once for all tests that only read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

# Before anything heavy is imported: spinning threads make training many times slower on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Whoever runs the tests may have a Leadline of their own.
for name in ("LEADLINE_HOME", "LEADLINE_STORE_URL"):
    os.environ.pop(name, None)

if TYPE_CHECKING:
    from tests.flows.commands import Installed


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A home in which ``leadline run`` ran once; copy it before changing anything in it."""
    from tests.flows.commands import install

    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As ``installed``, with as little data as can be learnt from; a run in it takes a second or two."""
    from tests.flows.commands import TINY, install

    return install(tmp_path_factory.mktemp("tiny"), TINY)
