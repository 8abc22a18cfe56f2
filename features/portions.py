"""Tables with those activities that something rests on: as many as fit, or as a training reads."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from features.catalogue import Question
from features.partitions import contact_partitions, contacts_of_deals, sample_of_contacts
from features.snapshots import SnapshotSettings
from features.tables import CrmTables
from features.warehouse import ActivityWarehouse


def contact_tables(
    tables: CrmTables, warehouse: ActivityWarehouse, *, at_most: int
) -> Iterator[tuple[pd.Index, CrmTables]]:
    """Yield partitions of the contacts, each with tables that hold all activities of these contacts, and so many."""
    partitions = contact_partitions(tables=tables, rows=warehouse.rows_of_contacts(), at_most=at_most)
    for contacts in partitions:
        if len(partitions) == 1:
            yield contacts, tables.with_activities(warehouse.read())
        else:
            yield contacts, tables.with_activities(warehouse.read(contacts=contacts), complete_for=contacts)


def deal_tables(tables: CrmTables, warehouse: ActivityWarehouse, *, at_most: int) -> CrmTables:
    """Return tables with all activities if these are not too many, else with those that features of deals rest on."""
    if warehouse.rows() <= at_most:
        return tables.with_activities(warehouse.read())
    contacts = contacts_of_deals(tables)
    return tables.with_activities(warehouse.read(contacts=contacts, of_deals=True), complete_for=contacts)


def training_tables(
    tables: CrmTables, warehouse: ActivityWarehouse, *, question: Question, settings: SnapshotSettings
) -> CrmTables:
    """Return what a training reads: everything, or of too many activities those of deals, or of a sample of contacts.

    That hangs on the settings and the data alone: the same training on another machine is the same training.
    """
    if question == "deals" or warehouse.rows() <= settings.max_activities:
        return deal_tables(tables, warehouse, at_most=settings.max_activities)
    contacts = sample_of_contacts(
        tables=tables, rows=warehouse.rows_of_contacts(), at_most=settings.max_activities, seed=settings.seed
    )
    return tables.with_activities(warehouse.read(contacts=contacts), complete_for=contacts)
