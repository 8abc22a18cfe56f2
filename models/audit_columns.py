"""Measure columns for the leak audit: every feature, and every property that no feature rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.catalogue import Question, entry_of
from features.feature_contract import OBJECT_TYPE, FeatureContract
from features.matrix import Matrix, build_matrix
from features.properties import STRUCTURE, LeftOut, history_properties, property_at
from features.protected import protected_attribute
from features.tables import CrmTables
from features.visibility import NEVER, Int64Array, codes, instant, microseconds
from models.audit import AuditedColumn, AuditSettings, Filled, Proxy
from models.metrics import FloatArray
from models.separation import UNDEFINED, Separation, Separator, hashes

PROPERTY_OF: Final = {
    "amount": "amount",
    "amount_changes": "amount",
    "amount_ratio": "amount",
    "days_to_expected_close": "expected_close_at",
    "close_date_changes": "expected_close_at",
    "close_date_slip_days": "expected_close_at",
    "owner_win_rate": "owner_id",
    "owner_closed": "owner_id",
}
"""The property behind a feature of a deal that does not bear its name."""
_COMPANIES: Final = "companies."
PLANS: Final = frozenset({"expected_close_at"})
"""Times that speak of the future by their nature."""
MOST_LEVELS: Final = 60
MOST_OBJECTS: Final = 5_000
_TIMES_FROM: Final = 0.95
_RARE_GROUP: Final = 0.05
_CUTS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class AuditRows:
    """Labelled snapshots of the training past, all of whose facts were known before ``cutoff``.

    ``closed_at`` tells for each object of the table when its outcome became known, ``NEVER`` if it did not.
    """

    question: Question
    tables: CrmTables
    cutoff: pd.Timestamp
    contract: FeatureContract
    left_out: tuple[LeftOut, ...]
    snapshots: pd.DataFrame
    y_obs: FloatArray
    weight: FloatArray
    closed_at: Int64Array

    @property
    def key(self) -> str:
        """The column that identifies an object."""
        return f"{OBJECT_TYPE[self.question]}_id"

    @property
    def objects(self) -> NDArray[np.object_]:
        """The object of each row."""
        return self.snapshots[self.key].to_numpy(dtype=object)

    @cached_property
    def ids(self) -> pd.Index:
        """The ids of all objects, in the order of ``closed_at``."""
        index: pd.Index = pd.Index(self.tables[self.question][self.key])
        return index

    @cached_property
    def codes(self) -> Int64Array:
        """The place of each row's object in ``ids``."""
        return codes(self.snapshots[self.key], index=self.ids)

    @cached_property
    def with_history(self) -> frozenset[str]:
        """The properties of these objects that have a history."""
        return frozenset(history_properties(self.tables, OBJECT_TYPE[self.question]))

    def matrix(self) -> Matrix:
        """Build the features at the snapshots."""
        return build_matrix(tables=self.tables, snapshots=self.snapshots, contract=self.contract)

    def values_at(self, name: str, *, objects: Int64Array, as_of: Int64Array) -> NDArray[np.object_]:
        """Return a property as it stood; one without history as the table shows it today."""
        return property_at(
            tables=self.tables,
            object_type=OBJECT_TYPE[self.question],
            name=name,
            ids=self.ids,
            objects=objects,
            as_of=as_of,
            vouched=name not in self.with_history,
        ).value


