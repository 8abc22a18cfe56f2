"""One made-up market and one simulated CRM, each trained once per session."""

from __future__ import annotations

import pandas as pd
import pytest

from features.sources.synthetic import SyntheticCrm, SyntheticSettings, simulate
from features.tables import CrmTables
from models.contact_training import train_contacts
from models.deal_training import train_deals
from models.training import Trained
from tests.models.market import END, make_market, make_settings


@pytest.fixture(scope="session")
def as_of() -> pd.Timestamp:
    """A moment before the end of the market, so that its tables hold later facts."""
    return END - pd.Timedelta(days=30)


@pytest.fixture(scope="session")
def market() -> CrmTables:
    return make_market(contacts=1500)


@pytest.fixture(scope="session")
def trained_contacts(market: CrmTables, as_of: pd.Timestamp) -> Trained:
    return train_contacts(tables=market, as_of=as_of, settings=make_settings())


@pytest.fixture(scope="session")
def trained_deals(market: CrmTables, as_of: pd.Timestamp) -> Trained:
    return train_deals(tables=market, as_of=as_of, settings=make_settings())


@pytest.fixture(scope="session")
def synthetic() -> SyntheticCrm:
    return simulate(SyntheticSettings(contacts=2000, months=24, seed=3))
