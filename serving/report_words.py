"""The fixed words of the report: headings, captions, names; a report in German would need its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LANGUAGE: Final = "en"

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "skip": "Skip to the content",
        "contents": "On this page",
        "made_from": "Data up to",
        "made_at": "Scored",
        "made_source": "Source",
        "made_batch": "Batch",
        "nothing": "This report holds no question: nothing was scored.",
        "scroll": "table, scrolls sideways",
        "use": "Can I use it today?",
        "use_age": "The data ends {as_of}, {age} ({scored_at}). Read everything below as of that day.",
        "use_why": "Why",
        "use_needs": "What there is, and what a model would need",
        "tile_scored": "scored",
        "tile_not_scored": "not scored",
        "tile_ranked": "ranked",
        "tile_not_ranked": "not ranked",
        "tile_base": "average probability to win",
        "what": "What was scored",
        "what_none": "None of these has a score, so there is no list to show.",
        "what_one_rate": "All have the same probability, so there is no list of the most likely ones.",
        "what_no_percentages": "No probability is published, as the percentages failed their test.",
        "tiers": "Scored contacts by tier (equal quarters of the list)",
        "ranked_tiers": "Ranked contacts by tier (equal quarters of the list)",
        "ranked_share": "Share of the ranked",
        "ranked_read": "Work the tiers from the top. Within a tier this batch gives no order, and no reasons for each "
        "contact, as those are told in percentages.",
        "tier": "Tier",
        "contacts": "Contacts",
        "deals": "Deals",
        "range": "Probability from–to",
        "expected_wins": "Expected wins",
        "agreement": "Where the score and the point rules agree",
        "agreement_head": "Who ranks them high",
        "mean": "Average probability",
        "bands": "Scored deals by probability to win",
        "band": "Probability to win",
        "amount": "Amount",
        "expected_value": "Expected value",
        "stalled": "Stalled",
        "top_contacts": "The ten contacts most likely to buy",
        "top_deals": "The ten deals most likely to be won",
        "id": "CRM id",
        "probability": "Probability",
        "how_sure": "how sure",
        "speaks_for": "Speaks for it",
        "speaks_against": "Speaks against it",
        "pp": "pp: percentage points above or below the average of all. The small range below a probability says how "
        "sure it is: its ends are what past outcomes near it would make of it with one more case lost, or one more won "
        "(a Venn-Abers range, not a 95 % interval).",
        "drives": "What drives winning",
        "drives_note": "These are associations seen in the past, not advice: they say what winners had in common, not "
        "what would happen if you did more of it.",
        "drives_none": "No drivers are shown, as no learned model was explained for this question.",
        "drives_unpublished": "They explain the model that was tested; what is published comes from {published}.",
        "drives_scale": "The percentages failed their test, so the percentage points here are the model’s own scale: "
        "they compare these facts with each other and do not say how many more are won.",
        "drives_little": "No group of facts moves a probability by even 0.01 percentage points.",
        "families_read": "How to read it: the longer the bar, the more this group of facts moves the probability of a "
        "typical case, up or down.",
        "features": "The most important facts, one by one",
        "features_read": "How to read them: a dot right of the line lifts the probability, left of it lowers it; one "
        "scale for all. Beside it stand how many rows had this value and how many of those were won.",
        "axis_effect": "effect (pp)",
        "axis_rows": "rows · won",
        "gains": "How far down the list to call",
        "gains_read": "How to read it: start at the top of the list and work down; the line says which share of all "
        "wins you have reached. The higher the line, the better the order. The grey diagonal is a random order.",
        "axis_share": "share of the list worked",
        "axis_captured": "share of the wins reached",
        "deciles": "Share of the wins in the first part of the list",
        "decile": "First part of the list",
        "random": "Random order",
        "no_gains": "There was no win in the test, so no list can be judged.",
        "reliability": "Does 30 % mean 30 %?",
        "reliability_read": "How to read it: each dot is a group of test rows with similar probabilities. On the "
        "diagonal, what was said is what came; above it more was won than said, below it less. The bars are 95 % "
        "intervals.",
        "reliability_stretched": "The low end of both axes is stretched, as most probabilities lie there.",
        "axis_predicted": "predicted probability",
        "axis_observed": "share that was won",
        "reliability_table": "The numbers behind the picture",
        "predicted": "Predicted",
        "observed": "Won",
        "interval": "95 % interval",
        "rows": "Rows",
        "ece_name": "Average gap over ten groups (ECE)",
        "ici_name": "Average gap along a smooth curve (ICI)",
        "measures": "Model and rules on the same past",
        "measures_read": "All were measured on the same rows; below each figure stands its 95 % interval.",
        "measures_table": "All scorers on the same test rows",
        "measure": "Measure",
        "differences": "The model against each alternative, paired on the same rows (model minus alternative)",
        "alternative": "Alternative",
        "verdict": "In words",
        "stages": "Deals, stage by stage",
        "stages_absent": "Deals were not part of this run.",
        "stages_none": "There is no stage to compare: the run handed over no stage rates.",
        "stages_read": "How to read it: each row is a stage. The square is the probability set by hand in the CRM, the "
        "circle the share of past deals in that stage that were won, the diamond the average of the model today.",
        "stages_table": "Probability to win, stage by stage",
        "pipeline": "Pipeline",
        "stage": "Stage",
        "open_deals": "Open deals",
        "manual": "Set by hand",
        "rate": "Observed",
        "model": "Model",
        "left_out": "What was left out, and what the check found",
        "left_out_none": "Nothing was left out.",
        "left_out_table": "Data that was not used, and why",
        "table": "Table",
        "column": "Column",
        "reason": "Reason",
        "whole_table": "whole table",
        "whole_tables": "whole tables",
        "and_more": "and {more} more",
        "vouched_wrongly": "{column} is used only because the configuration vouches for it, but it looks too good to "
        "be true: {evidence}. If it is filled in after the outcome, the test is worth nothing.",
        "proxy": "{feature} tells the protected attribute {attribute} ({column}: {value}), AUC {auc}: it may treat "
        "people unequally in its place.",
        "more_proxies": "{more} more features do so; the audit (leadline audit) lists them.",
        "drift": "How far today differs from the past that was learnt from",
        "drift_read": "How to read it: the stability index compares the values of those scored now with the past; "
        "below 0.1 nothing moved, from 0.25 on much did, and the model then speaks of others than it learnt from.",
        "drift_table": "Facts whose values have moved most",
        "drift_none": "No fact has moved by more than chance would.",
        "drift_fact": "Fact",
        "drift_index": "Stability index",
        "drift_missing": "Missing before",
        "drift_missing_now": "Missing now",
        "drift_more": "{more} more facts have moved.",
        "findings": "What the check of the data found",
        "findings_none": "The check of the data found nothing.",
        "findings_table": "Findings, worst first",
        "severity": "Severity",
        "finding": "What was found",
        "count": "Rows",
        "more": "and {more} more, not shown here",
        "annex": "Annex for data scientists",
        "protocol": "How the test was set up",
        "item": "Item",
        "value": "Value",
        "train": "Training window",
        "calibrate": "Calibration window",
        "test": "Test window",
        "no_window": "n/a (no such window in this test)",
        "purge": "Gap between windows",
        "horizon": "Horizon",
        "test_rows": "Test rows (snapshots)",
        "test_objects": "Distinct objects in the test",
        "test_positives": "Won rows",
        "test_positive_objects": "Objects with a win",
        "base_rate": "Base rate of the test",
        "published": "Published",
        "order_only": "{published} (no percentages)",
        "version": "Model version",
        "note": "Note",
        "intervals": "Intervals are 95 % percentile bootstrap over contacts or deals, not over rows. Windows are half "
        "open: the first day is included, the last is not. Times are UTC.",
        "read": "What was read",
        "tables": "Rows of each table",
    }
)

NAMES: Final = MappingProxyType({"contacts": "Contacts", "deals": "Deals"})
NOUNS: Final = MappingProxyType({"contacts": ("contact", "contacts"), "deals": ("deal", "deals")})
TIERS: Final = MappingProxyType({"very_high": "Very high", "high": "High", "medium": "Medium", "low": "Low"})
AGREEMENTS: Final = MappingProxyType(
    {
        "both_high": "Model and points both high",
        "model_only": "Only the model high",
        "points_only": "Only the points high",
        "both_low": "Both low",
    }
)
SPOKEN: Final = MappingProxyType(
    {
        "model": "the model",
        "point_rules": "the point rules",
        "stage_manual": "the stage probability set by hand",
        "stage_observed": "the observed stage rate",
        "base_rate": "the average rate",
    }
)
SEVERITIES: Final = MappingProxyType({"error": "Error", "warning": "Warning", "info": "Note"})
PUBLISHED: Final = MappingProxyType(
    {
        "model": "the model",
        "rules": "the point rules",
        "stage_rate": "the observed stage rate",
        "base_rate": "the average rate",
        "none": "nothing",
    }
)
METRICS: Final = MappingProxyType(
    {
        "log_loss": ("Log loss", "error of the probabilities; lower is better", 4),
        "brier": ("Brier score", "squared error of the probabilities; lower is better", 4),
        "brier_skill": ("Brier skill", "share of that error removed; higher is better, 0 is the average rate", 3),
        "auc": ("AUC", "chance that a win is ranked above a non-win; 0.5 is a coin", 3),
        "auc_within_stage": ("AUC within a stage", "the same among deals in one stage", 3),
        "auc_no_open_deal": ("AUC without open deal", "the same among contacts that have no open deal", 3),
        "lift_10": ("Lift, top 10 %", "times as many wins as a list in random order", 2),
        "lift_20": ("Lift, top 20 %", "times as many wins as a list in random order", 2),
        "capture_10": ("Wins in the top 10 %", "share of all wins that it holds", 3),
        "capture_20": ("Wins in the top 20 %", "share of all wins that it holds", 3),
        "predicted_over_observed": ("Predicted / observed", "1 is right; above 1 promises too much", 2),
    }
)
_BOTH_OUTCOMES: Final = "needs both won and not won in the test"
_WHY_NOT_AVAILABLE: Final = MappingProxyType(
    {
        "brier_skill": _BOTH_OUTCOMES,
        "auc": _BOTH_OUTCOMES,
        "auc_within_stage": "needs a stage that holds both won and not won deals, or was not measured",
        "auc_no_open_deal": "needs contacts without an open deal that were won and not won, or was not measured",
    }
)
ONLY_FOR: Final = MappingProxyType({"auc_within_stage": "deals", "auc_no_open_deal": "contacts"})
DIFFERENCE_NAMES: Final = MappingProxyType({"log_loss": "Log loss", "brier": "Brier score", "auc": "AUC"})


def why_not_available(metric: str) -> str:
    """Say why a metric has no value."""
    return _WHY_NOT_AVAILABLE.get(metric, "needs at least one win in the test")
