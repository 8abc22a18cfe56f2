"""Write the published scores back into HubSpot, or put back what was there before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from features.sources.hubspot.client import ConnectionSettings, Credentials, HubSpotClient
from features.sources.hubspot.landing import Landing
from features.sources.hubspot.source import landing_file
from flows.console import Ticker, show_table, terminal
from flows.lease import home_lock
from flows.places import store_of
from flows.settings import HubSpotSourceSettings, hubspot_credentials
from flows.wiring import Workplace

if TYPE_CHECKING:
    from serving.writeback.ledger import Write
    from serving.writeback.writer import Outcome, Plan, WriteBack

SHOWN_WRITES: Final = 10
SHOWN_REFUSALS: Final = 5


@dataclass(frozen=True)
class WriteBackResult:
    """What a write-back came to; without an outcome nothing was written."""

    question: str
    plan: Plan | None
    outcome: Outcome | None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        plan, outcome = self.plan, self.outcome
        planned = plan and {
            "batch_id": plan.batch_id,
            "to_write": len(plan.writes),
            "already_there": len(plan.already),
            "unchanged": plan.unchanged,
            "newer_in_hubspot": plan.newer,
            "beyond_limit": plan.later,
            "gone": [{"id": one.object_id, "reason": one.reason} for one in plan.gone],
            "properties_to_make": [one.suffix for one in plan.missing],
            "changes": [{"id": one.object_id, "before": one.before, "after": one.after} for one in plan.writes],
        }
        done = outcome and {
            "written": outcome.written,
            "refused": [{"id": one.object_id, "reason": one.reason} for one in outcome.dead],
            "requests": outcome.requests,
        }
        return {"question": self.question, "plan": planned, "outcome": done}


@contextmanager
def writing(workplace: Workplace, *, credentials: Credentials | None = None) -> Iterator[WriteBack]:
    """Hold the home and all that a write-back needs while the block runs; by default with the environment's token."""
    from serving.writeback.ledger import Ledger
    from serving.writeback.writer import WriteBack

    source = workplace.settings.source
    connection = source if isinstance(source, HubSpotSourceSettings) else ConnectionSettings()
    with ExitStack() as stack:
        stack.enter_context(home_lock(workplace.home))
        file = landing_file(workplace.home)
        landing = stack.enter_context(closing(Landing(file))) if file.exists() else None
        client = stack.enter_context(
            closing(HubSpotClient(settings=connection, credentials=credentials or hubspot_credentials()))
        )
        yield WriteBack(
            client=client,
            ledger=stack.enter_context(closing(Ledger(workplace.home))),
            settings=workplace.settings.writeback,
            landing=landing,
            tell=Ticker().tell,
        )


def plan_latest(back: WriteBack, workplace: Workplace, *, question: str, limit: int | None) -> Plan:
    """Compare the latest published batch with what is in HubSpot; writes nothing."""
    with closing(store_of(workplace.home)) as store:
        rows = store.read(question)
    return back.plan(rows, question=question, limit=limit)


def undo_last(back: WriteBack, *, question: str, now: datetime) -> WriteBackResult:
    """Put back what the last write-back found."""
    return WriteBackResult(question=question, plan=None, outcome=back.undo(question, now=now))


def show_plan(plan: Plan) -> None:
    """Say what would be written, with the first changes in full."""
    out = terminal()
    kinds = plan.question
    if plan.missing:
        names = ", ".join(one.suffix for one in plan.missing)
        out.print(f"Properties to make in HubSpot: {names}", markup=False, highlight=False)
    out.print(
        f"{len(plan.writes):,} {kinds} to write, {plan.unchanged:,} unchanged, {len(plan.already):,} already there, "
        f"{plan.newer:,} with a newer score, {len(plan.gone):,} gone, {plan.later:,} beyond the limit",
        highlight=False,
    )
    if plan.writes:
        changes = [[write.object_id, *_difference(write)] for write in plan.writes[:SHOWN_WRITES]]
        show_table(title=f"The first {len(changes)} changes", columns=("id", "before", "after"), rows=changes)


def show_outcome(outcome: Outcome) -> None:
    """Say what was written and what was refused."""
    out = terminal()
    out.print(f"{outcome.written:,} written with {outcome.requests:,} requests", highlight=False)
    if outcome.dead:
        refused = [[one.object_id, one.reason] for one in outcome.dead[:SHOWN_REFUSALS]]
        title = f"{len(outcome.dead):,} refused; the next write-back tries them again"
        show_table(title=title, columns=("id", "HubSpot's reason"), rows=refused)


def _difference(write: Write) -> tuple[str, str]:
    """Return the values that change, before and after; reasons are too long to be compared at a glance."""
    names = [
        name
        for name, text in write.after.items()
        if (write.before.get(name) or "") != text and not name.endswith(("_reasons", "_scored_at", "_model_version"))
    ]
    before = ", ".join(f"{name} {write.before.get(name) or '-'}" for name in names)
    return before, ", ".join(write.after[name] or "-" for name in names)
