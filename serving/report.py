"""The report for marketing: one HTML file with still pictures, no script, and nothing to fetch."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import jinja2
import pandas as pd
from markupsafe import Markup

from features.errors import LeadScoringError
from serving import charts, report_numbers
from serving import report_sentences as sentences
from serving import report_words as words
from serving.contract import contract_of, read_reasons

Published = Literal["model", "rules", "stage_rate", "base_rate", "none"]
Row = Mapping[str, Any]

MOST_BYTES: Final = 1_000_000
TOP_ROWS: Final = 10
REASONS_EACH_WAY: Final = 3
TOP_FEATURES: Final = 6
_MOST_BINS: Final = 12
_MOST_STAGES: Final = 40
_MOST_LINES: Final = 60
_SMALLEST_SHOWN: Final = 0.0005
_BANDS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
_SCORER_OF: Final[Mapping[str, str]] = {
    "model": "model",
    "rules": "point_rules",
    "stage_rate": "stage_observed",
    "base_rate": "base_rate",
}
_PERCENT: Final = re.compile(r"(?<=\d) %")
_SEVERITIES: Final = ("error", "warning", "info")


class ReportError(LeadScoringError):
    """The report could not be made or written; what was there before is untouched."""


@dataclass(frozen=True)
class QuestionReport:
    """What the report says about one question.

    ``evaluation`` is the Evaluation JSON; its ``scorers`` may be empty if no test was possible. ``drivers`` are
    families by size: family, words, mean_abs_effect and features (feature, words, mean_abs_effect and bins of label,
    rows, effect, observed). ``scores`` are the published rows. Effects are differences of probability.
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
    scorers: Row
    lead: str
    lead_label: str
    verdict: Row
    evidence: tuple[str, ...]
    scored: int
    not_scored: Mapping[str, int]
    base_rate: float | None
    top: tuple[_TopRow, ...]
    groups: Mapping[str, tuple[Row, ...]]
    value: str
    pictures: Mapping[str, Markup]
    features: tuple[tuple[Row, Markup], ...]

    @property
    def question(self) -> str:
        """The question's word."""
        return self.given.question

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
        most_stages=_MOST_STAGES,
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
    scorers: Row = given.evaluation.get("scorers") or {}
    lead = _SCORER_OF.get(given.published, "model")
    if lead not in scorers and "model" in scorers:
        lead = "model"
    label = sentences.spoken(lead, scorers[lead]["label"]) if lead in scorers else ""
    known = given.scores[given.scores[contract.probability].notna()]
    missing = given.scores.loc[given.scores[contract.probability].isna(), "not_scored"].fillna("").astype(str)
    verdict: Row = given.evaluation.get("verdict") or {}
    return _View(
        given=given,
        scorers=scorers,
        lead=lead,
        lead_label=label,
        verdict=verdict,
        evidence=_evidence(given, scorers=scorers, lead=lead, label=label, verdict=verdict),
        scored=len(known),
        not_scored={str(reason): int(rows) for reason, rows in missing.value_counts(sort=True).items()},
        base_rate=_number(known["base_rate"].mean()) if len(known) else None,
        top=_top(known, contract.id_column, contract.probability),
        groups=_contact_groups(known) if given.question == "contacts" else _deal_groups(known),
        value=_value(known) if given.question == "deals" and len(known) else "",
        pictures=_pictures(given, scorers=scorers, lead=lead),
        features=tuple(_feature_pictures(given)),
    )


def _evidence(given: QuestionReport, *, scorers: Row, lead: str, label: str, verdict: Row) -> tuple[str, ...]:
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


def _best_baseline(scorers: Row) -> str | None:
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
                low=_number(row[low]),
                high=_number(row[high]),
                up=tuple([each for each in told if each["effect"] > 0][:REASONS_EACH_WAY]),
                down=tuple([each for each in told if each["effect"] < 0][:REASONS_EACH_WAY]),
            )
        )
    return tuple(rows)


