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
    left (empty for a threshold). ``cover`` and ``leaf_cover`` count the training rows that reached a node or a leaf.
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
    cover: FloatArray
    leaf_cover: FloatArray
    outputs: int


def tree_table(booster: Any) -> TreeTable:
    """Read the trees of a ``lightgbm.Booster``.

    ``missing_left`` is 1 or 0 where a missing value has a side of its own, and -1 where it counts as zero.
    """
    model = booster.dump_model()
    nodes: dict[str, list[Any]] = {
        name: [] for name in ("feature", "threshold", "lefts", "cat", "missing", "l", "r", "cover")
    }
    leaves: list[tuple[float, float]] = []

    def add(node: dict[str, Any]) -> int:
        if "split_feature" not in node:
            leaves.append((float(node["leaf_value"]), float(node.get("leaf_count", 0))))
            return -len(leaves)
        here = len(nodes["feature"])
        category = node["decision_type"] == "=="
        lefts = [int(code) for code in str(node["threshold"]).split("||")] if category else []
        nodes["feature"].append(node["split_feature"])
        nodes["threshold"].append(0.0 if category else float(node["threshold"]))
        nodes["lefts"].append(lefts)
        nodes["cat"].append(category)
        nodes["missing"].append(int(node["default_left"]) if node["missing_type"] == "NaN" else -1)
        nodes["cover"].append(node["internal_count"])
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
        leaf=np.array([value for value, _ in leaves], dtype=np.float64),
        cover=np.array(nodes["cover"], dtype=np.float64),
        leaf_cover=np.array([cover for _, cover in leaves], dtype=np.float64),
        outputs=int(model["num_tree_per_iteration"]),
    )


def _bit_sets(members: list[list[int]]) -> NDArray[np.uint64]:
    words = 1 + max((code for codes in members for code in codes), default=0) // 64
    sets = np.zeros((len(members), words), dtype=np.uint64)
    for node, codes in enumerate(members):
        for code in codes:
            sets[node, code // 64] |= np.uint64(1 << code % 64)
    return sets


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
    paired: bool = False,
) -> FloatArray:
    """Return the calibrated probability of winning of every coalition (rows, 2 ** families), meant over the background.

    ``trees`` score none, won and lost in a future bucket, whose number is the last column of ``rows`` and
    ``background`` and is filled in here; winning is survival x hazard summed over the buckets. With ``paired`` each row
    has one background row of its own, the one in its place.
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
            paired,
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
def goes_left(value, node, threshold, categories, is_category, missing_left):  # type: ignore[no-untyped-def]  # Numba
    """Say whether LightGBM sends a value to the left of a split."""
    if is_category[node]:
        if np.isnan(value) or value < 0 or value >= 64 * categories.shape[1]:
            return False
        code = np.uint64(value)
        return (categories[node, code // np.uint64(64)] >> code % np.uint64(64)) & np.uint64(1) == np.uint64(1)
    if np.isnan(value):
        if missing_left[node] < 0:
            return threshold[node] >= 0.0
        return missing_left[node] == 1
    return value <= threshold[node]


@njit(cache=True)
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
    row,
    other,
    family,
    scores,
    stack,
):
    """Set ``scores`` (outputs, coalitions) to the raw scores of all coalitions of one row and one background row."""
    outputs, count = scores.shape
    scores[:] = 0.0
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
                # "None of must_not" is an alternating sum of "all of a part of it", and sums over parts are made below.
                subset = must_not
                value = leaf[-1 - node]
                while True:
                    scores[output, must | subset] += -value if _is_odd(subset) else value
                    if subset == 0:
                        break
                    subset = (subset - 1) & must_not
                continue
            column = feature[node]
            bit = 0 if family[column] < 0 else 1 << family[column]
            mine = goes_left(row[column], node, threshold, categories, is_category, missing_left)
            theirs = mine
            if bit and not must & bit:
                theirs = goes_left(other[column], node, threshold, categories, is_category, missing_left)
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
        step = 1
        while step < count:
            for begin in range(0, count, 2 * step):
                for coalition in range(begin, begin + step):
                    scores[output, coalition + step] += scores[output, coalition]
            step *= 2


@njit(cache=True)
def _is_odd(members):  # type: ignore[no-untyped-def]  # compiled by Numba
    odd = False
    while members:
        members &= members - 1
        odd = not odd
    return odd


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
    paired,
):
    count = 1 << families
    last = rows.shape[1] - 1
    wins = np.zeros((rows.shape[0], count))
    for row in prange(rows.shape[0]):
        stack = np.empty((left.shape[0] + 1, 3), dtype=np.int64)
        scores = np.empty((3, count))
        mine = rows[row].copy()
        first = row if paired else 0
        others = 1 if paired else background.shape[0]
        for other in range(first, first + others):
            theirs = background[other].copy()
            still_open = np.ones(count)
            won = np.zeros(count)
            for bucket in range(buckets):
                mine[last] = bucket
                theirs[last] = bucket
                _coalition_scores(
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
                    scores,
                    stack,
                )
                for coalition in range(count):
                    win = np.exp(scores[1, coalition] - scores[0, coalition])
                    lose = np.exp(scores[2, coalition] - scores[0, coalition])
                    none = still_open[coalition] / (1.0 + win + lose)
                    won[coalition] += none * win
                    still_open[coalition] = none
            for coalition in range(count):
                inside = min(max(won[coalition], 1e-9), 1.0 - 1e-9)
                log_odds = intercept + slope * np.log(inside) - slope_no * np.log1p(-inside)
                wins[row, coalition] += 0.5 * (1.0 + np.tanh(0.5 * log_odds)) / others
    return wins
