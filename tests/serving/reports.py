"""Reports made up for tests, and a reader of the page that they become."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import FAMILY_WORDS
from models.evaluation import Protocol, Verdict, evaluate
from serving.report_input import QuestionReport, ReportInput
from tests.serving.conftest import make_contact, make_deal, unscored_deal

AS_OF = pd.Timestamp("2026-03-01T00:00:00Z")
SCORED_AT = pd.Timestamp("2026-03-01T05:30:00Z")
HOSTILE = (
    "</svg></script><script>alert(1)</script>\0=cmd|'/c calc'!A1 \u202eevil\u202c \u05d0\u05d1 $x$ jane@example.org"
)
SECTIONS = [
    "use", "drives", "gains", "reliability", "rules", "disagreements", "groups", "changes", "left-out", "annex",
]  # fmt: skip
STAGES = (
    ("new", 0.05, 0.08),
    ("qualified", 0.2, 0.14),
    ("demo held", 0.4, 0.27),
    ("offer sent", 0.6, 0.38),
    ("verbal yes", 0.9, 0.71),
)
VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr", "area", "base", "source", "track", "embed"}


@cache
def evaluation_json(question: str, use: str) -> str:
    """A test on random rows: the model knows most of the log odds, the rules some of it."""
    generator = np.random.default_rng(20260301)
    contacts = question == "contacts"
    objects = np.arange(4200 if contacts else 2400) // 3
    log_odds = generator.normal(-3.6 if contacts else -1.1, 1.5, len(objects) // 3)[objects]
    won = generator.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))
    stage = np.digitize(log_odds + generator.normal(0, 0.8, len(log_odds)), [-2.5, -1.2, 0.0, 1.2])

    def noisy(spread: float, *, slope: float = 1.0) -> Any:
        mean = log_odds.mean()
        seen = mean + slope * (log_odds - mean + generator.normal(0, spread, len(log_odds)))
        return 1 / (1 + np.exp(-seen))

    scores = {"model": noisy(0.25, slope=0.97), "point_rules": np.round(noisy(1.4, slope=0.5), 2)}
    labels = {"model": "Model", "point_rules": "Point rules", "base_rate": "Average rate"}
    if not contacts:
        scores |= {
            "stage_manual": np.array([manual for _, manual, _ in STAGES])[stage],
            "stage_observed": np.array([observed for _, _, observed in STAGES])[stage],
            "naive_bayes": noisy(0.9, slope=1.3),
        }
        labels |= {
            "stage_manual": "Stage probability set by hand",
            "stage_observed": "Observed stage rate",
            "naive_bayes": "Naive Bayes (as in Odoo)",
        }
    scores["base_rate"] = np.full(len(log_odds), won.mean())
    result = evaluate(
        question="contacts" if contacts else "deals",
        as_of=AS_OF.to_pydatetime(),
        horizon_days=90,
        protocol=Protocol(
            train_from=datetime(2023, 6, 1, tzinfo=UTC),
            train_to=datetime(2025, 1, 1, tzinfo=UTC),
            calibrate_from=None,
            calibrate_to=None,
            test_from=datetime(2025, 4, 1, tzinfo=UTC),
            test_to=datetime(2025, 12, 1, tzinfo=UTC),
            purge_days=90.0,
            note="One test window after a gap of one horizon.",
        ),
        y_obs=won.astype(float),
        scores=scores,
        labels=labels,
        objects=np.array([f"object-{number}" for number in objects], dtype=object),
        stage=None if contacts else np.array([name for name, _, _ in STAGES], dtype=object)[stage],
        has_open_deal=generator.random(len(log_odds)) < 0.2 if contacts else None,
        segments={"source": np.array(["fair", "web", None], dtype=object)[objects % 3]}
        if contacts
        else {"stage": np.array([name for name, _, _ in STAGES], dtype=object)[stage]},
        replicates=40,
        seed=5,
    )
    evidence = {} if not contacts else {"rules": make_rules()}
    verdict = Verdict(use=use, reasons=("Its log loss is clearly below that of every alternative.",))  # type: ignore[arg-type]
    more = {"by": {"columns": ["source"] if contacts else ["stage"], "absent": ["country"]}} | evidence
    more["drivers"] = {"rows": 4000, "objects": 1400}
    return json.dumps(replace(result, verdict=verdict).to_dict() | more)


def make_evaluation(question: str = "deals", *, use: str = "model") -> dict[str, Any]:
    evaluation: dict[str, Any] = json.loads(evaluation_json(question, use))
    return evaluation


def make_rule(name: str, manual: float, learned: float | None = None, **changed: Any) -> dict[str, Any]:
    """One rule as a training keeps it, by default priced within four points either way."""
    priced = learned is not None
    spread = {"value": learned, "low": learned - 4, "high": learned + 4} if learned is not None else None
    return {
        "name": name,
        "group": "engagement",
        "manual": manual,
        "learned": spread or {"value": None, "low": None, "high": None},
        "held": 700 if priced else 0,
        "winners": 90,
        "rate_held": 0.12 if priced else None,
        "lift": 3.0 if priced else None,
        "mispriced": 0,
        "why_not": None if priced else "it never held",
        "same_as": [],
        **changed,
    }


def make_rules(*criteria: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What a training keeps of a sheet; by default the model was better, and one rule is far too dear."""

    def order(auc: float) -> dict[str, Any]:
        capture = {"value": auc - 0.2, "low": auc - 0.25, "high": auc - 0.15}
        return {name: {"value": auc, "low": auc - 0.03, "high": auc + 0.03} for name in ("auc", "auc_no_open_deal")} | {
            "capture": capture
        }

    given: dict[str, Any] = {
        "why_not": "",
        "winners": 210,
        "contacts": 3400,
        "base_rate": 0.04,
        "advice": "model",
        "not_tested": "",
        "criteria": list(criteria)
        or [
            make_rule("Asked for a demo", 30, 1, mispriced=1),
            make_rule("Looked at prices", 20, 18, same_as=["Five pages or more"]),
            make_rule("Sent a fax", 10),
            make_rule("Silent for two months", -15, -21),
        ],
        "test": {
            "since": "2025-04-01T00:00:00+00:00",
            "until": "2025-12-01T00:00:00+00:00",
            "rows": 4200,
            "winners": 176,
            "share": 0.2,
            "metrics": {"manual": order(0.74), "learned": order(0.77), "model": order(0.85)},
            "differences": {},
        },
    }
    return given | changed


