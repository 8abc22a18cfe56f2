"""The command that writes scores back into HubSpot."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from flows.usage import QUESTIONS, config_option, home_option, json_option


def writeback_command(now: Callable[[], datetime]) -> click.Command:
    """Return the command; ``now`` tells when it is run."""

    @click.command()
    @click.argument("question", type=QUESTIONS)
    @config_option
    @home_option
    @click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
    @click.option("--limit", type=click.IntRange(min=1), help="Write to no more than this many, the best scores first.")
    @click.option("--yes", is_flag=True, help="Do not ask before writing.")
    @click.option("--undo", is_flag=True, help="Put back what the last write-back found.")
    @json_option
    def writeback(
        question: str, config: Path, home: Path, dry_run: bool, limit: int | None, yes: bool, undo: bool, as_json: bool
    ) -> None:
        """Write the latest scores into HubSpot: only what changed, and never twice."""
        from flows.wiring import make_workplace
        from flows.writeback import WriteBackResult, plan_latest, show_outcome, show_plan, undo_last, writing

        if undo and dry_run:
            raise click.UsageError("--undo cannot be combined with --dry-run")
        workplace = make_workplace(config=config, data=None, home=home)
        with writing(workplace) as back:
            if undo:
                if not yes:
                    click.confirm(f"Put back what the last write-back of {question} found?", abort=True, err=True)
                result = undo_last(back, question=question, now=now())
            else:
                plan = plan_latest(back, workplace, question=question, limit=limit)
                if not as_json:
                    show_plan(plan)
                result = WriteBackResult(question=question, plan=plan, outcome=None)
                if not dry_run:
                    if plan.writes and not yes:
                        click.confirm(f"Write {len(plan.writes):,} {question} to HubSpot?", abort=True, err=True)
                    result = WriteBackResult(question=question, plan=plan, outcome=back.execute(plan, now=now()))
        if as_json:
            click.echo(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        elif result.outcome is not None:
            show_outcome(result.outcome)

    return writeback