def _contact_groups(known: pd.DataFrame) -> Mapping[str, tuple[Row, ...]]:
    """Count the scored contacts by tier and by agreement with the points."""

    def group(column: str, names: Mapping[str, str]) -> tuple[Row, ...]:
        parts = [(name, known.loc[known[column] == value, "close_likelihood"]) for value, name in names.items()]
        return tuple(
            {
                "name": name,
                "rows": len(part),
                "mean": _number(part.mean()),
                "low": _number(part.min()),
                "high": _number(part.max()),
                "wins": float(part.sum()),
            }
            for name, part in parts
            if known[column].notna().any()
        )

    return {"tiers": group("tier", words.TIERS), "agreement": group("agreement", words.AGREEMENTS)}


def _deal_groups(known: pd.DataFrame) -> Mapping[str, tuple[Row, ...]]:
    """Count the scored deals in bands of probability, with what they are worth."""
    bands = []
    for low, high in reversed(list(pairwise(_BANDS))):
        inside = known["win_probability"].ge(low) & (known["win_probability"].lt(high) | (high == 1.0))
        part = known[inside]
        bands.append(
            {
                "low": low,
                "high": high,
                "rows": len(part),
                "wins": float(part["win_probability"].sum()),
                "amount": _number(part["amount"].sum(min_count=1)),
                "expected": _number(part["expected_value"].sum(min_count=1)),
                "stalled": int(part["stalled"].fillna(False).astype(bool).sum()),
            }
        )
    return {"bands": tuple(bands) if len(known) else ()}


def _value(known: pd.DataFrame) -> str:
    return sentences.value_sentence(
        len(known),
        float(known["amount"].sum()),
        float(known["expected_value"].sum()),
        int(known["amount"].notna().sum()),
    )


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _pictures(given: QuestionReport, *, scorers: Row, lead: str) -> Mapping[str, Markup]:
    """Draw what there is data for; a picture that is not in the result is replaced by a sentence."""
    name, many = given.question, words.NAMES[given.question]
    pictures = {}
    if given.drivers:
        pictures["families"] = charts.family_chart(
            name=f"{name}-families",
            title=f"{words.TEXTS['drives']}: {many}",
            words=[str(each["words"]) for each in given.drivers[:_MOST_BINS]],
            sizes=[float(each["mean_abs_effect"]) for each in given.drivers[:_MOST_BINS]],
        )
    lines = [
        charts.Gains(scorer=scorer, label=str(part["label"]), points=part["gains"])
        for scorer, part in scorers.items()
        if scorer != "base_rate" and any(report_numbers.finite(point["captured"]) for point in part["gains"])
    ]
    if lines:
        pictures["gains"] = charts.gains_chart(
            name=f"{name}-gains", title=f"{words.TEXTS['gains']}: {many}", gains=lines
        )
    if lead in scorers and scorers[lead]["reliability"]:
        pictures["reliability"] = charts.reliability_chart(
            name=f"{name}-reliability",
            title=f"{words.TEXTS['reliability']}: {many}",
            bins=scorers[lead]["reliability"],
            scorer=lead,
        )
    if given.stages:
        pictures["stages"] = charts.stage_chart(
            name=f"{name}-stages", title=words.TEXTS["stages"], stages=given.stages[:_MOST_STAGES]
        )
    return {key: Markup(svg) for key, svg in pictures.items()}  # noqa: S704 - matplotlib escaped every text in it


def _feature_pictures(given: QuestionReport) -> list[tuple[Row, Markup]]:
    features = [
        {**feature, "bins": _largest_bins(feature["bins"])}
        for family in given.drivers
        for feature in family["features"]
        if feature["bins"]
    ]
    features = sorted(features, key=lambda each: -each["mean_abs_effect"])[:TOP_FEATURES]
    reach = max((abs(each["effect"]) for feature in features for each in feature["bins"]), default=0.0)
    return [
        (
            feature,
            Markup(  # noqa: S704 - matplotlib escaped every text in it
                charts.effect_chart(
                    name=f"{given.question}-feature-{place}",
                    title=str(feature["words"]),
                    bins=feature["bins"],
                    reach=reach,
                )
            ),
        )
        for place, feature in enumerate(features, start=1)
    ]


def _largest_bins(bins: Sequence[Row]) -> list[Row]:
    """Keep the bins with most rows, in the order they were given."""
    fewest = sorted((each["rows"] for each in bins), reverse=True)[:_MOST_BINS][-1]
    return [each for each in bins if each["rows"] >= fewest][:_MOST_BINS]
