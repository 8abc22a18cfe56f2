"""Tables in a terminal of eighty columns: words are folded, numbers stay whole."""

from __future__ import annotations

import pytest

from flows.console import show_table

RANGE = "(+0.08 to +0.13)"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_numbers_stay_whole_and_long_words_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    why = "no activity of kind 'fax' in the tables; " * 3

    show_table(
        title="Lines", columns=["criterion", "a", "b", "c", "why"], rows=[["Called", RANGE, RANGE, "1,000", why]]
    )

    printed = capsys.readouterr().out
    assert printed.count(RANGE) == 2
    assert "1,000" in printed
    assert "".join(why.split()) in "".join(line[50:].strip().replace(" ", "") for line in printed.splitlines()[4:])


def test_the_first_column_is_folded_before_a_number_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    name = "Bought in an earlier campaign and said so"

    show_table(title="Lines", columns=["criterion", "a", "b", "c"], rows=[[name, RANGE, RANGE, RANGE]])

    printed = capsys.readouterr().out
    assert printed.count(RANGE) == 3
    assert name not in printed
    assert max(map(len, printed.splitlines())) <= 80
