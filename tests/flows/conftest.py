from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.commands import registries_made_once


@pytest.fixture(scope="package", autouse=True)
def _quick_homes() -> Iterator[None]:
    with registries_made_once():
        yield
