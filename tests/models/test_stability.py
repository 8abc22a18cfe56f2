from __future__ import annotations

import pandas as pd
import pytest

from features.tables import CrmTables
from features.visibility import as_known_at
from models.contact_proof import prove_contacts
from models.contact_start import contact_inputs
from models.cutoffs import plan_cutoffs
from models.deal_fit import support_buckets
from models.deal_proof import prove_deals
from models.deal_training import deal_inputs
from models.refit import contact_refitter, deal_refitter
from models.stability import stability
from models.training import first_fact, in_id_order
from tests.models.market import make_settings


@pytest.fixture(scope="module")
def known(market: CrmTables, as_of: pd.Timestamp) -> CrmTables:
    return in_id_order(as_known_at(market, as_of=as_of))


def test_plain_signs_lead_to_the_same_list_and_reasons_again(known: CrmTables, as_of: pd.Timestamp) -> None:
    settings = make_settings()
    inputs, first = contact_inputs(settings), first_fact(known, question="contacts")
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=90.0, settings=settings.split)
    proof = prove_contacts(tables=known, cutoffs=cutoffs, first=first, inputs=inputs, calibration=settings.calibration)
    assert proof is not None

    refitter = contact_refitter(tables=known, fit=proof.past, inputs=inputs)
    assert refitter is not None

    found, again = (
        stability(refitter=refitter, sample=proof.matrix.features, pipelines=None, refits=2, seed=1) for _ in range(2)
    )

    assert found == again
    assert (found.refits, found.rows) == (2, min(1000, len(proof.matrix.features)))
    assert 0.5 < found.top_family <= 1.0
    assert 0.5 < found.top_feature <= 1.0
    assert 0.9 < found.order < 1.0
    assert 0.7 < found.top_list <= 1.0


def test_deals_are_refitted_over_all_their_buckets(known: CrmTables, as_of: pd.Timestamp) -> None:
    settings = make_settings()
    inputs, first = deal_inputs(settings), first_fact(known, question="deals")
    buckets = support_buckets(tables=known, now=as_of, first=first, inputs=inputs)
    assert buckets is not None
    cutoffs = plan_cutoffs(first=first, now=as_of, horizon_days=buckets.shared[-1], settings=settings.split)
    proof = prove_deals(
        tables=known, cutoffs=cutoffs, first=first, buckets=buckets, inputs=inputs, calibration=settings.calibration
    )
    assert proof is not None

    refitter = deal_refitter(tables=known, first=first, fit=proof.past, inputs=inputs)
    assert refitter is not None

    found = stability(
        refitter=refitter, sample=proof.matrix.features, pipelines=proof.labelled.pipeline, refits=1, seed=1
    )

    assert 0.8 < found.order < 1.0
    assert 0.3 < found.top_family <= 1.0
