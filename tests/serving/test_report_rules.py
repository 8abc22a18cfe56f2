"""What the report says of a rule sheet: keep it, mend it, or do not work by it, and which rule is worth least."""

from __future__ import annotations

from typing import Any

from serving.report_language import language
from serving.report_rules import MOST_RULES, rules_view
from tests.serving.reports import make_rule, make_rules

EN = language("en")


def order(auc: float) -> dict[str, Any]:
    around = {"value": auc, "low": auc - 0.03, "high": auc + 0.03}
    return {"auc": around, "auc_no_open_deal": around, "capture": around}


def said(*, advice: str, manual: float, published: str = "model", **changed: Any) -> str:
    evidence = make_rules(advice=advice, **changed)
    evidence["test"]["metrics"]["manual"] = order(manual)
    return " ".join(rules_view(EN, {"rules": evidence}, published=published).said)


def test_a_sheet_that_nothing_beats_is_kept() -> None:
    told = said(advice="keep", manual=0.7, published="rules")

    assert told.startswith("Keep the rule: nothing learnt puts later buyers first more surely than your points do.")
    assert "So your points are what is published." in told
    assert "above another contact in 70 of 100 pairs (95 %: 67 to 73; 50 would be chance)" in told


def test_a_sheet_that_puts_buyers_last_is_never_recommended() -> None:
    for advice in ("keep", "adopt", "model"):
        told = said(advice=advice, manual=0.4)
        assert told.startswith("Do not work by these points: they put later buyers at the end of the list.")
        assert "worse than a random list" in told
        assert "Keep the rule" not in told


def test_a_sheet_that_is_no_better_than_chance_is_told_so() -> None:
    assert said(advice="keep", manual=0.51).startswith(
        "Neither your points nor anything learnt puts later buyers first"
    )


def test_a_model_that_is_surely_better_is_said_to_be() -> None:
    assert said(advice="model", manual=0.7).startswith(
        "The model puts later buyers first more surely than your points do"
    )
    assert said(advice="adopt", manual=0.7).startswith("Keep the rules, change their points")


def test_without_later_outcomes_the_rule_stays_for_the_time_being() -> None:
    evidence = make_rules(advice="untested", test=None, not_tested="200 days are too short")

    view = rules_view(EN, {"rules": evidence}, published="rules")

    assert view.said[0] == "Keep the rule until later outcomes can judge it: 200 days are too short."
    assert view.orders == ()


def test_the_rule_worth_least_is_the_one_whose_points_the_past_supports_least() -> None:
    rules = [make_rule("Dear", 30, 3), make_rule("Cheap", 5, 4), make_rule("Never", 50), make_rule("Fair", 10, 10)]

    view = rules_view(EN, {"rules": make_rules(*rules)}, published="model")

    # 3 of 30 is a tenth, 4 of 5 is most; what never fired does no harm.
    assert view.least == (
        "The rule worth least is “Dear”: you give 30 points, and the past supports 3 (95 %: \N{MINUS SIGN}1 to 7)."
    )


def test_where_nothing_could_be_priced_the_dearest_rule_that_never_fired_is_named() -> None:
    view = rules_view(EN, {"rules": make_rules(make_rule("A", 10), make_rule("B", 40))}, published="model")

    assert view.least == "The rule worth least is “B”: you give 40 points, and it never fired."
    assert rules_view(EN, {"rules": make_rules(advice="keep") | {"criteria": []}}, published="model").least == (
        "Which rule is worth least cannot be told: no rule could be priced."
    )


def test_mispriced_silent_and_doubled_rules_are_named() -> None:
    rules = [
        make_rule("Too dear", 30, 3, mispriced=1),
        make_rule("Too cheap", 5, 20, mispriced=-1),
        make_rule("Twin", 10, 9, same_as=["Other twin"]),
        make_rule("Sent a fax", 10),
        make_rule("Title", 10, why_not="no history: the table shows today's value", held=40),
    ]

    view = rules_view(EN, {"rules": make_rules(*rules)}, published="model")

    told = " ".join(view.said)
    assert (
        "2 of 3 rules that could be priced lie outside what the past supports: “Too dear” (too many), “Too cheap” (too"
        in told
    )
    assert "Never fired, and so worth nothing so far: “Sent a fax”." in told
    assert "Cannot be replayed on the past, and so could not be priced: “Title”." in told
    assert [line.remark for line in view.lines] == [
        "too many", "too few", "fits; nearly the same as “Other twin”", "never fired", "cannot be replayed",
    ]  # fmt: skip


def test_a_long_sheet_is_cut_and_counted() -> None:
    rules = [make_rule(f"Rule {number}", 5, 5) for number in range(MOST_RULES + 3)]

    view = rules_view(EN, {"rules": make_rules(*rules)}, published="model")

    assert (len(view.lines), view.more) == (MOST_RULES, 3)


def test_without_a_sheet_or_a_past_the_section_says_why() -> None:
    assert "No rule sheet is configured" in rules_view(EN, {"rules": None}, published="model").why_not
    assert "the next training will" in rules_view(EN, {}, published="model").why_not
    nothing = make_rules(why_not="none of the 40 contacts won", criteria=[], test=None)
    assert "none of the 40 contacts won" in rules_view(EN, {"rules": nothing}, published="model").why_not
