"""A bundle on disk: the same model back, or a refusal."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from features.feature_contract import FeatureContract
from features.properties import PropertySettings
from models.bundle import FORMAT, Bundle, BundleData, BundleError, load_bundle, save_bundle
from models.calibration import Calibrator
from models.explanation import Reference
from models.intervals import VennAbers
from models.ladder import LadderSettings, Step
from models.rules.points_map import PointsMap
from models.rules.sheet import PointRules
from tests.models.boosters import CONTRACT, make_features, make_landmark_booster

DATA_FILES = ("booster.txt", "bundle.json", "contract.json", "environment.json", "evaluation.json", "probe.json")
FILES = (
    "booster.txt",
    "bundle.json",
    "contract.json",
    "environment.json",
    "evaluation.json",
    "manifest.json",
    "probe.json",
)
RULES = PointRules.model_validate(
    {
        "fit": {"criteria": [{"name": "toys", "property": "industry", "in": ["toys", 3, True], "points": 5}]},
        "engagement": {"criteria": [{"name": "silent", "inactive_days": 60, "points": -5}]},
        "thresholds": {"mql": 50},
        "account": {"criteria": [{"name": "open", "deal": "open", "points": 5}]},
    }
)


@cache
def booster_text() -> str:
    return str(make_landmark_booster().model_to_string())


def make_bundle(**changes: object) -> Bundle:
    contract = FeatureContract(
        question="deals",
        kinds=("call",),
        windows_days=(7.0,),
        half_lives_days=(),
        properties={"industry": ("toys", "(other)"), "size": ()},
        deal_columns=("amount",),
        vouched=("industry",),
        pipelines=("sales",),
        stages=("sales/demo",),
        has_activities=True,
        features=CONTRACT,
    )
    data = BundleData(
        question="deals",
        use="model",
        calibrated=True,
        trained_from=datetime(2024, 7, 1, tzinfo=UTC),
        trained_as_of=datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
        horizon_days=90.0,
        contract=contract,
        properties=PropertySettings(),
        rules=RULES,
        calibrator=Calibrator(kind="platt", slope=1 / 3, intercept=-0.1),
        venn_abers=VennAbers(score=(0.1, 0.2), low=(0.05, 0.1), high=(0.2, 0.3)),
        reference=Reference(base_rate=0.1 + 0.2, mean_effects=(1e-17, 0.25, -0.1, 0.0)),
        base_rate=2 / 3,
        points_map=PointsMap(intercept=-2.0, slope=0.1),
        points_known=True,
        stage_rates={"overall": 0.3},
        stall_days={"sales/demo": 12.5},
        edges={"sales": (1.0, 2.0)},
        shared_edges=(3.0, 4.0),
        background=((1.0, None, 0.0, 2.5),),
        drivers=({"family": "pace", "mean_abs_effect": 0.1, "features": [{"bins": [{"label": "1 ü"}]}]},),
        left_out=({"table": "deals", "column": "x", "reason": "no history"},),
        ladder=LadderSettings(deals_model_from=30),
        step=Step("model", "41 won and 60 lost deals were found, enough for the model"),
        data_digest="d",
        settings_digest="s",
    )
    return Bundle(
        data=data.model_copy(update=changes),
        booster=booster_text(),
        evaluation={"question": "deals", "base_rate": None, "scorers": {"model": {"auc": 0.1 + 0.2}}},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_bundle(make_bundle(), tmp_path / "bundles" / "one")


def renew_digests(folder: Path) -> None:
    """What somebody does who changes a file and knows how a bundle is made."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_was_saved_is_loaded(saved: Path) -> None:
    bundle, loaded = make_bundle(), load_bundle(saved)

    rows = make_features(50, seed=5).assign(bucket=1.0).to_numpy()
    assert loaded == bundle
    assert loaded.version == bundle.version
    assert loaded.load_booster().predict(rows).tolist() == bundle.load_booster().predict(rows).tolist()
    assert np.array_equal(loaded.background(), np.array([[1.0, np.nan, 0.0, 2.5]]), equal_nan=True)
    assert loaded.buckets().of(np.array(["sales", "other"], dtype=object)).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_saving_twice_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = save_bundle(load_bundle(saved), tmp_path / "again")

    assert contents(again) == contents(saved)
    assert tuple(contents(saved)) == FILES


