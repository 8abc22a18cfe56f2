"""What a person at a terminal sees: one line per step while it runs, tables at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


_KEPT_WHOLE = 16
_BETWEEN = 3
_EDGES = 2
_LEAST_FOLDED = 12


class Progress:
    """Announces steps and says how long each took; silent if asked to be."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Show ``doing`` while the step runs, and its outcome once it is done."""
        step = Step(doing)
        if self._quiet:
            yield step
            return
        console = terminal(stderr=True)
        started = time.perf_counter()
        if console.is_terminal:
            with console.status(doing) as status:
                step.tell = lambda what: status.update(f"{doing}: {what}")
                yield step
        else:
            yield step
        console.print(
            f"[green]done[/] {doing} [dim]({time.perf_counter() - started:.1f} s)[/]"
            + (f": {step.outcome}" if step.outcome else ""),
            highlight=False,
        )


class Ticker:
    """Says on standard error how a long reading is getting on, now and then."""

    def __init__(self, *, every_seconds: float = 10.0) -> None:
        self._every_seconds = every_seconds
        self._said_at = time.monotonic()

    def tell(self, words: str) -> None:
        """Print the words if nothing was said for a while."""
        if time.monotonic() - self._said_at >= self._every_seconds:
            self._said_at = time.monotonic()
            terminal(stderr=True).print(words, style="dim", markup=False, highlight=False)


class Step:
    """One step of a run; set ``outcome`` to say what came of it, and ``tell`` what it is at."""

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.outcome = ""
        self.tell: Callable[[str], None] = lambda _: None


def terminal(*, stderr: bool = False) -> Console:
    """Return the console that people read."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


def show_table(*, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; cells are shown as they are, never read as markup."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    console = terminal()
    widths = [max(map(_width, (column, *(row[place] for row in rows)))) for place, column in enumerate(columns)]
    # Where there is too little room, words are folded and numbers stay whole; the first column goes last.
    whole = [place for place, width in enumerate(widths) if width <= _KEPT_WHOLE or place == 0]
    if _EDGES + sum(widths[place] + _BETWEEN for place in whole) > console.width - _LEAST_FOLDED * (
        len(columns) - len(whole)
    ):
        whole.remove(0)
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place in whole)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console.print(table)


def _width(cell: Any) -> int:
    return max(len(line) for line in str(cell).split("\n"))
