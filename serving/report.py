"""The report for marketing: one HTML file with still pictures, no script, and nothing to fetch."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jinja2
import pandas as pd
from markupsafe import Markup

from features.errors import LeadScoringError
from serving import charts, report_groups, report_numbers, report_pictures
from serving import report_sentences as sentences
from serving import report_words as words
from serving.contract import contract_of, read_reasons
from serving.report_quality import Quality, quality

Published = Literal["model", "rules", "stage_rate", "base_rate", "none"]
Row = Mapping[str, Any]

MOST_BYTES: Final = 1_000_000
TOP_ROWS: Final = 10
REASONS_EACH_WAY: Final = 3
_MOST_LINES: Final = 60
_SMALLEST_SHOWN: Final = 0.0005
_SCORER_OF: Final[Mapping[str, str]] = {
    "model": "model",
    "rules": "point_rules",
    "stage_rate": "stage_observed",
    "base_rate": "base_rate",
}
_ORDER: Final = ("model", "point_rules", "stage_observed", "stage_manual", "naive_bayes", "base_rate")
_PERCENT: Final = re.compile(r"(?<=\d) %")
_SEVERITIES: Final = ("error", "warning", "info")


class ReportError(LeadScoringError):
    """The report could not be made or written; what was there before is untouched."""


@dataclass(frozen=True)
class QuestionReport:
    """What the report says about one question.

    ``evaluation`` is the Evaluation JSON; its ``scorers`` may be empty if no test was possible. ``drivers`` are
    families by size: family, words, mean_abs_effect and features (feature, words, mean_abs_effect and bins of label,
    rows, effect, observed). ``scores`` are the published rows. Effects are differences of probability. If the
    percentages of what is published failed their test they are not ``calibrated``: the rows then hold at most an order.
    ``drift`` compares the scored rows with the training past: how many features moved, and the most moved of them.
    """

    question: Literal["contacts", "deals"]
    evaluation: Row
    published: Published
    model_version: str
    drivers: Sequence[Row]
    scores: pd.DataFrame
    stages: Sequence[Row] = ()
    left_out: Sequence[Row] = ()
    support_note: str = ""
    calibrated: bool = True
    drift: Row | None = None


@dataclass(frozen=True)
class ReportInput:
    """All that one report shows; ``as_of`` and ``scored_at`` carry their zone."""

    title: str
    as_of: pd.Timestamp
    scored_at: pd.Timestamp
    batch_id: str
    source: str
    table_rows: Mapping[str, int]
    findings: Sequence[Row]
    questions: Sequence[QuestionReport]


@dataclass(frozen=True)
class _TopRow:
    id: str
    probability: float
    low: float | None
    high: float | None
    up: tuple[Row, ...]
    down: tuple[Row, ...]


@dataclass(frozen=True)
class _View:
    """One question as the template reads it: the input, and what was worked out from it."""

    given: QuestionReport
    rank_only: bool
    passed: bool
    one_rate: bool
    headline: str
    meaning: str
    scorers: Mapping[str, Row]
    lead: str
    lead_label: str
    verdict: Row
    evidence: tuple[str, ...]
    counted: int
    not_counted: Mapping[str, int]
    base_rate: float | None
    top: tuple[_TopRow, ...]
    groups: Mapping[str, tuple[Row, ...]]
    value: str
    families: tuple[Row, ...]
    other_families: tuple[Row, ...]
    left_out: tuple[Row, ...]
    quality: Quality
    pictures: Mapping[str, Markup]
    features: tuple[tuple[Row, Markup], ...]

    @property
    def question(self) -> str:
        """The question's word."""
        return self.given.question

    @property
    def differences(self) -> Mapping[str, Row]:
        """The model against each alternative, in the order of the scorers."""
        return _in_order(self.given.evaluation.get("differences") or {})

    @property
    def lead_scorer(self) -> Row | None:
        """The scorer whose probabilities are published, or else the model, if it was tested."""
        scorer: Row | None = self.scorers.get(self.lead)
        return scorer


def render_report(report: ReportInput) -> str:
    """Return the whole page; the same input gives the same text.

    Raises ``ReportError`` if the page would be larger than one megabyte.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        report=report,
        views=[_view(question) for question in report.questions],
        findings=sorted(report.findings, key=lambda each: (_SEVERITIES.index(each["severity"]), -each["count"])),
        age_days=(report.scored_at - report.as_of) / pd.Timedelta(days=1),
        most_lines=_MOST_LINES,
        most_stages=report_pictures.MOST_STAGES,
        stretched=charts.is_stretched,
        t=words.TEXTS,
        w=words,
        s=sentences,
        n=report_numbers,
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


def _shown(value: Any) -> Any:
    """Clean every text that the template puts into the page, before it is escaped."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    # A percent sign stays on the line of its number.
    return _PERCENT.sub("\N{NO-BREAK SPACE}%", report_numbers.inert(value))