def make_drivers() -> list[dict[str, Any]]:
    families = ["their_activity", "recency", "stage", "our_activity", "profile", "past", "people"]
    facts = {
        "their_activity": ["demo request in the last 30 days", "email reply in the last 30 days"],
        "recency": ["days since the last email reply", "activity so far, fading by half every 14 days"],
        "stage": ["how far the deal has come (0 first stage, 1 last)"],
        "our_activity": ["call in the last 7 days"],
        "profile": ["industry"],
    }
    bins = [("0", 5210, -0.031, 0.021), ("1", 1203, 0.024, 0.081), ("2 to 3", 410, 0.083, 0.139)]
    categories = [
        ("Manufacturing and industry", 90, 0.041, 0.12),
        ("Retail", 2100, -0.012, 0.04),
        ("unknown", 7, 0.0, None),
    ]
    return [
        {
            "family": family,
            "words": FAMILY_WORDS[family],
            "mean_abs_effect": 0.052 / (1 + place),
            "low": 0.045 / (1 + place),
            "high": 0.06 / (1 + place),
            "lifts": {"share": 0.3, "effect": 0.05},
            "lowers": {"share": 0.6, "effect": -0.02},
            "refits": 5,
            "in_top_three": max(0, 5 - place),
            "features": [
                {
                    "feature": f"{family}_{at}",
                    "words": words,
                    "mean_abs_effect": 0.04 / (1 + place + at),
                    "direction": "values" if family == "profile" else "up",
                    "agree": 5,
                    "together": [{"feature": "warmth", "words": "activity so far, fading by half every 7 days"}]
                    if family == "recency"
                    else [],
                    "bins": [
                        {
                            "label": label,
                            "rows": rows,
                            "objects": rows // 2,
                            "effect": effect / (1 + 0.3 * place),
                            "low": effect / (1 + 0.3 * place) - 0.01,
                            "high": effect / (1 + 0.3 * place) + 0.01,
                            "observed": observed,
                        }
                        for label, rows, effect, observed in (categories if family == "profile" else bins)
                    ],
                }
                for at, words in enumerate(facts.get(family, []))
            ],
        }
        for place, family in enumerate(families)
    ]


def make_reasons(probability: float, base_rate: float, *, noun: str = "demo request in the last 30 days: 2") -> str:
    rest = probability - base_rate
    parts = [
        ("their_activity", 0.7 * rest, noun),
        ("recency", 0.4 * rest, "days since the last email reply: 1.5"),
        ("stage", -0.2 * rest, "how far the deal has come (0 first stage, 1 last): 25%"),
        ("our_activity", 0.15 * rest, "call in the last 7 days: 3"),
        ("profile", -0.1 * rest, "industry: retail"),
        ("past", rest - 0.7 * rest - 0.4 * rest + 0.2 * rest - 0.15 * rest + 0.1 * rest, "deals lost before: 1"),
    ]
    entries = [
        {
            "family": family,
            "effect": effect,
            "words": f"{FAMILY_WORDS[family]} ({words})",
            "features": [{"feature": family, "value": 1, "words": words, "effect": effect}],
        }
        for family, effect, words in parts
    ]
    return json.dumps(sorted(entries, key=lambda entry: -abs(float(str(entry["effect"])))))


