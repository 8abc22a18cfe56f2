"""The lines of the catalogue: one for each feature, or for each pattern of features.

A name with a placeholder stands for one feature per kind of activity, direction, outcome, window or property, which
come from the data. To add a feature, add a line here and return its column from the function that computes its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

Question = Literal["contacts", "deals"]
Unit = Literal["count", "days", "money", "ratio", "share", "number", "category"]
Spans = Literal["windows", "longest window", "half-lives", "trend"]

FAMILY_WORDS: Final[dict[str, str]] = {
    "profile": "who they are",
    "their_activity": "what they did",
    "our_activity": "what we did",
    "activity": "what happened",
    "recency": "how recently something happened",
    "open_deal": "the open deal",
    "past": "what came before",
    "stage": "where the deal stands",
    "pace": "how long things take, and when",
    "value": "the amount and the expected close date",
    "people": "who is involved",
}
"""The business families that reasons are grouped into, in a salesperson's words.

No question has more than nine: exact Shapley values cost twice as much with every further family.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the catalogue.

    ``name`` and ``words`` may hold ``{kind}``, ``{outcome}``, ``{direction}``, ``{days}`` or ``{property}``; ``spans``
    says which days. ``known`` says which time gates it. ``family`` is ``by_direction`` where it depends on who usually
    does that kind of activity; ``deal_family`` stands in for it in the deal question. ``needs`` names what the tables
    must offer. ``missing`` is what a person reads where there is no value.
    """

    name: str
    family: str
    unit: Unit
    words: str
    source: str
    known: str
    questions: tuple[Question, ...] = ("contacts", "deals")
    needs: tuple[str, ...] = ()
    spans: Spans = "windows"
    deal_family: str | None = None
    missing: str = "unknown"

    def family_of(self, question: Question) -> str:
        """Return the family under a question, or ``by_direction``."""
        return self.deal_family if question == "deals" and self.deal_family else self.family


_ACTED: Final = "later of occurred_at and known_at"
_ENTERED: Final = "later of entered_at and known_at"
_HISTORY: Final = "known_at of the property's history, or creation if vouched for"
_LINKED: Final = "later of the fact itself and the link to the company being known"

_activity = partial(Entry, source="activities", known=_ACTED, needs=("activities",))
_direction = partial(Entry, source="activities.direction", known=_ACTED, needs=("directions",))
_outcome = partial(Entry, source="activities.outcome", known=_ACTED, needs=("outcomes",))
_property = partial(Entry, name="property_{property}", family="profile", unit="category", needs=("properties",))
_calendar = partial(Entry, family="pace", unit="category", source="the as-of", known="the as-of itself")
_company = partial(Entry, family="people", unit="count", known=_LINKED, needs=("contact_company",))
_company_deal = partial(
    Entry,
    family="people",
    unit="count",
    source="deal_stage_history, company_id",
    known=_LINKED,
    needs=("deal_company",),
)
_past = partial(Entry, family="past", deal_family="people", known=_ENTERED, needs=("deal_contacts",))
_open_deal = partial(
    Entry,
    family="open_deal",
    source="deal_stage_history, deal_contacts",
    known=_ENTERED,
    questions=("contacts",),
    needs=("deal_contacts",),
    missing="no open deal",
)
_stage = partial(Entry, family="stage", source="deal_stage_history, stages", known=_ENTERED, questions=("deals",))
_pace = partial(Entry, family="pace", unit="days", source="deal_stage_history", known=_ENTERED, questions=("deals",))
_amount = partial(Entry, family="value", source="deals.amount", known=_HISTORY, questions=("deals",), needs=("amount",))
_close_date = partial(
    Entry,
    family="value",
    source="deals.expected_close_at",
    known=_HISTORY,
    questions=("deals",),
    needs=("expected_close_at",),
)
_people = partial(Entry, family="people", questions=("deals",))

CATALOGUE: Final[tuple[Entry, ...]] = (
    _activity(name="{kind}_{days}d", family="by_direction", unit="count", words="{kind} in the last {days} days"),
    _activity(name="{kind}_total", family="by_direction", unit="count", words="{kind} so far"),
    _activity(
        name="days_since_{kind}", family="recency", unit="days", words="days since the last {kind}", missing="never"
    ),
    _outcome(
        name="{kind}_{outcome}_total", family="by_direction", unit="count", words="{kind} that ended as {outcome}"
    ),
    _direction(
        name="{direction}_{days}d", family="by_direction", unit="count", words="{direction} in the last {days} days"
    ),
    _direction(name="{direction}_total", family="by_direction", unit="count", words="{direction} so far"),
    _direction(
        name="days_since_{direction}",
        family="recency",
        unit="days",
        words="days since the last of {direction}",
        missing="never",
    ),
    _direction(
        name="warmth_{direction}_{days}d",
        family="recency",
        unit="number",
        words="{direction} so far, fading by half every {days} days",
        spans="half-lives",
    ),
    _direction(
        name="inbound_share_{days}d",
        family="activity",
        unit="share",
        words="share of theirs in the activities of the last {days} days",
        spans="longest window",
        missing="nothing happened",
    ),
    _activity(
        name="kinds_used_{days}d",
        family="activity",
        unit="count",
        words="different kinds of activity in the last {days} days",
        spans="longest window",
    ),
    _activity(
        name="main_kind_share_{days}d",
        family="activity",
        unit="share",
        words="share of the most frequent kind in the activities of the last {days} days",
        spans="longest window",
        missing="nothing happened",
    ),
    _activity(
        name="trend_{days}d",
        family="recency",
        unit="share",
        words="share of the last {days} days in the activities of these and the {days} days before",
        spans="trend",
        missing="nothing happened",
    ),
    _activity(
        name="days_since_any", family="recency", unit="days", words="days since anything happened", missing="never"
    ),
    _activity(
        name="warmth_{days}d",
        family="recency",
        unit="number",
        words="activity so far, fading by half every {days} days",
        spans="half-lives",
    ),
    _activity(
        name="active_days_{days}d", family="recency", unit="count", words="days with activity in the last {days} days"
    ),
    _activity(name="last_kind", family="recency", unit="category", words="what happened last", missing="nothing yet"),
    _activity(
        name="first_kind",
        family="past",
        deal_family="people",
        unit="category",
        words="what happened first",
        missing="nothing yet",
    ),
    _activity(
        name="days_since_first",
        family="past",
        deal_family="people",
        unit="days",
        words="days since anything happened for the first time",
        missing="never",
    ),
    _activity(
        name="working_hours_share",
        family="pace",
        unit="share",
        words="share of the activities that fell in working hours",
        missing="nothing happened",
    ),
    _direction(
        name="their_last_answer_days",
        family="pace",
        unit="days",
        words="days their last answer took",
        missing="none yet",
    ),
    _direction(
        name="their_mean_answer_days",
        family="pace",
        unit="days",
        words="days they take to answer, on average",
        missing="no answer yet",
    ),
    _direction(
        name="our_last_answer_days", family="pace", unit="days", words="days our last answer took", missing="none yet"
    ),
    _direction(
        name="our_mean_answer_days",
        family="pace",
        unit="days",
        words="days we take to answer, on average",
        missing="no answer yet",
    ),
    _direction(
        name="waiting_for_them_days",
        family="pace",
        unit="days",
        words="days we have been waiting for them",
        missing="not waiting",
    ),
    _direction(
        name="waiting_for_us_days",
        family="pace",
        unit="days",
        words="days they have been waiting for us",
        missing="not waiting",
    ),
    _calendar(name="month", words="month of the year", needs=("seasons",)),
    _calendar(name="weekday", words="day of the week", needs=("seasons",)),
    Entry(
        name="tenure_days",
        family="past",
        deal_family="people",
        unit="days",
        words="days since the contact was created",
        source="contacts",
        known="created_at",
        needs=("contacts",),
    ),
    _property(words="{property}", source="property_history or vouched column", known=_HISTORY),
    _property(
        name="company_property_{property}",
        words="{property} of the company",
        source="property_history or vouched column of companies, company_id",
        known="later of the property and the link to the company being known",
    ),
    _company(name="colleagues", words="other contacts at the company", source="contacts.company_id"),
    _company(
        name="colleagues_active_{days}d",
        words="other contacts at the company active in the last {days} days",
        source="activities, contacts.company_id",
        spans="longest window",
        needs=("activities", "contact_company"),
    ),
    _company(
        name="colleague_activity_{days}d",
        words="activities of other contacts at the company in the last {days} days",
        source="activities, contacts.company_id",
        needs=("activities", "contact_company"),
    ),
    _company_deal(name="company_open_deals", words="other open deals at the company"),
    _company_deal(name="company_won_deals", words="other deals the company signed before"),
    _company_deal(name="company_lost_deals", words="other deals lost at the company before"),
    _open_deal(name="open_deals", unit="count", words="open deals"),
    _open_deal(name="open_deal_position", unit="share", words="how far the open deal has come (0 first stage, 1 last)"),
    _open_deal(name="open_deal_days_in_stage", unit="days", words="days the open deal has been in its stage"),
    _open_deal(name="open_deal_age_days", unit="days", words="days since the open deal began"),
    _past(name="lost_deals", unit="count", words="deals lost before", source="deal_stage_history, deal_contacts"),
    _past(
        name="won_deals",
        unit="count",
        words="deals won before",
        source="deal_stage_history, deal_contacts",
        questions=("deals",),
    ),
    _past(
        name="days_since_lost",
        unit="days",
        words="days since a deal was lost",
        source="deal_stage_history, deal_contacts",
        missing="never",
    ),
    _stage(name="pipeline", unit="category", words="pipeline"),
    _stage(name="stage", unit="category", words="stage"),
    _stage(name="stage_position", unit="share", words="how far the deal has come (0 first stage, 1 last)"),
    _stage(name="furthest_position", unit="share", words="how far the deal had ever come (0 first stage, 1 last)"),
    _stage(name="stages_passed", unit="count", words="stage changes so far"),
    _stage(name="times_moved_back", unit="count", words="times it moved back a stage"),
    _stage(name="times_reopened", unit="count", words="times it was re-opened"),
    _pace(name="days_in_stage", words="days in this stage"),
    _pace(name="age_days", words="days since the deal began"),
    _pace(name="days_per_stage", words="days taken per stage so far"),
    _activity(
        name="activity_in_stage",
        family="pace",
        unit="count",
        words="activities since it entered this stage",
        questions=("deals",),
    ),
    _amount(name="amount", unit="money", words="amount"),
    _amount(name="amount_changes", unit="count", words="changes of the amount"),
    _amount(name="amount_ratio", unit="ratio", words="amount compared with the first one named"),
    _close_date(name="days_to_expected_close", unit="days", words="days until the expected close date"),
    _close_date(name="close_date_changes", unit="count", words="times the expected close date was moved"),
    _close_date(name="close_date_slip_days", unit="days", words="days the expected close date has slipped"),
    _people(
        name="contacts_count",
        unit="count",
        words="contacts on the deal",
        source="deal_contacts",
        known="created_at of the deal and of the contact",
        needs=("deal_contacts",),
    ),
    _people(
        name="owner_win_rate",
        unit="share",
        words="share of the owner's closed deals that were won",
        source="deal_stage_history, deals.owner_id",
        known=_ENTERED,
        needs=("owner_id",),
    ),
    _people(
        name="owner_closed",
        unit="count",
        words="deals the owner has closed before",
        source="deal_stage_history, deals.owner_id",
        known=_ENTERED,
        needs=("owner_id",),
    ),
    _people(
        name="last_actor_win_rate",
        unit="share",
        words="share won among closed deals of the colleague who acted last",
        source="activities.owner_id, deal_stage_history",
        known=_ACTED,
        needs=("actors",),
    ),
)
