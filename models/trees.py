"""A LightGBM model as plain arrays, and the family coalitions that exact Shapley values need.

For one row and one background row, a tree sends every coalition of families to exactly one leaf. Each leaf is
reached by the coalitions that hold the families which must come from the row (``must``) and none of those that must
come from the background (``must_not``), so one walk over a tree serves all coalitions at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from models.boosting import FloatArray

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class TreeTable:
    """All nodes of all trees, one after the other.

    ``left`` and ``right`` hold node numbers, or ``-1 - leaf`` for a leaf; ``roots`` is each tree's first node, or
    its only leaf in the same coding. ``categories`` (nodes, words) is a bit set, 64 to a word, of the values that go
    left (empty for a threshold).
    """

    roots: Int64Array
    feature: Int64Array
    threshold: FloatArray
    categories: NDArray[np.uint64]
    is_category: NDArray[np.bool_]
    missing_left: NDArray[np.int8]
    left: Int64Array
    right: Int64Array
    leaf: FloatArray
    outputs: int


def tree_table(booster: Any) -> TreeTable:
    """Read the trees of a ``lightgbm.Booster``.

    ``missing_left`` is 1 or 0 where a missing value has a side of its own, and -1 where it counts as zero.
    """
    model = booster.dump_model()
    nodes: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "lefts", "cat", "missing", "l", "r")}
    leaves: list[float] = []

    def add(node: dict[str, Any]) -> int:
        if "split_feature" not in node:
            leaves.append(float(node["leaf_value"]))
            return -len(leaves)
        here = len(nodes["feature"])
        category = node["decision_type"] == "=="
        lefts = [int(code) for code in str(node["threshold"]).split("||")] if category else []
        nodes["feature"].append(node["split_feature"])
        nodes["threshold"].append(0.0 if category else float(node["threshold"]))
        nodes["lefts"].append(lefts)
        nodes["cat"].append(category)
        nodes["missing"].append(int(node["default_left"]) if node["missing_type"] == "NaN" else -1)
        nodes["l"].append(0)
        nodes["r"].append(0)
        nodes["l"][here] = add(node["left_child"])
        nodes["r"][here] = add(node["right_child"])
        return here

    roots = [add(tree["tree_structure"]) for tree in model["tree_info"]]
    return TreeTable(
        roots=np.array(roots, dtype=np.int64),
        feature=np.array(nodes["feature"], dtype=np.int64),
        threshold=np.array(nodes["threshold"], dtype=np.float64),
        categories=_bit_sets(nodes["lefts"]),
        is_category=np.array(nodes["cat"], dtype=bool),
        missing_left=np.array(nodes["missing"], dtype=np.int8),
        left=np.array(nodes["l"], dtype=np.int64),
        right=np.array(nodes["r"], dtype=np.int64),
        leaf=np.array(leaves, dtype=np.float64),
        outputs=int(model["num_tree_per_iteration"]),
    )


def _bit_sets(members: list[list[int]]) -> NDArray[np.uint64]:
    words = 1 + max((code for codes in members for code in codes), default=0) // 64
    sets = np.zeros((len(members), words), dtype=np.uint64)
    for node, codes in enumerate(members):
        for code in codes:
            sets[node, code // 64] |= np.uint64(1 << code % 64)
    return sets


def coalition_scores(
    *, trees: TreeTable, rows: FloatArray, background: FloatArray, family: Int64Array, families: int
) -> FloatArray:
    """Return the raw scores of every coalition, shape (rows, background, outputs, 2 ** families).

    Coalition ``s`` takes the features of family ``f`` from the row if bit ``f`` of ``s`` is set, else from the
    background row; a feature of family -1 always comes from the row.
    """
    return np.asarray(
        _coalition_scores(
            trees.roots,
            trees.feature,
            trees.threshold,
            trees.categories,
            trees.is_category,
            trees.missing_left,
            trees.left,
            trees.right,
            trees.leaf,
            trees.outputs,
            rows,
            background,
            family,
            families,
        )
    )


def coalition_wins(
    *,
    trees: TreeTable,
    rows: FloatArray,
    background: FloatArray,
    buckets: int,
    family: Int64Array,
    families: int,
    slope: float,
    slope_no: float,
    intercept: float,
) -> FloatArray:
    """Return the calibrated probability of winning of every coalition (rows, 2 ** families), meant over the background.

    ``trees`` score none, won and lost in a future bucket, whose number is the last column of ``rows`` and
    ``background`` and is filled in here; winning is survival x hazard summed over the buckets.
    """
    return np.asarray(
        _coalition_wins(
            trees.roots,
            trees.feature,
            trees.threshold,
            trees.categories,
            trees.is_category,
            trees.missing_left,
            trees.left,
            trees.right,
            trees.leaf,
            rows,
            background,
            buckets,
            family,
            families,
            slope,
            slope_no,
            intercept,
        )
    )


def shapley_weights(families: int) -> FloatArray:
    """Return the weight of a coalition of each size (without the family in question) in a Shapley value.

    >>> shapley_weights(2).tolist()
    [0.5, 0.5]
    """
    return np.array(
        [factorial(size) * factorial(families - size - 1) / factorial(families) for size in range(families)]
    )


def shapley_from_values(values: FloatArray) -> FloatArray:
    """Return Shapley values (n, families) from the values (n, 2 ** families) of all coalitions.

    They add up to the value of the full coalition minus that of the empty one (Shapley 1953).

    >>> shapley_from_values(np.array([[0.0, 1.0, 2.0, 5.0]])).tolist()
    [[2.0, 3.0]]
    """
    count = values.shape[1]
    families = count.bit_length() - 1
    coalitions = np.arange(count)
    size = np.array([coalition.bit_count() for coalition in range(count)])
    weights = shapley_weights(families)
    effects = np.zeros((len(values), families))
    for member in range(families):
        without = coalitions[(coalitions >> member) & 1 == 0]
        gain = values[:, without | (1 << member)] - values[:, without]
        effects[:, member] = gain @ weights[size[without]]
    return effects


@njit(cache=True)
def _goes_left(value, threshold, categories, is_category, missing_left):  # type: ignore[no-untyped-def]  # Numba
    if is_category:
        if np.isnan(value) or value < 0 or value >= 64 * categories.shape[0]:
            return False
        code = np.uint64(value)
        return (categories[code // np.uint64(64)] >> code % np.uint64(64)) & np.uint64(1) == np.uint64(1)
    if np.isnan(value):
        if missing_left < 0:
            return threshold >= 0.0
        return missing_left == 1
    return value <= threshold


@njit(cache=True)
def _add_scores(  # type: ignore[no-untyped-def]  # compiled by Numba
    roots,
    feature,
    threshold,
    categories,
    is_category,
    missing_left,
    left,
    right,
    leaf,
    row,
    other,
    family,
    full,
    scores,
    stack,
    constant,
):
    """Add the raw scores of all coalitions of one row and one background row to ``scores`` (outputs, coalitions)."""
    outputs = scores.shape[0]
    constant[:] = 0.0
    for tree in range(roots.shape[0]):
        output = tree % outputs
        top = 0
        stack[0, 0] = roots[tree]
        stack[0, 1] = 0
        stack[0, 2] = 0
        while top >= 0:
            node = stack[top, 0]
            must = stack[top, 1]
            must_not = stack[top, 2]
            top -= 1
            if node < 0:
                value = leaf[-1 - node]
                if must == 0 and must_not == 0:
                    constant[output] += value
                    continue
                free = full & ~(must | must_not)
                subset = free
                while True:
                    scores[output, must | subset] += value
                    if subset == 0:
                        break
                    subset = (subset - 1) & free
                continue
            column = feature[node]
            bit = 0 if family[column] < 0 else 1 << family[column]
            mine = _goes_left(row[column], threshold[node], categories[node], is_category[node], missing_left[node])
            theirs = mine
            if bit and not must & bit:
                theirs = _goes_left(
                    other[column], threshold[node], categories[node], is_category[node], missing_left[node]
                )
            if bit and must_not & bit:
                mine = theirs
            top += 1
            stack[top, 0] = left[node] if mine else right[node]
            stack[top, 1] = must
            stack[top, 2] = must_not
            if mine != theirs:
                stack[top, 1] = must | bit
                top += 1
                stack[top, 0] = left[node] if theirs else right[node]
                stack[top, 1] = must
                stack[top, 2] = must_not | bit
    for output in range(outputs):
        for coalition in range(scores.shape[1]):
            scores[output, coalition] += constant[output]


@njit(cache=True, parallel=True)
def _coalition_scores(  # type: ignore[no-untyped-def]  # compiled by Numba
    roots,
    feature,
    threshold,
    categories,
    is_category,
    missing_left,
    left,
    right,
    leaf,
    outputs,
    rows,
    background,
    family,
    families,
):
    count = 1 << families
    result = np.zeros((rows.shape[0], background.shape[0], outputs, count))
    for row in prange(rows.shape[0]):
        stack = np.empty((left.shape[0] + 1, 3), dtype=np.int64)
        constant = np.zeros(outputs)
        for other in range(background.shape[0]):
            _add_scores(
                roots,
                feature,
                threshold,
                categories,
                is_category,
                missing_left,
                left,
                right,
                leaf,
                rows[row],
                background[other],
                family,
                count - 1,
                result[row, other],
                stack,
                constant,
            )
    return result


@njit(cache=True, parallel=True)
def _coalition_wins(  # type: ignore[no-untyped-def]  # compiled by Numba
    roots,
    feature,
    threshold,
    categories,
    is_category,
    missing_left,
    left,
    right,
    leaf,
    rows,
    background,
    buckets,
    family,
    families,
    slope,
    slope_no,
    intercept,
):
    count = 1 << families
    last = rows.shape[1] - 1
    wins = np.zeros((rows.shape[0], count))
    for row in prange(rows.shape[0]):
        stack = np.empty((left.shape[0] + 1, 3), dtype=np.int64)
        constant = np.zeros(3)
        scores = np.empty((3, count))
        mine = rows[row].copy()
        for other in range(background.shape[0]):
            theirs = background[other].copy()
            still_open = np.ones(count)
            won = np.zeros(count)
            for bucket in range(buckets):
                mine[last] = bucket
                theirs[last] = bucket
                scores[:] = 0.0
                _add_scores(
                    roots,
                    feature,
                    threshold,
                    categories,
                    is_category,
                    missing_left,
                    left,
                    right,
                    leaf,
                    mine,
                    theirs,
                    family,
                    count - 1,
                    scores,
                    stack,
                    constant,
                )
                for coalition in range(count):
                    top = max(scores[0, coalition], scores[1, coalition], scores[2, coalition])
                    none = np.exp(scores[0, coalition] - top)
                    win = np.exp(scores[1, coalition] - top)
                    lose = np.exp(scores[2, coalition] - top)
                    whole = none + win + lose
                    won[coalition] += still_open[coalition] * win / whole
                    still_open[coalition] *= none / whole
            for coalition in range(count):
                inside = min(max(won[coalition], 1e-9), 1.0 - 1e-9)
                log_odds = intercept + slope * np.log(inside) - slope_no * np.log1p(-inside)
                wins[row, coalition] += 0.5 * (1.0 + np.tanh(0.5 * log_odds)) / background.shape[0]
    return wins
