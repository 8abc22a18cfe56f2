"""The published probability of a matrix, from a bundle's folder, with NumPy and LightGBM alone.

This file imports nothing of Leadline: a copy of it lies beside every registered model, so that a process without
Leadline gets the very same numbers, and it is the program that tries a bundle in a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MANIFEST: Final = "manifest.json"
BOOSTER: Final = "booster.txt"
POINTS: Final = "points"
TOLERANCE: Final = 1e-9
MOST_MEMORY: Final = 4 * 1024**3
CHUNK_ROWS: Final = 100_000
_EDGE: Final = 1e-9
_CALIBRATORS: Final = ("none", "drift", "intercept", "platt", "beta")


class PublishedModelError(Exception):
    """A bundle or a matrix cannot be used; the message says what must hold and what was found."""


class PublishedModel:
    """What a bundle publishes. ``columns`` are what a matrix must bring."""

    def __init__(self, data: Mapping[str, Any], *, booster: str, threads: int = 0) -> None:
        self._data = data
        self._threads = threads
        self._names = [feature["name"] for feature in data["contract"]["features"]]
        self._booster = _load_booster(booster) if data["use"] == "model" else None
        self.columns = [*self._names, POINTS] if data["use"] == "rules" else self._names

    def predict(self, matrix: Any) -> FloatArray:
        """Return the probability of each row, NaN where this model publishes ranks instead of probabilities.

        ``matrix`` is a data frame with ``columns``, or an array with just these in order; missing values are NaN.
        """
        rows = self._rows(matrix)
        if not self._data["calibrated"]:
            return np.full(len(rows), np.nan)
        return self.probability(rows)

    def probability(self, rows: FloatArray) -> FloatArray:
        """Return the probability of each row of an array, whether it passed its calibration test or not."""
        use = self._data["use"]
        if use == "model":
            chunks = [self._of_model(rows[start : start + CHUNK_ROWS]) for start in range(0, len(rows), CHUNK_ROWS)]
            return _calibrated(np.concatenate([np.zeros(0), *chunks]), self._data["calibrator"])
        if use == "rules":
            return _of_points(rows[:, -1], self._data["points_map"])
        if use == "stage_rate":
            return self._of_stage(rows)
        if use == "base_rate":
            return np.full(len(rows), float(self._data["base_rate"]))
        raise PublishedModelError(f"use must be model, rules, stage_rate or base_rate; it is {use!r}")

    def _rows(self, matrix: Any) -> FloatArray:
        if hasattr(matrix, "columns"):
            missing = [name for name in self.columns if name not in matrix.columns]
            if missing:
                raise PublishedModelError(f"the matrix must have every column of the model; it lacks {missing}")
            matrix = matrix[self.columns].to_numpy(dtype=np.float64, na_value=np.nan)
        rows = np.asarray(matrix, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise PublishedModelError(
                f"the matrix must have the {len(self.columns)} columns of the model; its shape is {rows.shape}"
            )
        return rows

    def _of_model(self, rows: FloatArray) -> FloatArray:
        if self._data["question"] == "contacts":
            return self._of_silent(rows, np.asarray(self._raw(rows), dtype=np.float64))
        buckets = len(self._data["shared_edges"])
        stacked = np.column_stack([np.repeat(rows, buckets, axis=0), np.tile(np.arange(buckets), len(rows))])
        hazards = self._raw(stacked).reshape(len(rows), buckets, 3)
        survival = np.cumprod(hazards[:, :, 0], axis=1)
        still_open = np.hstack([np.ones((len(rows), 1)), survival[:, :-1]])
        return np.asarray(np.cumsum(still_open * hazards[:, :, 1], axis=1)[:, -1])

    def _of_silent(self, rows: FloatArray, raw: FloatArray) -> FloatArray:
        """Give the rate of the silent to every row in which no sign of behaviour is above zero."""
        silence = self._data.get("silence")
        if silence is None:
            return raw
        signs = rows[:, [self._names.index(name) for name in silence["columns"]]]
        return np.where((signs > 0.0).any(axis=1), raw, float(silence["rate"]))

    def _raw(self, rows: FloatArray) -> FloatArray:
        booster = self._booster
        if booster is None or booster.num_feature() != rows.shape[1]:
            found = None if booster is None else booster.num_feature()
            raise PublishedModelError(f"the booster must take {rows.shape[1]} columns; it takes {found}")
        return np.asarray(booster.predict(rows, num_threads=self._threads))

    def _of_stage(self, rows: FloatArray) -> FloatArray:
        rates, contract = self._data["stage_rates"], self._data["contract"]
        pipelines = [rates["pipelines"].get(name, rates["overall"]) for name in contract["pipelines"]]
        stages = []
        for key in contract["stages"]:
            pipeline = next((name for name in contract["pipelines"] if key.startswith(f"{name}/")), "")
            of_pipeline = rates["pipelines"].get(pipeline, rates["overall"])
            stages.append(rates["stages"].get(pipeline, {}).get(key[len(pipeline) + 1 :], of_pipeline))
        found = np.full(len(rows), float(rates["overall"]))
        for name, known in (("pipeline", pipelines), ("stage", stages)):
            if name in self._names and known:
                code = rows[:, self._names.index(name)]
                own = (code >= 0) & (code < len(known))
                found[own] = np.array(known)[code[own].astype(np.int64)]
        return found


def open_published(folder: Path, *, threads: int = 0) -> PublishedModel:
    """Read a bundle's folder after its digests hold; ``threads`` 0 means all processors."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    contents = {}
    for name, digest in manifest["sha256"].items():
        if Path(name).name != name or (folder / name).is_symlink():
            raise PublishedModelError(f"{folder / MANIFEST} must list plain files of its folder; it lists {name!r}")
        contents[name] = (folder / name).read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise PublishedModelError(f"{folder / name} is not the file that was saved; the model is not loaded")
    data = json.loads(contents["bundle.json"])
    if "contract.json" in contents:
        data["contract"] = json.loads(contents["contract.json"])
    return PublishedModel(data, booster=contents[BOOSTER].decode(), threads=threads)


