"""What can be chosen from in the simulated market: pipelines with their stages, and the values of properties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

DAY_SECONDS: Final = 86_400

NEVER: Final = 10**9
"""A day or second that does not come."""

NONE: Final = -1
"""The index of nothing: no company, no second contact, no deal."""


@dataclass(frozen=True)
class StageSpec:
    """One stage as the CRM shows it, and the daily rates at which a neutral deal leaves it."""

    pipeline: str
    stage: str
    label: str
    outcome: Literal["open", "won", "lost"]
    probability: float
    win: float = 0.0
    lose: float = 0.0
    forward: float = 0.0


NEW_BUSINESS: Final = "default"
MACHINES: Final = "machines"

# The id "closedwon" is an open stage here, as in accounts whose admin relabelled HubSpot's default stages.
STAGES: Final = (
    StageSpec(NEW_BUSINESS, "appointmentscheduled", "First meeting", "open", 0.20, 0.0, 0.017, 0.085),
    StageSpec(NEW_BUSINESS, "qualifiedtobuy", "Qualified", "open", 0.40, 0.0007, 0.014, 0.075),
    StageSpec(NEW_BUSINESS, "presentationscheduled", "Presentation", "open", 0.60, 0.0025, 0.012, 0.065),
    StageSpec(NEW_BUSINESS, "decisionmakerboughtin", "Decision maker on board", "open", 0.80, 0.006, 0.011, 0.060),
    StageSpec(NEW_BUSINESS, "closedwon", "Proposal sent", "open", 0.90, 0.011, 0.012, 0.055),
    StageSpec(NEW_BUSINESS, "contractsent", "Contract sent", "open", 0.90, 0.038, 0.014, 0.0),
    StageSpec(NEW_BUSINESS, "3419822", "Signed", "won", 1.0),
    StageSpec(NEW_BUSINESS, "closedlost", "No deal", "lost", 0.0),
    StageSpec(MACHINES, "88120410", "Needs analysis", "open", 0.10, 0.0, 0.0040, 0.018),
    StageSpec(MACHINES, "88120411", "Site visit", "open", 0.25, 0.00015, 0.0036, 0.015),
    StageSpec(MACHINES, "technicalclearing", "Technical clearing", "open", 0.40, 0.0005, 0.0036, 0.0135),
    StageSpec(MACHINES, "88120413", "Budget approval", "open", 0.60, 0.0015, 0.0032, 0.012),
    StageSpec(MACHINES, "88120415", "Final negotiation", "open", 0.80, 0.0080, 0.0032, 0.0),
    StageSpec(MACHINES, "88120417", "Order received", "won", 1.0),
    StageSpec(MACHINES, "88120418", "Discontinued", "lost", 0.0),
)


@dataclass(frozen=True)
class Choices:
    """The values of a property, how common each is, and how much each adds to the quality of a lead."""

    values: tuple[str, ...]
    shares: tuple[float, ...]
    effects: tuple[float, ...]

    def draw(self, rng: np.random.Generator, size: int) -> Integers:
        """Draw positions in ``values``."""
        shares = np.array(self.shares)
        return rng.choice(len(shares), size=size, p=shares / shares.sum())


INDUSTRIES: Final = Choices(
    ("machinery", "software", "logistics", "health", "retail", "education"),
    (0.22, 0.24, 0.16, 0.14, 0.16, 0.08),
    (0.35, 0.25, 0.05, 0.0, -0.25, -0.5),
)
COUNTRIES: Final = Choices(
    ("DE", "AT", "CH", "NL", "FR", "US"), (0.46, 0.1, 0.1, 0.12, 0.12, 0.1), (0.15, 0.1, 0.2, 0, -0.15, -0.35)
)
EMPLOYEE_BANDS: Final = Choices(
    ("1-9", "10-49", "50-249", "250-999", "1000+"), (0.26, 0.3, 0.24, 0.13, 0.07), (-0.5, -0.1, 0.25, 0.3, 0.1)
)
JOB_LEVELS: Final = Choices(
    ("student", "specialist", "manager", "director", "c_level"),
    (0.07, 0.38, 0.3, 0.16, 0.09),
    (-1.2, -0.2, 0.15, 0.4, 0.3),
)
SOURCES: Final = Choices(
    ("website", "event", "referral", "outbound", "partner"), (0.42, 0.18, 0.1, 0.2, 0.1), (0.1, -0.1, 0.5, -0.3, 0.2)
)
LATE_SOURCE_SHARES: Final = (0.32, 0.14, 0.07, 0.33, 0.14)
"""The source mix of contacts created in the last third of the history: more outbound, fewer referrals."""
