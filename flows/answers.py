"""The answer of a training as a page that a manager can read, written wherever no model scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.catalogue import Question
from flows.wiring import Workplace

if TYPE_CHECKING:
    from flows.pipeline import TrainOutcome
    from models.training import NothingToLearnError


def write_answer(workplace: Workplace, outcome: TrainOutcome) -> Path | None:
    """Write what there is, what is needed and what is published instead; nothing where the model scores."""
    from models.needs import needs_document
    from models.promotion_log import replace_file

    file = _file(workplace, outcome.question)
    if not outcome.model_refused:
        file.unlink(missing_ok=True)
        return None
    evaluation = workplace.registry().evaluation(outcome.question, outcome.version)
    page = needs_document(evaluation["needs"], verdict=evaluation["verdict"], title=workplace.settings.title)
    replace_file(file, page.encode())
    return file


def write_refusal(workplace: Workplace, question: Question, error: NothingToLearnError) -> Path:
    """Write that nothing could be learnt at all, and what to bring."""
    from models.promotion_log import replace_file

    file = _file(workplace, question)
    page = (
        f"# {workplace.settings.title}: {question}\n\nNothing is published for {question} yet.\n\n"
        f"## What there is\n\n- {error.found}.\n\n## What is needed\n\n- {error.need}\n\n"
        f"## What is published instead\n\nNothing: a guess would look like knowledge.\n"
    )
    replace_file(file, page.encode())
    return file


def _file(workplace: Workplace, question: Question) -> Path:
    return workplace.reports / f"answer-{question}.md"