def rehearse(folder: Path) -> None:
    """Load a bundle and compute its probe, or for want of one a row of zeros and a row of missing values."""
    model = open_published(folder, threads=1)
    if not (folder / "probe.json").exists():
        width = len(model.columns)
        model.probability(np.vstack([np.zeros(width), np.full(width, np.nan)]))
        return
    probe = json.loads((folder / "probe.json").read_bytes())
    if probe["columns"] != model.columns:
        raise PublishedModelError("the probe must have the columns of the model; it has others")
    rows = np.array(probe["rows"], dtype=np.float64).reshape(-1, len(model.columns))
    wanted = np.array(probe["probability"], dtype=np.float64)
    found = model.probability(rows)
    if found.shape != wanted.shape or not np.all(np.abs(found - wanted) <= TOLERANCE):
        raise PublishedModelError("the probe must give the probabilities that were saved with it; it gives others")


def _load_booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)


def _calibrated(probability: FloatArray, calibrator: Mapping[str, Any]) -> FloatArray:
    if calibrator["kind"] == "none":
        return probability
    if calibrator["kind"] not in _CALIBRATORS:
        raise PublishedModelError(f"the calibrator must be one of {_CALIBRATORS}; it is {calibrator['kind']!r}")
    inside = np.clip(probability, _EDGE, 1 - _EDGE)
    won = calibrator["slope"]
    lost = calibrator.get("slope_no") or won
    return _sigmoid(calibrator["intercept"] + won * np.log(inside) - lost * np.log1p(-inside))


def _of_points(points: FloatArray, line: Mapping[str, Any]) -> FloatArray:
    unknown = line["intercept"] if line.get("unknown") is None else line["unknown"]
    return _sigmoid(np.where(np.isnan(points), unknown, line["intercept"] + line["slope"] * points / 10.0))


def _sigmoid(log_odds: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def main() -> None:
    """Rehearse the bundle that the command line names; a damaged one ends this process and no other."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    # LightGBM imports these if it finds them, which takes seconds, and needs none of them here.
    for name in ("pandas", "sklearn", "matplotlib", "pyarrow", "dask", "distributed", "polars", "graphviz"):
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        rehearse(Path(sys.argv[1]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