def contact_rows(count: int = 240) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    rows = []
    likely = np.sort(generator.beta(0.5, 9, count))[::-1]
    for place, probability in enumerate(likely):
        quarter = min(3, 4 * place // count)
        rows.append(
            make_contact(
                f"{104200 + place}",
                as_of=AS_OF,
                close_likelihood=float(probability),
                likelihood_low=float(0.8 * probability),
                likelihood_high=float(min(1.0, 1.25 * probability + 0.01)),
                tier=("very_high", "high", "medium", "low")[quarter],
                agreement=("both_high", "model_only", "points_only", "both_low")[
                    (0 if place < count / 2 else 2) + int(generator.random() < 0.3 or quarter == 3)
                ],
                base_rate=0.05,
                reasons=make_reasons(float(probability), 0.05),
            )
        )
    left = dict.fromkeys(name for name in make_contact() if name not in ("object_type", "as_of"))
    for place, why in enumerate(["already a customer", "already a customer", "no activity in three years"]):
        rows.append(make_contact(as_of=AS_OF) | left | {"contact_id": f"9{place}", "not_scored": why})
    return pd.DataFrame(rows)


def deal_rows(count: int = 90) -> pd.DataFrame:
    generator = np.random.default_rng(8)
    rows = []
    for place, probability in enumerate(generator.beta(0.9, 2.2, count)):
        amount = float(np.round(generator.lognormal(9, 0.8), -2)) if place % 7 else None
        rows.append(
            make_deal(
                f"D-{3100 + place}",
                as_of=AS_OF,
                stage=STAGES[place % 5][0],
                win_probability=float(probability),
                win_low=float(0.8 * probability),
                win_high=float(min(1.0, 1.2 * probability)),
                amount=amount,
                expected_value=None if amount is None else amount * float(probability),
                stalled=bool(place % 4 == 0),
                base_rate=0.28,
                reasons=make_reasons(float(probability), 0.28),
            )
        )
    rows.append(unscored_deal("D-9000", as_of=AS_OF))
    return pd.DataFrame(rows)


def make_question(question: str = "deals", **changed: Any) -> QuestionReport:
    given: dict[str, Any] = {
        "question": question,
        "evaluation": make_evaluation(question),
        "published": "model",
        "model_version": f"{question}-7",
        "drivers": make_drivers(),
        "scores": contact_rows() if question == "contacts" else deal_rows(),
        "stages": [
            {
                "pipeline": "Sales",
                "stage": name,
                "open_deals": 18,
                "manual": manual,
                "observed": rate,
                "model": rate + 0.02,
            }
            for name, manual, rate in STAGES
        ]
        if question == "deals"
        else [],
        "left_out": [
            {"table": "contacts", "column": "lifecyclestage", "reason": "no history, and not vouched for"},
            {"table": "owners", "column": None, "reason": "the table is not there"},
        ],
        "support": {"horizon_days": 90.0} if question == "contacts" else {"pipelines": {"Sales": 177.0}},
        "trained_as_of": pd.Timestamp("2026-02-20T00:00:00Z"),
    }
    return QuestionReport(**(given | changed))


def make_report(*questions: QuestionReport, **changed: Any) -> ReportInput:
    given: dict[str, Any] = {
        "title": "How likely our contacts and deals are to close",
        "as_of": AS_OF,
        "scored_at": SCORED_AT,
        "batch_id": "2026-03-01-a1b2c3",
        "source": "folder shared/data/crm",
        "table_rows": {"contacts": 18234, "activities": 402113, "deals": 2911},
        "findings": [
            {
                "severity": "info",
                "code": "absent",
                "table": "owners",
                "column": None,
                "message": "not there",
                "count": 1,
            },
            {
                "severity": "warning",
                "code": "late-known",
                "table": "activities",
                "column": "known_at",
                "message": "1,204 activities became known a week or more after they happened; they count from then.",
                "count": 1204,
            },
        ],
        "questions": questions or (make_question("contacts"), make_question("deals")),
    }
    return ReportInput(**(given | changed))


class Reader(HTMLParser):
    """What a browser would make of the page: tags in order, with attributes, and what is left open."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def pictures(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)


def part(page: str, section: str) -> str:
    """The text of one section."""
    return Reader(re.findall(rf'<section id="{section}".*?</section>', page, flags=re.DOTALL)[0]).words
