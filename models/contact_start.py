"""What a training of the contact question begins with: what was known, since when, and what the audit found in it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.tables import CrmTables
from features.visibility import as_known_at
from models.audit import Audit
from models.audit_questions import audit_contacts
from models.contact_fit import ContactInputs
from models.training import NothingToLearnError, TrainingSettings, first_fact, in_id_order


def contact_inputs(settings: TrainingSettings) -> ContactInputs:
    """Pick the settings that the contact question needs."""
    return ContactInputs(
        horizon_days=settings.horizon_days,
        snapshots=settings.snapshots,
        features=settings.features,
        properties=settings.properties,
        contacts=settings.contacts,
        ladder=settings.ladder,
        rules=settings.rules,
        audit=settings.audit,
    )


@dataclass(frozen=True)
class ContactStart:
    """What a training begins with: what was known, since when, and what the audit found in it."""

    known: CrmTables
    first: pd.Timestamp
    inputs: ContactInputs
    audit: Audit


def audit_of_contacts(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> Audit:
    """Audit what a training as of ``as_of`` would learn from."""
    return start_contacts(tables=tables, as_of=as_of, settings=settings).audit


def start_contacts(*, tables: CrmTables, as_of: pd.Timestamp, settings: TrainingSettings) -> ContactStart:
    """Gather what a training begins with; raises ``NothingToLearnError`` without any contacts to learn from."""
    known = in_id_order(as_known_at(tables, as_of=as_of))
    if not len(known["contacts"]):
        raise NothingToLearnError(
            question="contacts",
            found=f"no contact was created before {as_of.isoformat()}",
            need="Choose a later as-of.",
        )
    inputs = contact_inputs(settings)
    first = first_fact(known, question="contacts")
    audit = audit_contacts(
        known=known,
        as_of=as_of,
        first=first,
        inputs=inputs,
        replicates=settings.bootstrap_replicates,
        seed=settings.seed,
    )
    return ContactStart(known=known, first=first, inputs=inputs, audit=audit)