def sampled(rows: AuditRows, *, settings: AuditSettings) -> AuditRows:
    """Keep whole objects, drawn by a hash of their id: winners first, weighted so that the rest stays in proportion."""
    count = len(rows.y_obs)
    if count <= settings.max_rows:
        return rows
    won = (np.bincount(rows.codes, weights=rows.y_obs, minlength=len(rows.ids)) > 0.0)[rows.codes]
    of_winners = min(int(won.sum()), max(settings.max_rows // 2, settings.max_rows - int((~won).sum())))
    share = np.where(
        won, of_winners / max(int(won.sum()), 1), (settings.max_rows - of_winners) / max(int((~won).sum()), 1)
    )
    place = (hashes(rows.objects) % np.uint64(2**32)).astype(np.float64) / 2.0**32
    keep = place < share
    return replace(
        rows,
        snapshots=rows.snapshots.loc[keep].reset_index(drop=True),
        y_obs=rows.y_obs[keep],
        weight=(rows.weight / np.minimum(share, 1.0))[keep],
    )


def measure(rows: AuditRows, *, matrix: Matrix, replicates: int, seed: int) -> list[AuditedColumn]:
    """Measure every feature at these snapshots, then every property that is in no feature."""
    separator = Separator.build(
        y_obs=rows.y_obs, objects=rows.codes, weight=rows.weight, replicates=replicates, seed=seed
    )
    alike = _alike(rows, matrix)
    last = rows.snapshots.drop_duplicates(rows.key, keep="last").reset_index(drop=True)
    today = build_matrix(
        tables=rows.tables, snapshots=last.assign(as_of=rows.cutoff.as_unit("us")), contract=rows.contract
    ).features
    where = codes(rows.snapshots[rows.key], index=pd.Index(last[rows.key]))
    seen = {name: _look_at(rows, name) for name in _properties(rows)}
    columns = []
    for feature in rows.contract.features:
        values = matrix.features[feature.name].to_numpy(dtype=np.float64)
        name = property_behind(feature.name, contract=rows.contract)
        look = seen.get(name or "")
        columns.append(
            AuditedColumn(
                name=feature.name,
                rests_on=name,
                known=entry_of(feature.name).known if look is None else look.known,
                use="used",
                vouched=_is_vouched(name, contract=rows.contract),
                filled=_mean(~np.isnan(values)),
                auc=_separation(separator, values, is_category=feature.is_category),
                auc_alike=_separation(separator, values, is_category=feature.is_category, strata=alike),
                differs=None
                if look is not None and not look.has_history
                else _mean(_differ_as_numbers(values, today[feature.name].to_numpy(dtype=np.float64)[where])),
                filled_by_outcome=None if look is None else look.filled,
                later=None if look is None else look.later,
            )
        )
    used = {column.rests_on for column in columns}
    reasons = {item.column: item.reason for item in rows.left_out if item.column and item.table == rows.question}
    for name, look in seen.items():
        if name not in used:
            numbers, is_category = _encoded(look.then)
            columns.append(
                AuditedColumn(
                    name=name,
                    rests_on=name,
                    known=look.known,
                    use="left out",
                    vouched=name in rows.contract.vouched,
                    filled=_mean(pd.notna(look.then)),
                    auc=_separation(separator, numbers, is_category=is_category),
                    auc_alike=_separation(separator, numbers, is_category=is_category, strata=alike),
                    differs=_mean(_differ_as_words(look.then, look.now[rows.codes])) if look.has_history else None,
                    filled_by_outcome=look.filled,
                    later=look.later,
                    reason=reasons.get(name, ""),
                )
            )
    return columns


def proxies(rows: AuditRows, *, matrix: Matrix, settings: AuditSettings) -> list[Proxy]:
    """Name the features from which a protected attribute of the table can be told, the best first."""
    last = np.flatnonzero(~rows.snapshots.duplicated(rows.key, keep="last").to_numpy())
    last = last[np.argsort(hashes(rows.objects[last]), kind="stable")[:MOST_OBJECTS]]
    found = []
    for column in _properties(rows):
        attribute = protected_attribute(column)
        if attribute is None:
            continue
        here = rows.codes[last]
        values = rows.values_at(column, objects=here, as_of=np.full(len(here), instant(rows.cutoff)))
        for value, positive in _groups(values, settings=settings).items():
            known = pd.notna(values)
            separator = Separator.build(y_obs=positive[known].astype(np.float64), objects=here[known])
            for feature in rows.contract.features:
                if property_behind(feature.name, contract=rows.contract) == column:
                    continue
                numbers = matrix.features[feature.name].to_numpy(dtype=np.float64)[last][known]
                auc = _separation(separator, numbers, is_category=feature.is_category).value
                if auc > settings.proxy_from:
                    found.append(Proxy(attribute, column, value, feature.name, round(auc, 6)))
    return sorted(found, key=lambda proxy: (-proxy.auc, proxy.feature, proxy.value))


def property_behind(feature: str, *, contract: FeatureContract) -> str | None:
    """Return the property that a feature rests on, or None if it rests on dated facts.

    One of the company has the table before it: ``companies.industry``.
    """
    name = feature.removeprefix("property_")
    if name != feature and name in contract.properties:
        return name
    of_company = feature.removeprefix("company_property_")
    if of_company != feature and of_company in contract.company_properties:
        return f"{_COMPANIES}{of_company}"
    return PROPERTY_OF.get(feature)


def _is_vouched(name: str | None, *, contract: FeatureContract) -> bool:
    if name is not None and name.startswith(_COMPANIES):
        return name.removeprefix(_COMPANIES) in contract.company_vouched
    return name in contract.vouched


def _alike(rows: AuditRows, matrix: Matrix) -> Int64Array:
    """Number the rows by what the stages tell of them, which no property gets credit for repeating."""
    name = "open_deals" if rows.question == "contacts" else "stage"
    if name not in matrix.features:
        return np.zeros(len(rows.y_obs), dtype=np.int64)
    values = matrix.features[name].to_numpy(dtype=np.float64)
    return (values > 0).astype(np.int64) if rows.question == "contacts" else np.nan_to_num(values, nan=-1.0).astype(int)


def _separation(
    separator: Separator, values: FloatArray, *, is_category: bool, strata: Int64Array | None = None
) -> Separation:
    if not len(values):
        return UNDEFINED
    return separator.of_levels(values, strata=strata) if is_category else separator.of_numbers(values, strata=strata)


def _properties(rows: AuditRows) -> list[str]:
    frame = rows.tables[rows.question]
    filled = [str(name) for name in frame.columns if name not in STRUCTURE and not frame[name].isna().all()]
    return [*filled, *sorted(rows.with_history - set(filled))]


@dataclass(frozen=True)
class _Look:
    """A property at the snapshots and at the cut-off, and what its being filled has to do with the outcome."""

    then: NDArray[np.object_]
    now: NDArray[np.object_]
    has_history: bool
    known: str
    filled: Filled
    later: float | None


def _look_at(rows: AuditRows, name: str) -> _Look:
    closed = rows.closed_at != NEVER
    then = rows.values_at(name, objects=rows.codes, as_of=microseconds(rows.snapshots["as_of"]))
    now = rows.values_at(name, objects=np.arange(len(rows.ids)), as_of=np.full(len(rows.ids), instant(rows.cutoff)))
    is_filled = pd.notna(now)
    has_history, before = name in rows.with_history, None
    known = "today's value only: no history"
    if has_history:
        known = "history: known_at of each value"
        ended = np.flatnonzero(closed)
        before = _mean(pd.notna(rows.values_at(name, objects=ended, as_of=rows.closed_at[ended])))
    elif name in rows.contract.vouched:
        known = "today's value, vouched for as known from creation on"
    filled = Filled(
        with_outcome=_mean(is_filled[closed]),
        without_outcome=_mean(is_filled[~closed]),
        before=before,
        objects=int(closed.sum()),
        others=int((~closed).sum()),
    )
    later = None if name in PLANS else _later(rows, then=then, now=now)
    return _Look(then=then, now=now, has_history=has_history, known=known, filled=filled, later=later)


def _later(rows: AuditRows, *, then: NDArray[np.object_], now: NDArray[np.object_]) -> float | None:
    """Return the share of snapshots whose value is a time after the as-of, if all values are times of the past."""
    today, values = _as_times(now), _as_times(then)
    if today is None or values is None or (today >= instant(rows.cutoff))[today != NEVER].any():
        return None
    return _mean((values != NEVER) & (values >= microseconds(rows.snapshots["as_of"])))


def _mean(truth: NDArray[np.bool_]) -> float | None:
    return float(np.mean(truth)) if len(truth) else None


def _differ_as_numbers(then: FloatArray, now: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((then != now) & ~(np.isnan(then) & np.isnan(now)), dtype=np.bool_)


def _differ_as_words(then: NDArray[np.object_], now: NDArray[np.object_]) -> NDArray[np.bool_]:
    both_missing = pd.isna(then) & pd.isna(now)
    return np.asarray((pd.Series(then).astype(str) != pd.Series(now).astype(str)).to_numpy() & ~both_missing)


def _as_times(values: NDArray[np.object_]) -> Int64Array | None:
    """Return values as microseconds, ``NEVER`` where there is none; None if they are not times."""
    series = pd.Series(values, dtype=object)
    filled = series.dropna()
    if not len(filled) or isinstance(filled.iloc[0], (int, float)):
        return None
    if pd.to_datetime(filled.iloc[:20], utc=True, errors="coerce", format="ISO8601").isna().any():
        return None
    if pd.to_numeric(filled.iloc[:20], errors="coerce").notna().any():
        return None
    times = pd.to_datetime(series, utc=True, errors="coerce", format="ISO8601")
    return microseconds(times) if times.notna().sum() >= _TIMES_FROM * len(filled) else None


def _encoded(values: NDArray[np.object_]) -> tuple[FloatArray, bool]:
    """Return a property's values as numbers, and whether they are codes of levels (the rarer ones grouped)."""
    times = _as_times(values)
    if times is not None:
        return np.where(times == NEVER, np.nan, times.astype(np.float64)), False
    series = pd.Series(values, dtype=object)
    numbers = pd.to_numeric(series, errors="coerce")
    if (numbers.notna() | series.isna()).all():
        return numbers.to_numpy(dtype=np.float64), False
    words = series.astype(object).where(series.notna(), None)
    counts = words.dropna().astype(str).value_counts()
    frequent = pd.Index(sorted(counts.index[: MOST_LEVELS - 1]), dtype=object)
    found = frequent.get_indexer(pd.Index(words.astype(str), dtype=object)).astype(np.float64)
    return np.where(series.isna(), np.nan, np.where(found < 0, len(frequent), found)), True


def _groups(values: NDArray[np.object_], *, settings: AuditSettings) -> dict[str, NDArray[np.bool_]]:
    """Split the objects by a protected attribute: a number at some quantiles, a category at each frequent level."""
    known = pd.notna(values)
    numbers, is_category = _encoded(values)
    if not known.any():
        return {}
    if not is_category:
        cuts = np.unique(np.nanquantile(numbers, _CUTS))
        groups = {f"above {cut:g}": np.asarray(numbers > cut) for cut in cuts}
    else:
        words = pd.Series(values, dtype=object).where(known, None)
        groups = {
            str(level): np.asarray(words == level, dtype=bool) for level in sorted(words.dropna().unique(), key=str)
        }
    return {
        name: group
        for name, group in groups.items()
        if min(group[known].sum(), (~group)[known].sum()) >= max(settings.min_objects, _RARE_GROUP * known.sum())
    }
