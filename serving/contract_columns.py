"""The columns of the published contract, contacts and deals: what each is called, holds and means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

CONTRACT_VERSION: Final = "1.2"

Kind = Literal["text", "time", "probability", "number", "integer", "bool", "json"]

_DTYPES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "text": "str",
        "json": "str",
        "time": "datetime64[us, UTC]",
        "probability": "float64",
        "number": "float64",
        "integer": "Int64",
        "bool": "boolean",
    }
)


@dataclass(frozen=True)
class Column:
    """One column of the contract; ``stamped`` ones are filled in by the store when a batch is published.

    ``since`` is the version that added it: who publishes by an earlier one may leave it out, and it is null.
    """

    name: str
    kind: Kind
    nullable: bool
    meaning: str
    choices: tuple[str, ...] = ()
    stamped: bool = False
    since: str = "1.0"

    @property
    def dtype(self) -> Any:
        """The pandas dtype of this column in every frame that the store returns."""
        return _DTYPES[self.kind]


@dataclass(frozen=True)
class Contract:
    """The ordered columns of one question, and which of them play a part in its checks.

    ``ranges`` are triples (low, middle, high) that must be in this order wherever they are given. A row has changed
    when one of the ``material`` columns has, or its probability has passed into another step.
    """

    question: str
    object_type: str
    id_column: str
    probability: str
    columns: tuple[Column, ...]
    ranges: tuple[tuple[str, str, str], ...]
    material: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All column names, in the contract's order."""
        return tuple(column.name for column in self.columns)

    @property
    def previous(self) -> str:
        """The column that holds the probability of the batch before."""
        return next(name for name in self.names if name.startswith("previous_"))

    @property
    def explaining(self) -> tuple[str, ...]:
        """The columns that say why, for which a reader needs the right to know."""
        return tuple(column.name for column in self.columns if column.kind == "json")

    @property
    def unstamped_names(self) -> tuple[str, ...]:
        """The columns that a publisher hands in: all but ``batch_id`` and ``scored_at``."""
        return tuple(column.name for column in self.columns if not column.stamped)


def _shared(object_type: str) -> tuple[Column, ...]:
    id_column = f"{object_type}_id"
    return (
        Column("batch_id", "text", False, "The published set of scores that this row belongs to.", stamped=True),
        Column("object_type", "text", False, "What is scored.", choices=(object_type,)),
        Column(id_column, "text", False, f"The {object_type}'s identifier in the CRM."),
        Column("as_of", "time", False, "The instant up to which facts were known to the score."),
        Column("scored_at", "time", False, "When the score was computed.", stamped=True),
        Column("model_version", "text", True, "The model that gave the probability; null where nothing was scored."),
    )


def _closing(previous: str) -> tuple[Column, ...]:
    trend = f"Where it went since {previous}; null where there is none."
    return (
        Column(previous, "probability", True, "The same probability in the last batch before this as-of."),
        Column("trend", "text", True, trend, choices=("up", "steady", "down")),
        Column("base_rate", "probability", True, "The average from which the reasons start."),
        Column("reasons", "json", True, "Why: families of features with their effects, largest first."),
        Column("not_scored", "text", True, "Why there is no probability; null where there is one."),
        Column("owner_id", "text", True, "Who owns it in the CRM, as the tables said.", since="1.1"),
        Column("points_reasons", "json", True, "Which lines of the rule sheet gave how many points.", since="1.2"),
        Column("change", "json", True, f"Why it is not {previous}: facts, time, model, calibration.", since="1.2"),
    )


_POINTS: Final = Column("points", "number", True, "Total of the point rules.")
_POINTS_LIKELIHOOD: Final = Column(
    "points_likelihood", "probability", True, "The points, mapped to a probability on the same past."
)
_QUARTERS: Final = ("very_high", "high", "medium", "low")
_AGREEMENT: Final = ("both_high", "model_only", "points_only", "both_low")

_CONTACTS: Final = Contract(
    question="contacts",
    object_type="contact",
    id_column="contact_id",
    probability="close_likelihood",
    ranges=(("likelihood_low", "close_likelihood", "likelihood_high"),),
    material=("tier", "points", "points_grade", "agreement", "not_scored", "owner_id"),
    columns=(
        *_shared("contact"),
        Column("close_likelihood", "probability", True, "Calibrated probability of a won deal within the horizon."),
        Column("likelihood_low", "probability", True, "Lower end of how sure the likelihood is."),
        Column("likelihood_high", "probability", True, "Upper end of how sure the likelihood is."),
        Column(
            "tier",
            "text",
            True,
            "Which quarter of those in play it is in; also given where only the order is published.",
            choices=_QUARTERS,
        ),
        _POINTS,
        Column("points_fit", "number", True, "Points for who the contact is."),
        Column("points_engagement", "number", True, "Points for what the contact did."),
        Column("points_grade", "text", True, "The grade that the point rules give."),
        _POINTS_LIKELIHOOD,
        Column("agreement", "text", True, "Who ranks the contact high: model, points, both, neither.", _AGREEMENT),
        *_closing("previous_likelihood"),
    ),
)

_DEALS: Final = Contract(
    question="deals",
    object_type="deal",
    id_column="deal_id",
    probability="win_probability",
    ranges=(
        ("win_low", "win_probability", "win_high"),
        ("expected_close_low", "expected_close_at", "expected_close_high"),
    ),
    material=("pipeline", "stage", "amount", "stalled", "points", "not_scored", "owner_id"),
    columns=(
        *_shared("deal"),
        Column("pipeline", "text", True, "The pipeline that the deal runs in."),
        Column("stage", "text", True, "The stage that the deal is in at the as-of."),
        Column("days_in_stage", "number", True, "Days since the deal entered this stage."),
        Column("win_probability", "probability", True, "Calibrated probability that the deal is finally won."),
        Column("win_low", "probability", True, "Lower end of how sure the win probability is."),
        Column("win_high", "probability", True, "Upper end of how sure the win probability is."),
        Column("win_within_horizon", "probability", True, "Probability that the deal is won within the horizon."),
        Column("stage_probability_manual", "probability", True, "The probability set by hand for this stage."),
        Column("stage_rate_observed", "probability", True, "Share of past deals in this stage that were won."),
        Column("expected_close_at", "time", True, "When the deal is expected to close."),
        Column("expected_close_low", "time", True, "Early end of the expected close."),
        Column("expected_close_high", "time", True, "Late end of the expected close."),
        Column("amount", "number", True, "The deal's amount as the CRM states it."),
        Column("expected_value", "number", True, "Amount times win probability."),
        Column("stalled", "bool", True, "Whether the deal has stood in its stage for unusually long."),
        _POINTS,
        _POINTS_LIKELIHOOD,
        *_closing("previous_probability"),
    ),
)

CONTRACTS: Final[Mapping[str, Contract]] = MappingProxyType({"contacts": _CONTACTS, "deals": _DEALS})
