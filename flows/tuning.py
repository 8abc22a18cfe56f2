"""Tuning as a command: prepare the stretches, search with progress, judge on the later test, say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from features.catalogue import Question
from features.tables import CrmTables
from flows.console import Progress, show_table, terminal
from flows.wiring import Workplace

if TYPE_CHECKING:
    import pandas as pd

    from models.tuning import Finished, Tuned


def tune_question(
    workplace: Workplace,
    tables: CrmTables,
    *,
    question: Question,
    as_of: pd.Timestamp,
    trials: int,
    minutes: float,
    progress: Progress,
    quiet: bool,
) -> Tuned:
    """Search a question's booster settings, keeping the study under home so that it can be gone on with."""
    from models.procedure import procedure_of
    from models.tuning import (
        NoTuningError,
        booster_place,
        inner_folds,
        inner_problem,
        judge_tuned,
        outer_cutoffs,
        search,
    )

    settings = workplace.settings.training(workplace.rules)
    with progress.step(f"Preparing {question} and auditing the columns"):
        procedure = procedure_of(question, tables=tables, as_of=as_of, settings=settings)
        outer = outer_cutoffs(procedure, now=as_of, settings=settings.split)
        last = inner_problem(procedure, outer)
        if last is None:
            raise NoTuningError(
                f"{question} cannot be tuned: the test window from {outer.test_at:%Y-%m-%d} holds one outcome only, or "
                "too few came before it for a model; bring more history or keep the default"
            )
        place = booster_place(last)
        default = getattr(settings.contacts if question == "contacts" else settings.deals, place)
    problems = []
    for cutoffs in inner_folds(procedure, outer, settings=settings.split):
        with progress.step(f"Preparing the stretch from {cutoffs.test_at:%Y-%m-%d}") as step:
            problem = inner_problem(procedure, cutoffs)
            step.outcome = (
                "left out: too few outcomes" if problem is None else f"{len(problem.proof.rows.y_obs):,} rows"
            )
            problems += [] if problem is None else [problem]

    def tell(finished: Finished) -> None:
        if not quiet:
            click.echo(
                f"trial {finished.done} of {trials}: log loss {finished.loss:.5f} "
                f"(lowest {finished.lowest:.5f}, default {finished.default:.5f})",
                err=True,
            )

    best, inner_best, inner_default, done = search(
        problems,
        question=question,
        default=default,
        trials=trials,
        minutes=minutes,
        study_file=workplace.home / "tuning" / f"{question}.db",
        study_name=f"{question}-{as_of:%Y%m%dT%H%M%SZ}-{tables.digest()[:12]}-{settings.digest()[:12]}",
        seed=settings.seed,
        on_trial=tell,
    )
    with progress.step("Judging the best on a later test that it never saw"):
        return judge_tuned(
            last,
            question=question,
            default=default,
            best=best,
            inner_default=inner_default,
            inner_best=inner_best,
            trials=done,
            replicates=settings.bootstrap_replicates,
            seed=settings.seed,
            place=place,
        )


def show_tuned(found: Tuned) -> None:
    """Print the figures of default against tuned, and the snippet where it is worth adopting."""
    plain: dict[str, Any] = found.to_dict()
    show_table(
        title=f"{found.question}: default against the best of {found.trials} trials (log loss)",
        columns=["", "in the search", f"on the later test ({found.test_rows:,} rows of {found.test_objects:,})"],
        rows=[
            ["default", f"{found.inner_default:.5f}", f"{found.test_default:.5f}"],
            ["tuned", f"{found.inner_best:.5f}", f"{found.test_best:.5f}"],
        ],
    )
    gap = found.difference
    console = terminal()
    console.print(
        f"Tuned minus default on the later test: {gap.value:+.5f} (95 % {gap.low:+.5f} to {gap.high:+.5f}).",
        highlight=False,
    )
    if found.adopt:
        console.print("The tuned settings are surely better there. To adopt them:\n", highlight=False)
        console.print(plain["snippet"], markup=False, highlight=False)
    else:
        console.print("That is not surely better, so keep the default.", highlight=False)
        if plain["snippet"]:
            console.print("For the record, the best of the search:\n", highlight=False)
            console.print(plain["snippet"], markup=False, highlight=False)
