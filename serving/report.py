"""The report for marketing: one HTML file with still pictures, no script, and nothing to fetch."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from features.errors import LeadScoringError
from serving import charts, report_numbers, report_pictures
from serving.report_changes import age_of
from serving.report_input import ReportInput
from serving.report_language import language
from serving.report_numbers import inert
from serving.report_sentences import compared_in_words, titled, why_not_available
from serving.report_view import view_of

MOST_BYTES: Final = 1_000_000
METRICS: Final[Mapping[str, int]] = {
    "log_loss": 4,
    "brier": 4,
    "brier_skill": 3,
    "auc": 3,
    "auc_within_stage": 3,
    "auc_no_open_deal": 3,
    "lift_10": 2,
    "lift_20": 2,
    "capture_10": 3,
    "capture_20": 3,
    "reach_60": 3,
    "predicted_over_observed": 2,
}
"""The measures that are shown, and with how many decimals."""
_ONLY_FOR: Final = {"auc_within_stage": "deals", "auc_no_open_deal": "contacts"}
_MOST_LINES: Final = 60
_PERCENT: Final = re.compile(r"(?<=\d) %")
_SEVERITIES: Final = ("error", "warning", "info")


class ReportError(LeadScoringError):
    """The report could not be made or written; what was there before is untouched."""


def render_report(report: ReportInput) -> str:
    """Return the whole page; the same input gives the same text.

    Raises ``ReportError`` if the page would be larger than one megabyte.
    """
    lang = language(report.language)
    page = _template().render(
        report=report,
        views=[
            view_of(lang, question, as_of=report.as_of.to_pydatetime(), calls_a_week=report.calls_a_week)
            for question in report.questions
        ],
        findings=sorted(report.findings, key=lambda each: (_SEVERITIES.index(each["severity"]), -each["count"])),
        age=age_of(
            lang,
            as_of=report.as_of.to_pydatetime(),
            scored_at=report.scored_at.to_pydatetime(),
            newest_fact=None if report.newest_fact is None else report.newest_fact.to_pydatetime(),
            models={
                each.question: each.trained_as_of.to_pydatetime()
                for each in report.questions
                if each.trained_as_of is not None
            },
            stale_after_hours=report.stale_after_hours,
            retrain_after_days=report.retrain_after_days,
        ),
        most_lines=_MOST_LINES,
        most_stages=report_pictures.MOST_STAGES,
        metrics=METRICS,
        only_for=_ONLY_FOR,
        stretched=charts.is_stretched,
        titled=titled,
        compared_in_words=compared_in_words,
        why_not_available=why_not_available,
        bin_words=report_pictures.bin_words,
        lang=lang,
        t=lang.texts,
        n=lang.numbers,
        u=report_numbers,
    )
    size = len(page.encode())
    if size > MOST_BYTES:
        raise ReportError(
            f"a report must be at most {MOST_BYTES:,} bytes; found {size:,}. Hand over fewer or shorter texts."
        )
    return page


def write_report(html: str, path: Path) -> None:
    """Write the page to ``path``, whole or not at all."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with aside.open("x", encoding="utf-8", newline="\n") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise ReportError(
            f"a report must be able to write to {path}; found {error.strerror or error}. Choose a writable file in a "
            "folder that exists."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


@cache
def _template() -> jinja2.Template:
    """Return the compiled template: compiling it takes longer than filling it in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _shown(value: Any) -> Any:
    """Clean every text that the template puts into the page, before it is escaped."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    # A percent sign stays on the line of its number.
    return _PERCENT.sub("\N{NO-BREAK SPACE}%", inert(value, longest=2 * report_numbers.LONGEST_TEXT))
