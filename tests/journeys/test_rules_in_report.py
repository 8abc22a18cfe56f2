"""From a small CRM to the report: a rule sheet that is the truth must be kept, and the report must say so."""

from __future__ import annotations

from models.contact_training import train_contacts
from serving.report import render_report
from tests.models.market import make_settings
from tests.models.rule_market import END, TRUTH, make_rule_market
from tests.serving.reports import make_question, make_report, part


def test_a_sheet_that_is_good_by_construction_is_kept_and_the_report_says_so() -> None:
    trained = train_contacts(tables=make_rule_market(contacts=600), as_of=END, settings=make_settings(rules=TRUTH))

    assert trained.verdict.use == "rules"
    data = trained.bundle.data
    page = render_report(
        make_report(
            make_question("contacts", evaluation=trained.bundle.evaluation, published=data.use, drivers=data.drivers)
        )
    )
    assert "Keep the rule: use your point rules for contacts." in part(page, "use")
    assert "Keep the rule: nothing learnt puts later buyers first more surely than your points do." in part(
        page, "rules"
    )
    assert "So your points are what is published." in part(page, "rules")
