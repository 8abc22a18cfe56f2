"""What each feature contributed to the move of a booster's raw score from one row to another of the same object.

The game is played between the two rows: a coalition of features has the later values, all others keep the earlier
ones. Where both rows go the same way a split decides nothing, so that a feature whose value did not change, or changed
within a leaf, contributes exactly nothing (Shapley values with one row as the baseline; Lundberg et al., Nature Machine
Intelligence 2020, call them interventional).
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numba import njit, prange

from models.boosting import FloatArray
from models.trees import TreeTable, goes_left


def tree_moves(
    trees: TreeTable, *, before: FloatArray, after: FloatArray, weight: tuple[float, ...] = (1.0,)
) -> FloatArray:
    """Return contributions (n, columns); each row's add up to the raw score of ``after`` less that of ``before``.

    A booster with several outputs takes one ``weight`` for each; the contributions are to the weighted sum.
    """
    deepest = int(np.diff(np.append(trees.roots[trees.roots >= 0], len(trees.feature))).max(initial=0))
    share = np.zeros((deepest + 1, deepest + 1))
    for musts in range(1, deepest + 1):
        for others in range(deepest + 1 - musts):
            # Orders of arrival in which one of the musts comes last of them, and all that must not be there later.
            share[musts, others] = factorial(musts - 1) * factorial(others) / factorial(musts + others)
    return np.asarray(
        _moves(
            trees.roots,
            trees.outputs,
            trees.feature,
            trees.threshold,
            trees.categories,
            trees.is_category,
            trees.missing_left,
            trees.left,
            trees.right,
            trees.leaf,
            share,
            np.ascontiguousarray(before),
            np.ascontiguousarray(after),
            np.array(weight),
        )
    )


@njit(cache=True, parallel=True)
def _moves(  # type: ignore[no-untyped-def]  # compiled by Numba
    roots,
    outputs,
    feature,
    threshold,
    categories,
    is_category,
    missing_left,
    left,
    right,
    leaf,
    share,
    before,
    after,
    weight,
):
    """A leaf of value v that needs m features from ``after`` and n from ``before`` gives each of the former
    v share[m, n] and takes v share[n, m] from each of the latter."""
    count, width = after.shape
    size = share.shape[0]
    result = np.zeros((count, width))
    for row in prange(count):
        # The way to the node at hand: at which columns the rows part, and whether it follows ``after`` there.
        column = np.empty(size, dtype=np.int64)
        follows = np.empty(size, dtype=np.bool_)
        stack = np.empty((size + 1, 3), dtype=np.int64)
        for tree in range(roots.shape[0]):
            scale = weight[tree % outputs]
            if scale == 0.0:
                continue
            top = 0
            stack[0, 0], stack[0, 1], stack[0, 2] = roots[tree], 0, 0
            while top >= 0:
                node, depth, side = stack[top, 0], stack[top, 1], stack[top, 2]
                top -= 1
                if side:
                    # Which column it is was written down when the other side was taken.
                    follows[depth - 1] = side == 1
                while node >= 0:
                    place = feature[node]
                    mine = goes_left(after[row, place], node, threshold, categories, is_category, missing_left)
                    theirs = goes_left(before[row, place], node, threshold, categories, is_category, missing_left)
                    if mine != theirs:
                        known = -1
                        for step in range(depth):
                            if column[step] == place:
                                known = step
                        if known < 0:
                            column[depth], follows[depth] = place, True
                            depth += 1
                            top += 1
                            stack[top, 0] = left[node] if theirs else right[node]
                            stack[top, 1], stack[top, 2] = depth, 2
                        elif not follows[known]:
                            mine = theirs
                    node = left[node] if mine else right[node]
                if depth == 0:
                    continue
                musts = 0
                for step in range(depth):
                    musts += follows[step]
                value = scale * leaf[-1 - node]
                for step in range(depth):
                    if follows[step]:
                        result[row, column[step]] += value * share[musts, depth - musts]
                    else:
                        result[row, column[step]] -= value * share[depth - musts, musts]
    return result
