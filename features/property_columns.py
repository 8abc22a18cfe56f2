"""Columns of properties as they were at the as-of: those of the object itself and those of its company."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.contact_features import Column
from features.feature_contract import OBJECT_TYPE
from features.matrix_inputs import MatrixInputs
from features.properties import property_at
from features.visibility import Int64Array, codes, created_times


def property_columns(inputs: MatrixInputs) -> dict[str, Column]:
    """Return the properties of each snapshot's object."""
    columns = {}
    for name, levels in inputs.contract.properties.items():
        values = property_at(
            tables=inputs.tables,
            object_type=OBJECT_TYPE[inputs.contract.question],
            name=name,
            ids=inputs.ids,
            objects=inputs.objects,
            as_of=inputs.as_of,
            vouched=name in inputs.contract.vouched,
        ).value
        columns[f"property_{name}"] = _encoded(values, levels=levels)
    return columns


def company_property_columns(
    inputs: MatrixInputs, *, company_ids: pd.Index, companies: Int64Array
) -> dict[str, Column]:
    """Return the properties of each snapshot's company; a company not yet created has none."""
    created = created_times(pd.Series(company_ids), table=inputs.tables["companies"], key="company_id")
    is_there = companies >= 0
    is_there[is_there] = created[companies[is_there]] < inputs.as_of[is_there]
    columns = {}
    for name, levels in inputs.contract.company_properties.items():
        values = property_at(
            tables=inputs.tables,
            object_type="company",
            name=name,
            ids=company_ids,
            objects=np.where(is_there, companies, -1),
            as_of=inputs.as_of,
            vouched=name in inputs.contract.company_vouched,
        ).value
        columns[f"company_property_{name}"] = _encoded(values, levels=levels)
    return columns


def level_codes(values: pd.Series, *, levels: tuple[str, ...]) -> Column:
    """Return each value's place in ``levels``; an unlisted one takes the last (rare) level, a missing one NaN."""
    found = codes(values.astype(object), index=pd.Index(levels, dtype=object))
    rare = len(levels) - 1
    return np.where(values.isna().to_numpy(), np.nan, np.where(found >= 0, found, rare))


def _encoded(values: NDArray[np.object_], *, levels: tuple[str, ...]) -> Column:
    series = pd.Series(values, dtype=object)
    if levels:
        return level_codes(series, levels=levels)
    return pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64)
