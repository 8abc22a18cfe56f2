from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.machine import machine_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("told", "memory"),
    [("268435456\n", 256 * 1024**2), ("max\n", PHYSICAL), ("9223372036854771712\n", PHYSICAL), (None, PHYSICAL)],
)
def test_a_container_has_what_it_may_use_and_no_more_than_the_machine(
    tmp_path: Path, told: str | None, memory: int
) -> None:
    file = tmp_path / "memory.max"
    if told is not None:
        file.write_text(told, encoding="ascii")

    assert machine_memory(limits=[file]) == memory
