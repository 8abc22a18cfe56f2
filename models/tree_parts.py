"""Contributions of features to a small booster's raw score: TreeSHAP by looking up instead of computing.

A tree of few splits sends a row by few answers: which of its splits the row would leave to the left. For each pattern
of answers the contributions are computed once, and a row costs one look-up per tree. They are those of path-dependent
TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020), which ``pred_contrib`` computes row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numba import njit, prange

from models.boosting import FloatArray
from models.trees import Int64Array, TreeTable, goes_left, shapley_weights, tree_table

MOST_SPLITS: Final = 10
"""A tree with more has too many patterns; its booster is left to LightGBM."""
_BLOCK_ROWS: Final = 256


@dataclass(frozen=True)
class PartsTable:
    """For each tree, the columns it splits on and, for each pattern of answers, those columns' contributions.

    A tree's splits are the nodes from its entry in ``splits`` to the next one's; in the same way ``column_starts`` and
    ``value_starts`` tell each tree's part of ``columns`` and ``values``. ``start`` (outputs) is what the contributions
    are added to.
    """

    trees: TreeTable
    splits: Int64Array
    columns: Int64Array
    column_starts: Int64Array
    values: FloatArray
    value_starts: Int64Array
    start: FloatArray


class Contributor(Protocol):
    """Return contributions (n, columns) to the raw score, and the score that they are added to.

    A booster with several outputs takes one ``weight`` for each; the contributions are to the weighted sum.
    """

    def __call__(self, rows: FloatArray, *, weight: tuple[float, ...] = (1.0,)) -> tuple[FloatArray, float]: ...


def contributor(booster: Any) -> Contributor:
    """Prepare a booster's contributions: by look-up, or by LightGBM itself where a tree has too many splits."""
    table = parts_table(tree_table(booster))
    return partial(_by_lightgbm, booster) if table is None else partial(_by_look_up, table)


def booster_contributions(
    booster: Any, rows: FloatArray, *, weight: tuple[float, ...] = (1.0,)
) -> tuple[FloatArray, float]:
    """Return one booster's contributions once; see ``Contributor``."""
    return contributor(booster)(rows, weight=weight)


def _by_look_up(table: PartsTable, rows: FloatArray, *, weight: tuple[float, ...] = (1.0,)) -> tuple[FloatArray, float]:
    trees, scale = table.trees, np.array(weight)
    parts = _look_up(
        trees.outputs,
        trees.feature,
        trees.threshold,
        trees.categories,
        trees.is_category,
        trees.missing_left,
        table.splits,
        table.columns,
        table.column_starts,
        table.values,
        table.value_starts,
        rows,
        scale,
    )
    return np.asarray(parts), float(table.start @ scale)


def parts_table(trees: TreeTable) -> PartsTable | None:
    """Compute the contributions of all patterns, or return None where a tree has too many splits."""
    # Nodes are numbered tree by tree, each before its children.
    firsts = [int(root) for root in trees.roots]
    for tree in range(len(firsts) - 1, -1, -1):
        if firsts[tree] < 0:
            firsts[tree] = len(trees.feature) if tree + 1 == len(firsts) else firsts[tree + 1]
    splits = np.array([*firsts, len(trees.feature)], dtype=np.int64)
    counts = np.diff(splits)
    if counts.max(initial=0) > MOST_SPLITS:
        return None
    used = [np.unique(trees.feature[begin:end]) for begin, end in pairwise(splits.tolist())]
    column_starts = _starts([len(columns) for columns in used])
    value_starts = _starts([len(columns) << count for columns, count in zip(used, counts.tolist(), strict=True)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *used])
    weights = np.zeros((MOST_SPLITS + 1, MOST_SPLITS))
    for size in range(1, MOST_SPLITS + 1):
        weights[size, :size] = shapley_weights(size)
    values, start = _fill(
        trees.roots,
        trees.outputs,
        trees.feature,
        trees.left,
        trees.right,
        trees.leaf,
        trees.cover,
        trees.leaf_cover,
        splits,
        columns,
        column_starts,
        value_starts,
        weights,
    )
    return PartsTable(
        trees=trees,
        splits=splits,
        columns=columns,
        column_starts=column_starts,
        values=values,
        value_starts=value_starts,
        start=start,
    )


def _starts(lengths: list[int]) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _by_lightgbm(booster: Any, rows: FloatArray, *, weight: tuple[float, ...] = (1.0,)) -> tuple[FloatArray, float]:
    # One row more than asked for: LightGBM refuses none, and the score that all are added to stands in every row.
    padded = np.vstack([rows, np.zeros((1, rows.shape[1]))])
    found = np.asarray(booster.predict(padded, pred_contrib=True)).reshape(len(padded), len(weight), -1)
    summed = np.einsum("rok,o->rk", found, np.array(weight))
    return summed[:-1, :-1], float(summed[-1, -1])


