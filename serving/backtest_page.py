"""The backtest as a page for data scientists: one HTML file with still pictures, no script, and nothing to fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from serving import charts, report_numbers

Row = Mapping[str, Any]

METRICS: Final = (
    ("log_loss", "Log loss", 4),
    ("brier", "Brier", 4),
    ("auc", "AUC", 3),
    ("auc_within_stage", "AUC in stage", 3),
    ("auc_no_open_deal", "AUC, no open deal", 3),
    ("capture_20", "Wins in the top 20 %", 3),
    ("predicted_over_observed", "Predicted / observed", 2),
    ("slope", "Slope", 2),
    ("ici", "Calibration error (ICI)", 4),
)
MOST_SEGMENTS: Final = 40


def backtest_page(backtests: Sequence[Row], *, title: str) -> str:
    """Return the page; the same input gives the same text. ``backtests`` are those of the JSON."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup | int | float) else report_numbers.inert(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("backtest.html.j2").render(
        title=title,
        views=[_view(one) for one in backtests],
        metrics=METRICS,
        n=report_numbers,
    )


def sentences(backtest: Row) -> list[str]:
    """Say in words what stability, the random splits and the comparison with the version in use found."""
    told = []
    splits = {each["split"]: each for each in backtest["splits"]}
    if splits and report_numbers.finite(splits["random_rows"]["brier_skill"]):
        told.append(
            f"A random split of the same past would have promised a skill of "
            f"{report_numbers.number(splits['random_rows']['brier_skill'])} (Brier skill); on what came later it is "
            f"{report_numbers.number(splits['time']['brier_skill'])}."
        )
    stability = backtest["stability"]
    if stability:
        told.append(
            f"In {stability['refits']} refits on redrawn data {report_numbers.percent(stability['top_list'])} of the "
            f"best fifth stay in it, {report_numbers.percent(stability['top_family'])} of them keep their first family "
            f"of reasons and {report_numbers.percent(stability['top_feature'])} their first single reason; all scores "
            f"keep a rank correlation of {report_numbers.number(stability['order'])}."
        )
    champion = backtest["champion"]
    if champion:
        name = f"version {champion['version']}, trained as of {champion['trained_as_of'][:10]}"
        if champion["why_not"]:
            told.append(f"The version in use ({name}) was not compared: {champion['why_not']}.")
        else:
            loss = (champion["difference"] or {}).get("log_loss")
            if loss is not None:
                told.append(
                    f"Against the version in use ({name}), on {champion['rows']:,} rows that came after both: log loss "
                    f"{loss['value']:+.4f} (95 % {loss['low']:+.4f} to {loss['high']:+.4f}; negative is better)."
                )
        changed = [
            f"{len(champion[key])} {words} ({', '.join(champion[key][:8])}{', ...' if len(champion[key]) > 8 else ''})"
            for key, words in (("features_added", "features are new"), ("features_gone", "features are gone"))
            if champion[key]
        ]
        if changed:
            told.append(f"Since then {' and '.join(changed)}.")
    return told


def _view(backtest: Row) -> dict[str, Any]:
    pooled = backtest["pooled"]
    scorers = pooled["scorers"]
    lead = "model" if "model" in scorers else next(iter(scorers))
    bins = scorers[lead]["reliability"]
    chart = ""
    if bins:
        chart = charts.reliability_chart(
            name=f"backtest-{backtest['question']}",
            title=f"Predicted and observed, {backtest['question']}",
            bins=bins,
            scorer=lead,
        )
    segments = [each for each in pooled["segments"] if each["objects"] >= 10]
    return {
        "backtest": backtest,
        "lead": scorers[lead],
        "metrics": [one for one in METRICS if any(one[0] in each["metrics"] for each in scorers.values())],
        "chart": Markup(chart),  # noqa: S704 - our own SVG, drawn from numbers
        "segments": [
            {
                **each,
                "said": each["predicted"][lead],
                "off": abs(each["predicted"][lead] - each["observed"]) > each["chance"][lead],
            }
            for each in segments[:MOST_SEGMENTS]
        ],
        "more_segments": max(0, len(segments) - MOST_SEGMENTS),
        "sentences": sentences(backtest),
    }
