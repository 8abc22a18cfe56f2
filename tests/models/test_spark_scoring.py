"""A bundle scores partitions on Apache Spark with the numbers that this machine gives."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from features.tables import CrmTables
from models.bundle import load_bundle, save_bundle
from models.contact_scoring import contact_matrix, contact_population
from models.deal_scoring import deal_matrix, deal_population
from models.spark_scoring import SparkScoringError, score_on_spark
from models.training import Trained
from tests.models.boosters import make_features
from tests.models.scoring import score
from tests.models.test_bundle import make_bundle

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NUMBERS = {
    "contacts": ["close_likelihood", "likelihood_low", "likelihood_high"],
    "deals": ["win_probability", "win_low", "win_high"],
}


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """Spark on two processors of this machine; it ends with the process, as other tests may use it too."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        # Half the processor time goes into compiling what then runs on a few rows.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.driver.memory", "512m")
        .config("spark.local.dir", str(tmp_path_factory.mktemp("spark")))
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )


def on_spark(session: SparkSession, frame: pd.DataFrame, folder: Path, *, partitions: int = 3) -> DataFrame:
    frame.to_parquet(folder / "matrix.parquet", index=False, coerce_timestamps="us")
    return session.read.parquet(str(folder / "matrix.parquet")).repartition(partitions)


def computed(scored: DataFrame, folder: Path) -> pd.DataFrame:
    """Compute a frame in Spark and read it back."""
    scored.write.mode("overwrite").parquet(str(folder / "scored"))
    return pd.read_parquet(folder / "scored")


@pytest.mark.parametrize("question", ["contacts", "deals"])
def test_partitions_are_scored_with_the_published_numbers(
    session: SparkSession,
    question: str,
    market: CrmTables,
    as_of: pd.Timestamp,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    trained: Trained = request.getfixturevalue(f"trained_{question}")
    bundle = load_bundle(save_bundle(trained.bundle, tmp_path / "bundle"))
    assert bundle.data.use == "model"
    if question == "contacts":
        population = contact_population(bundle=bundle, tables=market, as_of=as_of)
        matrix = contact_matrix(bundle=bundle, tables=market, population=population, as_of=as_of)
    else:
        population = deal_population(tables=market, as_of=as_of)
        matrix = deal_matrix(bundle=bundle, tables=market, population=population, as_of=as_of)
    key = f"{question.removesuffix('s')}_id"
    frame = pd.concat([matrix.snapshots[[key, "as_of"]], matrix.features], axis=1)

    scored = score_on_spark(matrix=on_spark(session, frame, tmp_path), bundle=bundle, keep=[key, "as_of"])
    found = computed(scored, tmp_path).set_index(key)

    published = score(bundle, market, as_of).loc[found.index]
    assert len(found) == len(frame) > 50
    assert list(found.columns) == ["as_of", *NUMBERS[question], "model_version"]
    assert set(found["model_version"]) == {bundle.version}
    for column in NUMBERS[question]:
        np.testing.assert_allclose(found[column], published[column].to_numpy(), rtol=0, atol=1e-12)


def test_ranks_have_no_numbers_on_spark_either(session: SparkSession, tmp_path: Path) -> None:
    frame = make_features(10).assign(deal_id=[f"d{number}" for number in range(10)])

    scored = score_on_spark(
        matrix=on_spark(session, frame, tmp_path), bundle=make_bundle(calibrated=False), keep=["deal_id"]
    )

    found = computed(scored, tmp_path)
    assert sorted(found["deal_id"]) == sorted(frame["deal_id"])
    assert found[NUMBERS["deals"]].isna().all(axis=None)


def test_columns_may_be_called_anything(session: SparkSession, tmp_path: Path) -> None:
    contract = make_bundle().data.contract
    odd = contract.features[0].model_copy(update={"name": "deal.`size` now"})
    bundle = make_bundle(contract=contract.model_copy(update={"features": (odd, *contract.features[1:])}))
    frame = make_features(10)

    plain, renamed = (
        computed(
            score_on_spark(matrix=on_spark(session, part, tmp_path, partitions=1), bundle=model, keep=[]), tmp_path
        )
        for part, model in ((frame, make_bundle()), (frame.rename(columns={"number": odd.name}), bundle))
    )

    assert renamed["win_probability"].tolist() == plain["win_probability"].tolist()


def test_a_matrix_that_lacks_columns_is_refused_with_their_names(session: SparkSession, tmp_path: Path) -> None:
    frame = make_features(10).drop(columns=["count", "category"])

    with pytest.raises(SparkScoringError, match="it lacks deal_id, count, category") as caught:
        score_on_spark(matrix=on_spark(session, frame, tmp_path), bundle=make_bundle(), keep=["deal_id"])

    assert caught.value.missing == ("deal_id", "count", "category")


def test_a_fallback_scores_on_spark_too(session: SparkSession, tmp_path: Path) -> None:
    bundle = replace(make_bundle(use="rules"), booster="")
    frame = make_features(4).assign(points=[0.0, 20.0, 40.0, 60.0])

    scored = score_on_spark(matrix=on_spark(session, frame, tmp_path, partitions=1), bundle=bundle, keep=["points"])

    line = bundle.data.points_map
    assert line is not None
    expected = line.predict(np.array([0.0, 20.0, 40.0, 60.0]))
    found = computed(scored, tmp_path).set_index("points")["win_probability"]
    assert found.loc[[0.0, 20.0, 40.0, 60.0]].to_numpy() == pytest.approx(expected, abs=1e-12)
