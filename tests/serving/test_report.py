"""Behaviour of serving.report: one inert file that says what to use, and why."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from serving.contract import check_rows
from serving.report import MOST_BYTES, ReportError, render_report, write_report
from serving.report_input import QuestionReport
from tests.serving.conftest import make_contact, make_deal, unscored_deal
from tests.serving.reports import (
    AS_OF,
    HOSTILE,
    SECTIONS,
    Reader,
    contact_rows,
    deal_rows,
    make_drivers,
    make_evaluation,
    make_question,
    make_reasons,
    make_report,
    part,
    pictures,
)

ANSWERS_OF_CONTACTS = ["drives", "gains", "rules", "reliability"]
ANSWERS_OF_DEALS = ["drives", "gains", "reliability"]


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(make_report())


def test_the_rows_of_these_tests_keep_the_published_contract() -> None:
    check_rows("contacts", contact_rows())
    check_rows("deals", deal_rows())


def test_the_page_is_well_formed_and_asks_for_nothing(page: str) -> None:
    reader = Reader(page)

    assert reader.open == []
    names = {tag for tag, _ in reader.tags}
    assert names.isdisjoint({"script", "iframe", "object", "embed", "img", "image", "form", "audio", "video", "base"})
    links = [value for _, attributes in reader.tags for key, value in attributes.items() if key in ("href", "src")]
    assert [link for link in links if not str(link).startswith("#")] == ["data:,"]
    assert [key for _, attributes in reader.tags for key in attributes if key.startswith("on")] == []
    assert re.findall(r"https?:|//\w|@import|@font-face|url\((?!#)|javascript:", page) == []
    assert "default-src 'none'" in page


def test_every_link_and_label_within_the_page_finds_its_target_and_ids_are_unique(page: str) -> None:
    reader = Reader(page)

    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {
        str(attributes["href"])[1:] for attributes in (*reader.of("a"), *reader.of("use")) if "href" in attributes
    }
    wanted |= {str(attributes["aria-labelledby"]) for _, attributes in reader.tags if "aria-labelledby" in attributes}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted <= set(ids)


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 400_000


def test_sections_stand_in_the_readers_order(page: str) -> None:
    reader = Reader(page)

    assert [attributes["id"] for attributes in reader.of("section")] == SECTIONS
    assert [str(attributes["href"])[1:] for attributes in reader.of("a")] == [
        "use",
        *SECTIONS,
        *ANSWERS_OF_CONTACTS,
        *ANSWERS_OF_DEALS,
    ]


def test_headings_never_skip_a_level(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(page).tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [(before, after) for before, after in pairwise(levels) if after > before + 1] == []


def test_every_table_has_a_caption_scoped_headers_and_a_named_scroll_region(page: str) -> None:
    tables = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)
    reader = Reader(page)

    assert len(tables) > 10
    assert [table for table in tables if not re.match(r"<table>\s*<caption>[^<]+</caption>", table)] == []
    assert [attributes for attributes in reader.of("th") if attributes.get("scope") not in ("row", "col")] == []
    assert page.count('class="scroll" role="region" tabindex="0" aria-label="') == len(tables)


def test_every_picture_is_valid_xml_with_a_name_for_screen_readers(page: str) -> None:
    drawn = [ElementTree.fromstring(svg) for svg in pictures(page)]

    assert len(drawn) == 2 * (1 + 6 + 1 + 1) + 2
    for svg in drawn:
        assert svg.get("role") == "img"
        title = svg.find("title")
        assert title is not None
        assert title.text
        assert title.get("id") == svg.get("aria-labelledby")


def test_the_page_names_its_language_and_fits_a_phone(page: str) -> None:
    reader = Reader(page)

    assert reader.of("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.of("meta")
    assert "@media print" in page


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = render_report(make_report()), render_report(make_report())

    assert first == second
    assert "Matplotlib" not in first


def test_the_verdict_names_the_evidence_and_what_was_scored(page: str) -> None:
    verdict = part(page, "use")

    assert "Yes: use the model’s probabilities for contacts." in verdict
    assert "Yes: use the model’s probabilities for deals." in verdict
    assert re.search(
        r"It was tried on 1,400 contacts as they stood in the past, of which \d+ were won later\. Of these the best "
        r"fifth of the list held \d\d % by the model, \d\d % by the point rules\.",
        verdict.replace("\xa0", " "),
    )
    assert (
        "240 of 243 contacts got a score. Not scored: 2 (already a customer), 1 (no activity in three years)."
        in verdict
    )
    assert "Its log loss is clearly below that of every alternative." in verdict
    assert "A win is a won deal within 90 days." in verdict
    assert "The history supports statements up to 177 days ahead; nothing beyond is promised." in verdict
    assert re.search(
        r"On 4,200 later snapshots of 1,400 contacts, the error \(log loss\) of the model was 14 % lower than that of "
        r"the point rules, the best of everything it was compared with: 0\.18\d\d against 0\.21\d\d; "
        r"the difference lies between 0\.0\d{3} and 0\.0\d{3} \(95 % interval\)\.",
        part(page, "annex").replace("\xa0", " "),
    )
    assert re.search(
        r"For every 100 wins that came, the model had predicted \d+ \(95 % interval \d+ to \d+\)\.",
        part(page, "reliability"),
    )


def test_keeping_the_rule_is_said_first_and_plainly() -> None:
    question = make_question("contacts", evaluation=make_evaluation("contacts", use="rules"), published="rules")

    page = render_report(make_report(question))

    assert "Keep the rule: use your point rules for contacts." in part(page, "use")
    assert "What is published comes from your point rules, so this shows what your points make of each fact" in part(
        page, "drives"
    )
    assert "The numbers behind the picture: Point rules" in part(page, "reliability")


def test_a_batch_that_lags_behind_the_test_says_so() -> None:
    question = make_question("deals", evaluation=make_evaluation("deals", use="stage_rate"))

    page = render_report(make_report(question))

    assert "The latest test recommends the observed stage rate; this batch still holds the model." in part(page, "use")


def test_too_few_outcomes_is_an_answer_and_every_section_says_so() -> None:
    evaluation = {
        "question": "contacts",
        "scorers": {},
        "positive_objects": 11,
        "verdict": {"use": "rules", "reasons": []},
    }
    empty = contact_rows().iloc[240:]
    question = make_question("contacts", evaluation=evaluation, published="none", drivers=[], scores=empty)

    page = render_report(make_report(question))

    assert "Too few outcomes to score contacts yet." in part(page, "use")
    for section in ("use", "gains", "reliability", "groups"):
        assert "No test was possible for contacts; the history holds 11 wins to learn from." in part(page, section)
    assert "None of these has a score" in part(page, "gains")
    assert "No drivers are shown" in part(page, "drives")
    assert "This batch’s model keeps no evidence on the rules" in part(page, "rules")
    assert pictures(page) == []
    assert [attributes["id"] for attributes in Reader(page).of("section")] == SECTIONS


@pytest.mark.parametrize("evaluation", [{}, {"scorers": {}, "protocol": {}, "differences": {}}])
def test_a_missing_evaluation_leaves_the_scores_and_says_what_is_missing(evaluation: dict[str, Any]) -> None:
    question = make_question("deals", evaluation=evaluation, published="stage_rate", stages=[], drivers=[], left_out=[])

    page = render_report(make_report(question, findings=[], table_rows={}))

    assert "Use the observed stage rate for deals" in part(page, "use")
    assert "90 of 91 deals got a score." in part(page, "use")
    assert "No test was possible for deals." in part(page, "gains")
    assert "There is no stage to compare" in part(page, "groups")
    assert "Nothing was left out." in part(page, "left-out")
    assert "The check of the data found nothing." in part(page, "left-out")


def test_a_report_without_questions_still_has_every_section() -> None:
    page = render_report(make_report(questions=()))

    assert [attributes["id"] for attributes in Reader(page).of("section")] == SECTIONS
    assert "nothing was scored" in part(page, "use")


def test_tiers_add_up_to_the_scored_contacts() -> None:
    rows = pd.DataFrame(
        [
            make_contact("1", close_likelihood=0.5, tier="very_high", agreement="both_high"),
            make_contact("2", close_likelihood=0.3, tier="very_high", agreement="model_only"),
            make_contact("3", close_likelihood=0.1, tier="low", agreement="both_low"),
        ]
    )

    told = part(render_report(make_report(make_question("contacts", scores=rows))), "gains")

    assert "Very high 2 40 % 30–50 % 0.8" in told.replace("\xa0", " ")
    assert "Low 1 10 % 10 % 0.1" in told.replace("\xa0", " ")
    disagreements = part(render_report(make_report(make_question("contacts", scores=rows))), "disagreements")
    assert "Only the model high 1 30 % 30 % 0.3" in disagreements.replace("\xa0", " ")


def test_deals_are_weighed_by_their_probabilities() -> None:
    rows = pd.DataFrame(
        [
            make_deal("a", win_probability=0.6, amount=1000.0, expected_value=600.0, stalled=False),
            make_deal("b", win_probability=0.5, amount=400.0, expected_value=200.0, stalled=True),
            make_deal("c", win_probability=1.0, amount=None, expected_value=None, stalled=None),
        ]
    )

    told = part(render_report(make_report(make_question("deals", scores=rows))), "gains").replace("\xa0", " ")

    assert "The 2 scored deals with an amount would bring 1,400 if all were won; weighed by probability, 800." in told
    assert "1 deal without an amount." in told
    assert "where deals are in several currencies, nothing was converted" in told
    assert "75–100 % 1 1.0 – – 0" in told
    assert "50–75 % 2 1.1 1,400 800 1" in told


def test_the_list_shows_at_most_ten_rows_and_three_reasons_each_way() -> None:
    page = render_report(make_report(make_question("contacts")))

    table = re.findall(r"<caption>The ten contacts.*?</table>", page, flags=re.DOTALL)[0]
    rows = re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)[1:]
    assert [re.findall(r"<bdi>(.*?)</bdi>", row) for row in rows] == [[f"{104200 + place}"] for place in range(10)]
    lists = [
        cell.count("<li>") for row in rows for cell in re.findall(r'<td class="text why" data-label=.*?</td>', row)
    ]
    assert max(lists) == 3
    assert min(lists) >= 1


def test_undefined_figures_are_named_and_explained() -> None:
    evaluation = make_evaluation("deals")
    evaluation["scorers"]["stage_manual"]["metrics"]["auc"] = {"value": None, "low": None, "high": None}
    del evaluation["scorers"]["stage_manual"]["metrics"]["lift_10"]

    told = part(render_report(make_report(make_question("deals", evaluation=evaluation))), "annex")

    assert "AUC, n/a: needs both won and not won in the test." in told
    assert "Lift, top 10 %, n/a: needs at least one win in the test." in told


def test_one_class_only_is_told_instead_of_drawn() -> None:
    evaluation = make_evaluation("deals")
    for scorer in evaluation["scorers"].values():
        scorer["metrics"] = {key: {"value": None, "low": None, "high": None} for key in scorer["metrics"]}
        scorer["gains"] = [{"share": point["share"], "captured": None} for point in scorer["gains"]]
        scorer["calibration_null"] = {"ece_95": None, "ici_95": None}
    evaluation["differences"] = {"point_rules": {"log_loss": {"value": None, "low": None, "high": None}}}

    page = render_report(make_report(make_question("deals", evaluation=evaluation)))

    assert "There was no win in the test, so no list can be judged." in part(page, "gains")
    assert "not known" in part(page, "annex")


def test_hostile_texts_are_inert_everywhere() -> None:
    evaluation = make_evaluation("deals", use="model")
    for scorer in evaluation["scorers"].values():
        scorer["label"] = HOSTILE
    evaluation["verdict"]["reasons"] = [HOSTILE]
    evaluation["protocol"]["note"] = HOSTILE
    evaluation["by"] = {"columns": ["stage"], "absent": [HOSTILE]}
    for segment in evaluation["segments"]:
        segment["value"] = HOSTILE
    drivers = make_drivers()
    for family in drivers:
        family["words"] = HOSTILE
        for feature in family["features"]:
            feature["words"] = HOSTILE
            feature["together"] = [{"feature": HOSTILE, "words": HOSTILE}]
            for each in feature["bins"]:
                each["label"] = HOSTILE
    rows = [make_deal(HOSTILE, reasons=make_reasons(0.3, 0.2, noun=HOSTILE)), unscored_deal("x", not_scored=HOSTILE)]
    question = make_question(
        "deals",
        evaluation=evaluation,
        drivers=drivers,
        model_version=HOSTILE,
        scores=pd.DataFrame(rows),
        stages=[{"pipeline": HOSTILE, "stage": HOSTILE, "open_deals": 1, "manual": 0.5, "observed": 0.3, "model": 0.4}],
        left_out=[{"table": HOSTILE, "column": HOSTILE, "reason": HOSTILE}],
        support={"pipelines": {HOSTILE: 10.0, "b": 20.0}},
        groups={"stage": [{"value": HOSTILE, "rows": 3, "mean": 0.2}]},
    )
    finding = {
        "severity": "error",
        "code": HOSTILE,
        "table": HOSTILE,
        "column": HOSTILE,
        "message": HOSTILE,
        "count": 1,
    }
    report = make_report(
        question, title=HOSTILE, batch_id=HOSTILE, source=HOSTILE, table_rows={HOSTILE: 1}, findings=[finding]
    )

    page = render_report(report)

    reader = Reader(page)
    assert reader.open == []
    assert reader.of("script") == []
    assert len(pictures(page)) == len([ElementTree.fromstring(svg) for svg in pictures(page)]) == 10
    assert len(reader.of("svg")) == 10
    assert re.findall("[\0-\x08\x0b-\x1f\u200e\u200f\u202a-\u202e\u2066-\u2069]", page) == []
    assert "jane@" not in page
    assert "\u05d0\u05d1" in page
    assert "$x$" in page


def test_endless_texts_and_lists_do_not_make_an_endless_page() -> None:
    long = "word " * 40_000
    finding = {"severity": "warning", "code": "c", "table": "t", "column": None, "message": long, "count": 2}
    line = {"table": "deals", "column": "name", "reason": long}
    stage = {"pipeline": long, "stage": long, "open_deals": 1, "manual": 0.5, "observed": 0.3, "model": None}
    question = make_question(
        "deals", left_out=[line] * 500, stages=[stage] * 200, support={"pipelines": {long: 10.0, "b": 20.0}}
    )

    page = render_report(make_report(question, findings=[finding] * 500))

    assert len(page.encode()) < MOST_BYTES
    assert "and 440 more, not shown here" in part(page, "left-out")


def test_a_page_beyond_a_megabyte_is_refused() -> None:
    rows = {f"table {place}": place for place in range(40_000)}

    with pytest.raises(ReportError, match=r"at most 1,000,000 bytes; found \d"):
        render_report(make_report(table_rows=rows))


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    write_report("<p>ü</p>\n", path)

    assert path.read_bytes() == "<p>ü</p>\n".encode()
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(ReportError, match="must be able to write to"):
        write_report("", tmp_path / "absent" / "report.html")


def rank_only_rows() -> pd.DataFrame:
    """Eight ranked contacts, two in each tier, and one customer; no probability for anybody."""
    keep = ("object_type", "as_of", "contact_id", "tier", "agreement", "points")
    left = dict.fromkeys(name for name in make_contact() if name not in keep)
    why = "rank only: the probabilities failed their calibration test"
    rows = [
        make_contact(f"c{place}", as_of=AS_OF, tier=tier, agreement=agreement) | left | {"not_scored": why}
        for place, (tier, agreement) in enumerate(
            pair
            for tier, agreement in zip(
                ("very_high", "high", "medium", "low"), ("both_high", "model_only", "both_low", "both_low"), strict=True
            )
            for pair in [(tier, agreement)] * 2
        )
    ]
    rows.append(make_contact("c8", as_of=AS_OF) | left | {"tier": None, "agreement": None, "points": None})
    return pd.DataFrame([*rows[:-1], rows[-1] | {"not_scored": "already a customer"}])


def rank_only_question(question: str = "contacts", **changed: Any) -> QuestionReport:
    evaluation = make_evaluation(question)
    evaluation["verdict"]["reasons"] = [
        "it beats the point rules, the best that could be published instead",
        "its order may be used, its percentages may not: it predicted 1.40 times the wins that came",
    ]
    given: dict[str, Any] = {"evaluation": evaluation, "scores": rank_only_rows(), "calibrated": False}
    return make_question(question, **(given | changed))


def test_a_model_whose_percentages_failed_is_used_for_its_order_only() -> None:
    check_rows("contacts", rank_only_rows())

    page = render_report(make_report(rank_only_question()))

    verdict = part(page, "use")
    assert "Use the model’s order for contacts, not its percentages." in verdict
    assert "Yes: use the model’s probabilities" not in verdict
    assert "Its order may be used, its percentages may not: it predicted 1.40 times the wins that came." in verdict
    assert "8 contacts ranked 1 contacts not ranked" in " ".join(
        " ".join(reversed(re.findall(r"<d[td]>(.*?)</d[td]>", tile)))
        for tile in re.findall(r"<div><dt>contacts .*?</div>", page)
    )
    assert "8 of 9 contacts got a tier. Not ranked: 1 (already a customer)." in verdict
    assert "average probability" not in verdict


def test_without_percentages_what_was_scored_shows_tiers_with_counts_and_no_probability() -> None:
    told = part(render_report(make_report(rank_only_question())), "gains").replace("\xa0", " ")

    assert "Tier Contacts Share of the ranked Very high 2 25 % High 2 25 % Medium 2 25 % Low 2 25 %" in told
    assert "Model and points both high 2 25 % Only the model high 2 25 % Only the points high 0 0 %" in told
    assert "robability" not in told
    assert "Expected wins" not in told
    assert "Work the tiers from the top." in told


def test_without_percentages_reliability_says_no_and_drivers_name_their_own_scale() -> None:
    page = render_report(make_report(rank_only_question()))

    assert "No. The percentages of the model failed this test, so none is published." in part(page, "reliability")
    assert re.search(r'<svg[^>]*aria-labelledby="contacts-reliability-title"', page)
    assert "the percentage points here are the model’s own scale" in part(page, "drives")
    assert "the model (no percentages)" in part(page, "annex")


def test_with_percentages_nothing_speaks_of_a_failed_test(page: str) -> None:
    told = Reader(page).words

    assert "failed" not in told.replace("that failed", "")
    assert "model’s own scale" not in told
    assert "no percentages" not in told


def test_the_order_of_the_points_may_be_published_without_percentages() -> None:
    by_points = render_report(make_report(rank_only_question(published="rules")))
    nobody_ranked = render_report(
        make_report(rank_only_question(published="base_rate", scores=rank_only_rows().assign(points=None)))
    )

    assert "Use the order of your point rules for contacts, not their percentages." in part(by_points, "use")
    assert "Use no percentage for contacts today: none is published." in part(nobody_ranked, "use")
    assert "0 of 9 contacts got a tier." in part(nobody_ranked, "use")
    assert "Very high" not in part(nobody_ranked, "gains")


def test_deals_have_no_tiers_so_without_percentages_nothing_is_published() -> None:
    rows = pd.DataFrame([unscored_deal("x", as_of=AS_OF, not_scored="rank only: the test failed")])

    page = render_report(make_report(rank_only_question("deals", scores=rows)))

    assert "Use no percentage for deals today: none is published." in part(page, "use")
    assert "Not ranked: 1 (only their order is published)." in part(page, "use")
    assert "No probability is published, as the percentages failed their test." in part(page, "gains")


def test_one_rate_for_all_makes_no_list_of_the_most_likely() -> None:
    rows = pd.DataFrame([make_contact("1", close_likelihood=0.05, points=None), make_contact("2", points=None)])

    told = part(render_report(make_report(make_question("contacts", scores=rows, published="base_rate"))), "gains")

    assert "All have the same probability" in told
    assert "Very high" not in told
    assert "The ten contacts" not in told


def test_the_model_version_stands_in_the_annex_only(page: str) -> None:
    assert "contacts-7" in part(page, "annex")
    assert "contacts-7" not in part(page, "use")


def test_the_range_beside_a_probability_is_told_as_how_sure_and_not_as_a_95_percent_interval(page: str) -> None:
    told = part(page, "gains").replace("\xa0", " ")

    assert "Probability how sure" in told
    assert "a Venn-Abers range, not a 95 % interval" in told
    assert "how sure 95 %" not in told


def test_families_that_move_next_to_nothing_are_named_but_not_drawn() -> None:
    drivers = [
        {"family": "profile", "words": "who they are", "mean_abs_effect": 0.12, "features": []},
        {"family": "past", "words": "what came before", "mean_abs_effect": 0.06, "features": []},
        {"family": "stage", "words": "the open deal", "mean_abs_effect": 0.0, "features": []},
    ]

    page = render_report(make_report(make_question("contacts", drivers=drivers)))

    drawn = re.findall(r'<svg[^>]*aria-labelledby="contacts-families-title".*?</svg>', page, flags=re.DOTALL)[0]
    assert "what came before" in drawn
    assert "the open deal" not in drawn
    assert "0.00" not in part(page, "drives")
    assert "Not drawn: “the open deal”, which moves it by less than 0.01 pp." in part(page, "drives")


def test_a_yardstick_that_is_never_published_is_named_as_one() -> None:
    evaluation = make_evaluation("deals")
    evaluation["scorers"]["naive_bayes"]["metrics"]["log_loss"]["value"] = 0.01

    told = part(render_report(make_report(make_question("deals", evaluation=evaluation))), "annex")

    assert (
        "naive Bayes, the best of everything it was compared with (a yardstick that is never published "
        "itself): " in told
    )


def test_what_was_left_out_for_one_reason_stands_on_one_line() -> None:
    left_out = [
        {"table": "contacts", "column": "age", "reason": "no history"},
        {"table": "contacts", "column": "email", "reason": "personal data"},
        {"table": "contacts", "column": "marital", "reason": "no history"},
        {"table": "companies", "column": None, "reason": "no such table"},
        {"table": "owners", "column": None, "reason": "no such table"},
    ]

    told = part(render_report(make_report(make_question("contacts", left_out=left_out))), "left-out")

    assert "contacts age, marital No history. contacts email Personal data." in told
    assert "companies, owners whole tables No such table." in told
