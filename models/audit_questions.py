"""The leak audit of each question, on labelled snapshots of all that was known before an as-of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.catalogue import Question
from features.episodes import OPEN, WON, Closings, build_timelines
from features.feature_contract import learn_contract
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, as_known_at, instant
from models.audit import Audit, judge_columns
from models.audit_columns import AuditRows, measure, proxies, sampled
from models.contact_fit import label_contacts, wins_of
from models.deal_fit import DealInputs, deal_rows, support_buckets, won_in_support
from models.training import NothingToLearnError, TrainingSettings, first_fact, in_id_order
