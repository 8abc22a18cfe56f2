"""Columns of the company behind each snapshot, where a link to it may be used."""

from __future__ import annotations

import numpy as np

from features.company_features import Own, colleagues, company_deals
from features.contact_features import Column
from features.deal_features import first_contacts
from features.matrix_inputs import MatrixInputs
from features.memberships import CompanyLinks, company_links
from features.property_columns import company_property_columns
from features.visibility import Int64Array


def company_columns(inputs: MatrixInputs, *, own_contacts: Own, own_deals: Own) -> dict[str, Column]:
    """Return everything about each snapshot's company but what is the snapshot's own."""
    contract = inputs.contract
    if not contract.company_links:
        return {}
    links = company_links(
        tables=inputs.tables,
        links=contract.company_links,
        deal_ids=inputs.timelines.deal_ids,
        contact_of_deal=first_contacts(tables=inputs.tables, timelines=inputs.timelines),
    )
    companies = _companies(inputs, links)
    columns = company_property_columns(inputs, company_ids=links.company_ids, companies=companies)
    if links.deals is not None:
        columns |= company_deals(
            members=links.deals,
            timelines=inputs.timelines,
            companies=companies,
            as_of=inputs.as_of,
            own=own_deals,
            company_count=len(links.company_ids),
        )
    if links.contacts is not None and contract.windows_days:
        columns |= colleagues(
            members=links.contacts,
            activity=inputs.contact_activities.stream,
            companies=companies,
            as_of=inputs.as_of,
            own=own_contacts,
            company_count=len(links.company_ids),
            windows_days=contract.windows_days,
        )
    return columns


def _companies(inputs: MatrixInputs, links: CompanyLinks) -> Int64Array:
    members = links.contacts if inputs.contract.question == "contacts" else links.deals
    if members is None:
        return np.full(len(inputs.objects), -1)
    return members.at(objects=inputs.objects, as_of=inputs.as_of)
