"""All columns of the contact question."""

from __future__ import annotations

import numpy as np

from features.company_columns import company_columns
from features.company_features import Own
from features.contact_features import Column, closings_of_contacts, deals_of_contacts, open_deals, past_deals, tenure
from features.engines.engine import behaviour_engine
from features.matrix_inputs import MatrixInputs
from features.property_columns import property_columns
from features.season import season


def contact_columns(inputs: MatrixInputs) -> dict[str, Column]:
    """Return every feature of contacts at each snapshot, and perhaps some that the contract does not name."""
    tables, timelines, objects, as_of = inputs.tables, inputs.timelines, inputs.objects, inputs.as_of
    columns = behaviour_engine().activity_columns(inputs)
    columns |= property_columns(inputs)
    columns |= season(as_of)
    columns |= tenure(contacts=tables["contacts"], objects=objects, as_of=as_of)
    columns |= open_deals(tables=tables, timelines=timelines, contact_ids=inputs.ids, objects=objects, as_of=as_of)
    closings = closings_of_contacts(tables=tables, timelines=timelines, contact_ids=inputs.ids)
    columns |= past_deals(closings=closings, objects=objects, as_of=as_of)
    own_deals = deals_of_contacts(tables=tables, timelines=timelines, contact_ids=inputs.ids).join(objects)
    return columns | company_columns(
        inputs, own_contacts=Own(np.arange(len(objects)), objects), own_deals=Own(*own_deals)
    )