def _view(given: QuestionReport) -> _View:
    contract = contract_of(given.question)
    scorers = _in_order(given.evaluation.get("scorers") or {})
    lead = _SCORER_OF.get(given.published, "model")
    if lead not in scorers and "model" in scorers:
        lead = "model"
    label = sentences.spoken(lead, scorers[lead]["label"]) if lead in scorers else ""
    rank_only = not given.calibrated and given.published != "none"
    one_rate = given.published == "base_rate"
    tested, ordered = bool(scorers), rank_only and _has_order(given)
    counts = given.scores["tier" if ordered else contract.probability].notna()
    known, missing = given.scores[counts], given.scores.loc[~counts, "not_scored"].fillna("").astype(str)
    verdict: Row = given.evaluation.get("verdict") or {}
    families, others = report_pictures.split_families(given.drivers)
    if rank_only:
        headline = sentences.rank_only_headline(given.question, given.published, ordered=ordered)
        meaning = sentences.rank_only_meaning(given.question, given.published, ordered=ordered)
    else:
        headline = sentences.headline(given.question, given.published, tested=tested)
        meaning = sentences.what_it_means(given.published, tested=tested)
    return _View(
        given=given,
        rank_only=rank_only,
        passed=given.calibrated and lead == _SCORER_OF.get(given.published),
        one_rate=one_rate,
        headline=headline,
        meaning=meaning,
        scorers=scorers,
        lead=lead,
        lead_label=label,
        verdict=verdict,
        evidence=_evidence(given, scorers=scorers, lead=lead, label=label, verdict=verdict),
        counted=len(known),
        not_counted={str(reason): int(rows) for reason, rows in missing.value_counts(sort=True).items()},
        base_rate=None if rank_only or known.empty else report_groups.known_number(known["base_rate"].mean()),
        top=() if rank_only or one_rate else _top(known, contract.id_column, contract.probability),
        groups=report_groups.contact_groups(known if _has_order(given) else known.iloc[:0])
        if given.question == "contacts"
        else report_groups.deal_groups(known),
        value=_value(known) if given.question == "deals" and len(known) else "",
        families=families,
        other_families=others,
        left_out=report_groups.left_out_lines(given.left_out),
        quality=quality(evaluation=given.evaluation, drift=given.drift),
        pictures=report_pictures.question_pictures(
            question=given.question, families=families, scorers=scorers, lead=lead, stages=given.stages
        ),
        features=tuple(report_pictures.feature_pictures(question=given.question, drivers=given.drivers)),
    )


def _in_order(scorers: Row) -> Mapping[str, Row]:
    """Put the model first, then what could be published instead, then the yardsticks."""
    known = [name for name in _ORDER if name in scorers]
    return {name: scorers[name] for name in (*known, *(name for name in scorers if name not in known))}


def _has_order(given: QuestionReport) -> bool:
    """Say whether the tiers rank anybody: deals have none, and one rate for all ranks only where there are points."""
    if given.question != "contacts" or not given.scores["tier"].notna().any():
        return False
    return given.published != "base_rate" or bool(given.scores["points"].notna().any())


def _evidence(
    given: QuestionReport, *, scorers: Mapping[str, Row], lead: str, label: str, verdict: Row
) -> tuple[str, ...]:
    evaluation = given.evaluation
    told = []
    if not scorers:
        told.append(sentences.no_test(evaluation, given.question))
    best = _best_baseline(scorers)
    if best and "model" in scorers:
        told.append(
            sentences.compared(
                (evaluation.get("differences") or {}).get(best, {}).get("log_loss", {}),
                model=scorers["model"]["metrics"]["log_loss"]["value"],
                baseline=scorers[best]["metrics"]["log_loss"]["value"],
                name=sentences.spoken(best, scorers[best]["label"]),
                yardstick=best not in _SCORER_OF.values(),
                rows=evaluation["rows"],
                objects=evaluation["objects"],
                noun=words.NOUNS[given.question][1],
            )
        )
    if lead in scorers:
        told.append(
            sentences.predicted_and_observed(scorers[lead]["metrics"].get("predicted_over_observed"), label=label)
        )
    recommended = verdict.get("use", given.published)
    if recommended != given.published and given.published != "none":
        told.append(sentences.disagreement(given.published, str(recommended)))
    return (*told, *([given.support_note] if given.support_note else []))


def _best_baseline(scorers: Mapping[str, Row]) -> str | None:
    losses = {
        name: scorer["metrics"]["log_loss"]["value"]
        for name, scorer in scorers.items()
        if name != "model" and report_numbers.finite(scorer["metrics"].get("log_loss", {}).get("value"))
    }
    return min(losses, key=lambda name: losses[name], default=None)


def _top(known: pd.DataFrame, id_column: str, probability: str) -> tuple[_TopRow, ...]:
    low, high = ("likelihood_low", "likelihood_high") if id_column == "contact_id" else ("win_low", "win_high")
    best = known.sort_values([probability, id_column], ascending=[False, True], kind="stable").head(TOP_ROWS)
    rows = []
    for row in best.to_dict("records"):
        reasons = read_reasons(row["reasons"]) if isinstance(row["reasons"], str) else []
        told = [reason for reason in reasons if abs(reason["effect"]) >= _SMALLEST_SHOWN]
        rows.append(
            _TopRow(
                id=str(row[id_column]),
                probability=float(row[probability]),
                low=report_groups.known_number(row[low]),
                high=report_groups.known_number(row[high]),
                up=tuple([each for each in told if each["effect"] > 0][:REASONS_EACH_WAY]),
                down=tuple([each for each in told if each["effect"] < 0][:REASONS_EACH_WAY]),
            )
        )
    return tuple(rows)


def _value(known: pd.DataFrame) -> str:
    return sentences.value_sentence(
        len(known),
        float(known["amount"].sum()),
        float(known["expected_value"].sum()),
        int(known["amount"].notna().sum()),
    )
