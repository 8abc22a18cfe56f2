"""FLAML in a Python of its own: reads a task, searches for so many seconds, writes the probabilities.

It is no dependency of Leadline: ``python -m venv flaml && flaml/bin/pip install 'flaml[automl]'``, and the path of its
Python is given to a benchmark as ``--automl``. It imports nothing of ours.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pandas as pd


def main() -> None:
    """Search by log loss on the latest part of the past, as the rows come in the order of time."""
    from flaml import AutoML

    task = np.load(sys.argv[1])
    rows = np.concatenate([task["past"], task["features"]])
    everything = pd.DataFrame(rows, columns=[f"f{place}" for place in range(rows.shape[1])])
    for place in task["categories"]:
        everything[f"f{place}"] = everything[f"f{place}"].fillna(-1).astype(int).astype("category")
    past, features = everything[: len(task["past"])], everything[len(task["past"]) :]
    search = AutoML()
    search.fit(
        past,
        task["y_obs"].astype(int),
        task="classification",
        metric="log_loss",
        time_budget=float(task["seconds"]),
        eval_method="holdout",
        split_type="time",
        sample_weight=task["weight"],
        n_jobs=int(os.environ.get("OMP_NUM_THREADS", "2")),
        seed=7,
        verbose=0,
    )
    np.save(sys.argv[2], search.predict_proba(features)[:, 1])
    print(search.best_estimator, search.best_config)


if __name__ == "__main__":
    main()
