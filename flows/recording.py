"""What a training leaves in the registry beside its bundle: the model card, and figures of its test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from models.bundle import Bundle

MODEL_CARD: Final = "model_card.md"
FIGURES: Final = ("reliability", "gains")


def files_of(bundle: Bundle) -> dict[str, str]:
    """Return the card, and reliability and gains as SVG where there was a test, by file name."""
    from models.gate import SCORER_OF
    from models.model_card import model_card
    from serving.report_language import language
    from serving.report_pictures import question_pictures

    pictures = question_pictures(
        language("en"),
        question=bundle.data.question,
        families=(),
        scorers=bundle.evaluation["scorers"],
        lead=SCORER_OF[bundle.data.use],
        stages=(),
        rules=(),
        mark=0.2,
    )
    # In a page a picture needs no namespace; as a file of its own it does.
    figures = {
        f"figures/{name}.svg": str(pictures[name]).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        for name in FIGURES
        if name in pictures
    }
    return {MODEL_CARD: model_card(bundle), **figures}