def test_a_bundle_is_text_and_no_pickle(saved: Path) -> None:
    for name, content in contents(saved).items():
        text = content.decode("utf-8")
        assert (name == "booster.txt") != text.startswith("{")
    assert contents(saved)["booster.txt"].startswith(b"tree\n")


def test_the_version_names_question_as_of_and_content() -> None:
    version = make_bundle().version

    assert version.startswith("deals-20260101T123000Z-")
    assert version != make_bundle(base_rate=0.5).version
    assert version != Bundle(data=make_bundle().data, booster="another", evaluation={}).version


def test_the_version_tells_the_as_of_in_utc() -> None:
    eastern = datetime(2026, 1, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))

    assert make_bundle(trained_as_of=eastern).version.startswith("deals-20260101T123000Z-")


def test_the_evaluation_is_no_part_of_the_version() -> None:
    bundle = make_bundle()

    assert Bundle(data=bundle.data, booster=bundle.booster, evaluation={}).version == bundle.version


def test_any_flipped_bit_of_the_manifest_is_refused(saved: Path) -> None:
    path = saved / "manifest.json"
    sound = path.read_bytes()

    for place in range(len(sound)):
        for bit in range(8):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :])
            with pytest.raises(BundleError):
                load_bundle(saved)

    path.write_bytes(sound)
    assert load_bundle(saved) == make_bundle()


@pytest.mark.parametrize("name", DATA_FILES)
def test_any_flipped_byte_of_a_file_is_refused(saved: Path, name: str) -> None:
    path = saved / name
    sound = path.read_bytes()
    places = np.unique(np.linspace(0, len(sound) - 1, 60).astype(int))

    for place in places:
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
        with pytest.raises(BundleError, match="not the file that was saved"):
            load_bundle(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_off_file_is_refused(saved: Path, name: str) -> None:
    content = (saved / name).read_bytes()

    (saved / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="train again"):
        load_bundle(saved)
    (saved / name).unlink()
    with pytest.raises(BundleError, match="train again"):
        load_bundle(saved)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ({"format": FORMAT + 1, "sha256": {}}, "has format 3, this version reads 1, 2"),
        ({"format": True, "sha256": {}}, "has format True"),
        ({"sha256": {}}, "has format None"),
        ({"format": FORMAT}, "must hold format, sha256, version and nothing else"),
        ({"format": FORMAT, "sha256": {}, "version": 7}, "must hold format, sha256, version"),
        ({"format": FORMAT, "sha256": {}, "version": "x", "run": "rm"}, "and nothing else"),
        ({"format": FORMAT, "sha256": {"../../etc/passwd": ""}, "version": "x"}, "does not list the files of format 2"),
        ([1], "must hold a JSON object"),
    ],
)
def test_another_manifest_is_refused(saved: Path, manifest: object, told: str) -> None:
    (saved / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match=told):
        load_bundle(saved)


def test_data_of_another_shape_are_refused_even_with_the_right_digest(saved: Path) -> None:
    data = json.loads((saved / "bundle.json").read_text())
    del data["base_rate"]
    (saved / "bundle.json").write_text(json.dumps({**data, "surprise": 1}))
    renew_digests(saved)

    with pytest.raises(BundleError, match="2 faults: base_rate: Field required; surprise: Extra inputs"):
        load_bundle(saved)


def test_a_sound_bundle_is_never_overwritten(saved: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in saved.iterdir()}

    save_bundle(make_bundle(base_rate=0.123), saved)

    assert {path.name: path.stat().st_mtime_ns for path in saved.iterdir()} == before


def test_training_again_mends_a_damaged_bundle(saved: Path) -> None:
    (saved / "booster.txt").write_text("garbage")

    save_bundle(make_bundle(), saved)

    assert load_bundle(saved) == make_bundle()


def test_what_an_interrupted_save_left_behind_is_replaced(tmp_path: Path) -> None:
    partial = tmp_path / ".one.partial"
    partial.mkdir()
    (partial / "booster.txt").write_text("half")

    folder = save_bundle(make_bundle(), tmp_path / "one")

    assert load_bundle(folder) == make_bundle()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_number_that_json_cannot_hold_is_refused_when_saving(tmp_path: Path) -> None:
    bundle = Bundle(data=make_bundle().data, booster="", evaluation={"auc": float("nan")})

    with pytest.raises(ValueError, match="Out of range float"):
        save_bundle(bundle, tmp_path / "one")
    assert not (tmp_path / "one").exists()
