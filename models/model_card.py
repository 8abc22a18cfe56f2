"""The model card: one page in Markdown that says what a model is for, how good it was, and where its limits lie."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from features.catalogue import FAMILY_WORDS
from models.bundle import Bundle

_USE_WORDS: Final = {
    "model": "the model",
    "rules": "the point rules, mapped to a probability on the past",
    "stage_rate": "the observed win rate of each stage",
    "base_rate": "the base rate, the same for all",
}
_METRICS: Final = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "auc": "AUC",
    "capture_20": "wins in the top 20 %",
    "predicted_over_observed": "predicted / observed",
    "ici": "calibration error",
}
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
_MARKS: Final = re.compile(r"([\\`*_\[\]<>!|~$&])")
_MOST_LEFT_OUT: Final = 30


def model_card(bundle: Bundle) -> str:
    """Return the card of a bundle."""
    data, evaluation = bundle.data, bundle.evaluation
    question = "a contact is won" if data.question == "contacts" else "an open deal is won"
    horizon = _horizon(bundle)
    lines = [
        f"# {bundle.version}",
        "",
        f"**What it says.** The probability that {question} within {horizon}.",
        f"**What is published.** {_USE_WORDS[data.use].capitalize()}"
        + ("." if data.calibrated else ", as ranks only: its probabilities failed their calibration test."),
        "",
        "## Why",
        *[f"- {inert(reason)}" for reason in evaluation.get("verdict", {}).get("reasons", ())],
        *([f"- the ladder: {inert(data.step.reason)}"] if data.step is not None else []),
        "",
        "## What it learnt from",
        f"- Facts {_window(bundle)}, SHA-256 of the tables `{data.data_digest}`",
        f"- Settings `{data.settings_digest}`",
        f"- {len(data.contract.features)} features: {_families(bundle)}",
        "",
        "## How it did on later outcomes",
        *_measured(evaluation),
        "",
        "## Limits",
        *_limits(bundle),
        "",
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in bundle.environment.items()),
        "",
    ]
    return "\n".join(lines)


def inert(text: object) -> str:
    """Return text from the data so that Markdown and HTML show it and do nothing else with it.

    >>> inert("<b>a|b</b>")
    '\\\\<b\\\\>a\\\\|b\\\\</b\\\\>'
    """
    return _MARKS.sub(r"\\\1", _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def _window(bundle: Bundle) -> str:
    until = f"before {bundle.data.trained_as_of:%Y-%m-%d %H:%M} UTC"
    begin = bundle.data.trained_from
    return until if begin is None else f"from {begin:%Y-%m-%d} and {until}"


def _horizon(bundle: Bundle) -> str:
    if bundle.data.question == "contacts":
        return f"{bundle.data.horizon_days:g} days"
    ends = {edges[-1] for edges in (*bundle.data.edges.values(), bundle.data.shared_edges) if edges}
    days = f"{min(ends):.0f} to {max(ends):.0f}" if len({round(end) for end in ends}) > 1 else f"{max(ends):.0f}"
    return f"{days} days, which is as far ahead as the history supports"


def _families(bundle: Bundle) -> str:
    counted = Counter(feature.family for feature in bundle.data.contract.features)
    return ", ".join(f"{count} on {FAMILY_WORDS[name]}" for name, count in counted.most_common())


def _measured(evaluation: Mapping[str, Any]) -> Iterator[str]:
    scorers = evaluation.get("scorers", {})
    if not scorers:
        yield f"The history allowed no test: {inert(evaluation.get('protocol', {}).get('note', 'too short'))}"
        return
    protocol = evaluation["protocol"]
    yield (
        f"{evaluation['rows']:,} snapshots of {evaluation['objects']:,} {evaluation['question']}, "
        f"{evaluation['positive_objects']:,} of them won, from {protocol['test_from']} to {protocol['test_to']}, later "
        "than everything the tested fit had seen. 95 % intervals in brackets."
    )
    yield ""
    yield "| | " + " | ".join(_METRICS.values()) + " |"
    yield "|---" * (len(_METRICS) + 1) + "|"
    for scorer in scorers.values():
        cells = [_estimate(scorer["metrics"].get(name)) for name in _METRICS]
        yield f"| {inert(scorer['label'])} | " + " | ".join(cells) + " |"


def _estimate(measured: Mapping[str, Any] | None) -> str:
    if measured is None or measured["value"] is None:
        return "-"
    if measured["low"] is None or measured["high"] is None:
        return f"{measured['value']:.3f}"
    return f"{measured['value']:.3f} ({measured['low']:.3f} to {measured['high']:.3f})"


def _limits(bundle: Bundle) -> Iterator[str]:
    yield "- It speaks of the company whose past it learnt from, and of nobody else."
    yield "- It tells what goes with winning, not what causes it."
    silence = bundle.data.silence
    if silence is not None:
        yield (
            "- Contacts of whom no behaviour is known all get the observed rate of their like: "
            f"{silence.rate:.1%} before calibration, counted on {silence.contacts:,} contacts."
        )
    left_out = bundle.data.left_out
    for item in left_out[:_MOST_LEFT_OUT]:
        what = ".".join(str(item[key]) for key in ("table", "column") if item.get(key))
        yield f"- Left out: {inert(what)}, {inert(item.get('reason', ''))}"
    if len(left_out) > _MOST_LEFT_OUT:
        yield f"- and {len(left_out) - _MOST_LEFT_OUT} more columns"