@njit(cache=True)
def _fill(  # type: ignore[no-untyped-def]  # compiled by Numba
    roots,
    outputs,
    feature,
    left,
    right,
    leaf,
    cover,
    leaf_cover,
    splits,
    columns,
    column_starts,
    value_starts,
    weights,
):
    """Fill in all patterns of all trees.

    A leaf of value v, which a share z_j of the training rows reaches through its splits on column j and a row does
    (o_j = 1) or does not (0), gives column j: v (o_j - z_j) times the Shapley-weighted sum, over the sets S of its
    other columns, of o over S times z over the rest.
    """
    values = np.zeros(value_starts[-1])
    start = np.zeros(outputs)
    for tree in range(roots.shape[0]):
        first = splits[tree]
        count = splits[tree + 1] - first
        if count == 0:
            start[tree % outputs] += leaf[-1 - roots[tree]]
            continue
        width = column_starts[tree + 1] - column_starts[tree]
        own = columns[column_starts[tree] : column_starts[tree + 1]]
        stack_node = np.empty(2 * count + 2, dtype=np.int64)
        stack_depth = np.empty(2 * count + 2, dtype=np.int64)
        # The way to the node at hand: which split, and whether it was left to the left.
        way = np.empty((2, count + 1), dtype=np.int64)
        stack_way = np.empty((2 * count + 2, 2), dtype=np.int64)
        share, follows, sums = np.empty(width), np.empty(width), np.empty(width)
        member = np.empty(width, dtype=np.int64)
        top = 0
        stack_node[0], stack_depth[0], stack_way[0, 0] = roots[tree], 0, -1
        while top >= 0:
            node, depth = stack_node[top], stack_depth[top]
            if stack_way[top, 0] >= 0:
                way[0, depth - 1], way[1, depth - 1] = stack_way[top, 0], stack_way[top, 1]
            top -= 1
            if node >= 0:
                for side in range(2):
                    top += 1
                    stack_node[top] = left[node] if side else right[node]
                    stack_depth[top] = depth + 1
                    stack_way[top, 0], stack_way[top, 1] = node, side
                continue
            members = 0
            for step in range(depth):
                split = way[0, step]
                child = left[split] if way[1, step] else right[split]
                part = (cover[child] if child >= 0 else leaf_cover[-1 - child]) / cover[split]
                place = np.searchsorted(own, feature[split])
                at = -1
                for known in range(members):
                    if member[known] == place:
                        at = known
                if at < 0:
                    at = members
                    members += 1
                    member[at], share[at] = place, 1.0
                share[at] *= part
            value = leaf[-1 - node]
            start[tree % outputs] += value * leaf_cover[-1 - node] / cover[first]
            for pattern in range(1 << count):
                for known in range(members):
                    follows[known] = 1.0
                for step in range(depth):
                    split = way[0, step]
                    if (pattern >> (split - first) & 1) != way[1, step]:
                        place = np.searchsorted(own, feature[split])
                        for known in range(members):
                            if member[known] == place:
                                follows[known] = 0.0
                for known in range(members):
                    # sums[k]: over sets of k other columns, o over the set times z over the rest.
                    sums[:members] = 0.0
                    sums[0] = 1.0
                    for other in range(members):
                        if other != known:
                            for size in range(members - 1, 0, -1):
                                sums[size] = sums[size] * share[other] + sums[size - 1] * follows[other]
                            sums[0] *= share[other]
                    gain = 0.0
                    for size in range(members):
                        gain += sums[size] * weights[members, size]
                    values[value_starts[tree] + pattern * width + member[known]] += (
                        value * (follows[known] - share[known]) * gain
                    )
    return values, start


@njit(cache=True, parallel=True)
def _look_up(  # type: ignore[no-untyped-def]  # compiled by Numba
    outputs,
    feature,
    threshold,
    categories,
    is_category,
    missing_left,
    splits,
    columns,
    column_starts,
    values,
    value_starts,
    rows,
    weight,
):
    count, width = rows.shape
    result = np.empty((count, width))
    for block in prange((count + _BLOCK_ROWS - 1) // _BLOCK_ROWS):
        first = block * _BLOCK_ROWS
        size = min(_BLOCK_ROWS, count - first)
        # Column by column, so that a split is asked of all rows of the block in one sweep.
        mine = np.empty((width, size))
        for row in range(size):
            for column in range(width):
                mine[column, row] = rows[first + row, column]
        parts = np.zeros((width, size))
        pattern = np.empty(size, dtype=np.int64)
        for tree in range(splits.shape[0] - 1):
            scale = weight[tree % outputs]
            if scale == 0.0:
                continue
            pattern[:] = 0
            for node in range(splits[tree], splits[tree + 1]):
                place = node - splits[tree]
                column = feature[node]
                if is_category[node]:
                    for row in range(size):
                        answer = goes_left(mine[column, row], node, threshold, categories, is_category, missing_left)
                        pattern[row] |= np.int64(answer) << place
                else:
                    # As ``goes_left`` has it, without a question for each row.
                    limit = threshold[node]
                    unknown = limit >= 0.0 if missing_left[node] < 0 else missing_left[node] == 1
                    for row in range(size):
                        value = mine[column, row]
                        answer = (value <= limit) | (unknown & (value != value))
                        pattern[row] |= np.int64(answer) << place
            begin = column_starts[tree]
            used = column_starts[tree + 1] - begin
            for place in range(used):
                at = value_starts[tree] + place
                column = columns[begin + place]
                for row in range(size):
                    parts[column, row] += scale * values[at + pattern[row] * used]
        for row in range(size):
            for column in range(width):
                result[first + row, column] = parts[column, row]
    return result
