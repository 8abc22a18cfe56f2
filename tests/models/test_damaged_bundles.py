"""200 damaged, tampered and hostile bundles: each is refused in our words, and this process lives on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import BundleError, load_bundle, save_bundle
from models.signing import Trust
from tests.models.boosters import make_features
from tests.models.keys import make_keys
from tests.models.test_bundle import DATA_FILES, FILES, make_bundle, renew_digests

PUBLISHED = Path(__file__).parents[2] / "models" / "published.py"
OLD = Path(__file__).parent / "data" / "bundle_format_1"
KEYS = make_keys()
NAME = make_bundle().version
CANARY = "canary-that-must-not-sing"

Damage = Callable[[Path], None]


def flip_bit(name: str, share: float, bit: int) -> Damage:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[int(share * (len(content) - 1))] ^= 1 << bit
        (folder / name).write_bytes(content)

    return damage


def cut_off(name: str, share: float) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return damage


def swap_digits(name: str, place: int) -> Damage:
    """Exchange two neighbouring, different digits and compute all digests anew: it parses, and means something else."""

    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        spots = [found.start() for found in re.finditer(r"(?=(\d)(?!\1)\d)", text)]
        at = spots[place % len(spots)]
        (folder / name).write_text(text[:at] + text[at + 1] + text[at] + text[at + 2 :])
        renew_digests(folder)

    return damage


def break_booster(old: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        text = (folder / "booster.txt").read_text()
        assert old in text
        (folder / "booster.txt").write_text(text.replace(old, new, 1))
        renew_digests(folder)

    return damage


def put(name: str, content: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_text(content)
        if name in DATA_FILES:
            renew_digests(folder)

    return damage


def change_data(key: str, value: object) -> Damage:
    def damage(folder: Path) -> None:
        data = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**data, key: value}))
        renew_digests(folder)

    return damage


def missing(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def link_outside(name: str) -> Damage:
    """The right bytes, but by a link that can be pointed elsewhere after the check."""

    def damage(folder: Path) -> None:
        (folder / name).rename(folder.parent / f"outside-{name}")
        (folder / name).symlink_to(folder.parent / f"outside-{name}")

    return damage


def wrong_hash(name: str, digest: object) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"][name] = digest
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def listed_path(path: str) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"][path] = manifest["sha256"].pop("booster.txt")
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def pipe(folder: Path) -> None:
    (folder / "booster.txt").unlink()
    os.mkfifo(folder / "booster.txt")


def folder_in_place(folder: Path) -> None:
    (folder / "booster.txt").unlink()
    (folder / "booster.txt").mkdir()


HOSTILE = (
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"format": 1, "format": 2}',
    '{"base_rate": NaN}',
    '{"base_rate": 1e999}',
    '{"base_rate": ' + "9" * 5000 + "}",
    '{"__class__": "os.system", "py/object": "os.system", "!!python/object": "x"}',
    "\ufeff{}",
    "null",
    "",
)
BROKEN_BOOSTERS = (
    ("num_leaves=", "num_leaves=9"),
    ("num_leaves=", "num_leaves=-"),
    ("split_feature=", "split_feature=77 "),
    ("left_child=", "left_child=999 "),
    ("right_child=", "right_child=-999 "),
    ("cat_threshold=", "cat_threshold=x"),
    ("num_class=3", "num_class=300000000"),
    ("max_feature_idx=4", "max_feature_idx=2"),
    ("max_feature_idx=4", "max_feature_idx=-1"),
    ("num_tree_per_iteration=3", "num_tree_per_iteration=0"),
    ("tree_sizes=", "tree_sizes=1"),
    ("tree\n", "pickle\n"),
    ("objective=multiclass", "objective=binary"),
    ("leaf_value=", "leaf_value=nan "),
)


def damages() -> Iterator[tuple[str, Damage]]:
    """Yield 200 kinds of damage with their names."""
    for number, name in enumerate(FILES * 11):
        yield f"bit {number} {name}", flip_bit(name, (number * 0.137) % 1.0, number % 8)
    for name in FILES:
        for share in (0.0, 0.3, 0.6, 0.99):
            yield f"cut {share} {name}", cut_off(name, share)
        yield f"missing {name}", missing(name)
        yield f"link {name}", link_outside(name)
    for place in range(20):
        yield f"digits {place} booster", swap_digits("booster.txt", 997 + 61 * place)
    for place in range(10):
        yield f"digits {place} data", swap_digits("bundle.json", 13 * place)
    for number, (old, new) in enumerate(BROKEN_BOOSTERS):
        yield f"booster {number}", break_booster(old, new)
    for number, text in enumerate(HOSTILE):
        yield f"hostile {number} data", put("bundle.json", text)
        yield f"hostile {number} manifest", put("manifest.json", text)
    for name in ("booster.txt", "bundle.json"):
        for digest in ("", "0" * 64, None, 7):
            yield f"hash {digest} {name}", wrong_hash(name, digest)
    for path in ("../outside", "/etc/passwd", "booster.txt/../../x"):
        yield f"path {path}", listed_path(path)
    for key, value in (
        ("shared_edges", [1.0]),
        ("use", "pickle"),
        ("calibrator", {"kind": "python"}),
        ("trained_as_of", 5),
        ("trained_as_of", "99999-01-01"),
        ("stage_rates", {"deep": json.loads("[" * 900 + "]" * 900)}),
    ):
        yield f"data {key} {str(value)[:20]}", change_data(key, value)
    for name in ("evil.pkl", "MLmodel", "conftest.py"):
        yield f"stranger {name}", put(name, "import os")
    yield "pipe", pipe
    yield "folder", folder_in_place


def test_200_damaged_bundles_are_200_refusals_and_this_process_lives(tmp_path: Path) -> None:
    sound = save_bundle(make_bundle(), tmp_path / "sound")
    process, refused, every = os.getpid(), {}, dict(damages())

    for number, (name, damage) in enumerate(every.items()):
        folder = tmp_path / str(number) / "bundle"
        shutil.copytree(sound, folder)
        damage(folder)
        with pytest.raises(BundleError) as caught:
            load_bundle(folder, version=NAME)
        refused[name] = str(caught.value)
        assert caught.value.folder == folder

    assert len(refused) >= 200
    assert os.getpid() == process
    for name, told in refused.items():
        assert str(tmp_path) in told, name
        assert re.search(r"(?i)roll back|train again|take .* out|put the folder", told), told
    assert load_bundle(sound, version=NAME) == make_bundle()


@pytest.mark.parametrize(("old", "new"), BROKEN_BOOSTERS[:11])
def test_a_booster_that_ends_the_process_ends_only_the_one_that_tries_it(tmp_path: Path, old: str, new: str) -> None:
    """The bundle is tampered with from the start, so that its digests, its name and its signature hold."""
    text = make_bundle().booster
    assert old in text
    folder = save_bundle(make_bundle(), tmp_path / "bundle")
    forged = replace(make_bundle(), booster=text.replace(old, new, 1))
    (folder / "booster.txt").write_text(forged.booster)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": forged.version}))
    renew_digests(folder)

    with pytest.raises(BundleError, match="failed its trial in a process of its own: "):
        load_bundle(folder, version=forged.version)


def test_a_bundle_is_tried_once_and_its_trial_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models import bundle_trial

    folder = save_bundle(make_bundle(base_rate=0.123), tmp_path / "bundle")
    memory = tmp_path / "tried"
    started: list[object] = []
    run = subprocess.run
    monkeypatch.setattr(bundle_trial.subprocess, "run", lambda *a, **k: (started.append(a), run(*a, **k))[1])
    monkeypatch.setattr(bundle_trial, "_tried", set())

    load_bundle(folder, trust=Trust(memory=memory))
    load_bundle(folder)
    assert len(started) == 1
    monkeypatch.setattr(bundle_trial, "_tried", set())  # as another process begins
    load_bundle(folder, trust=Trust(memory=memory))
    assert len(started) == 1
    monkeypatch.setattr(bundle_trial, "version", lambda name: "5.0.0")  # another LightGBM
    load_bundle(folder, trust=Trust(memory=memory))
    assert len(started) == 2


def test_a_memory_that_cannot_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models import bundle_trial

    monkeypatch.setattr(bundle_trial, "_tried", set())
    (tmp_path / "file").write_text("")
    folder = save_bundle(make_bundle(), tmp_path / "bundle")

    assert load_bundle(folder, trust=Trust(memory=tmp_path / "file" / "tried")) == make_bundle()


def test_a_link_to_a_bundle_is_refused(tmp_path: Path) -> None:
    save_bundle(make_bundle(), tmp_path / "bundle")
    (tmp_path / "link").symlink_to(tmp_path / "bundle")

    with pytest.raises(BundleError, match="must be a folder, and is a link"):
        load_bundle(tmp_path / "link")


def test_content_that_is_not_what_the_registry_knows_is_refused(tmp_path: Path) -> None:
    other = save_bundle(make_bundle(base_rate=0.5), tmp_path / "other")

    with pytest.raises(
        BundleError, match=f"must be {NAME}, and its content is that of {make_bundle(base_rate=0.5).version}"
    ):
        load_bundle(other, version=NAME)


def test_an_older_bundle_still_loads_and_says_the_same(tmp_path: Path) -> None:
    loaded = load_bundle(OLD, version="deals-20260101T123000Z-7fa28b4b1d23")

    won = (
        loaded.landmark()
        .curve(features=make_features(3, seed=5), pipelines=np.array(["sales"] * 3, dtype=object))
        .won[:, -1]
    )
    # What the version that wrote it said.
    assert loaded.data.calibrator.apply(won).tolist() == pytest.approx(
        [0.4467855202388578, 0.43997694836059525, 0.44677566939508917], abs=1e-12
    )
    assert (loaded.data.format, loaded.environment, loaded.data.step, loaded.data.trained_from) == (1, {}, None, None)
    assert loaded.version == "deals-20260101T123000Z-7fa28b4b1d23"


def test_an_older_bundle_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    data = json.loads((OLD / "bundle.json").read_text())
    del data["venn_abers"]
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(data))
    renew_digests(tmp_path / "old")

    with pytest.raises(BundleError, match="1 faults: venn_abers: Field required"):
        load_bundle(tmp_path / "old")


@pytest.mark.parametrize("name", DATA_FILES)
def test_with_a_demanded_signature_no_file_can_be_changed_even_with_new_digests(tmp_path: Path, name: str) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle", private_key=KEYS.private)
    trust = Trust(public_key=KEYS.public, required=True)
    assert load_bundle(folder, trust=trust) == make_bundle()

    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    renew_digests(folder)

    with pytest.raises(BundleError, match="is not the signature of this manifest"):
        load_bundle(folder, trust=trust)


def test_an_unsigned_bundle_is_refused_only_where_a_signature_is_demanded(tmp_path: Path) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle")

    assert load_bundle(folder, trust=Trust(public_key=KEYS.public)) == make_bundle()
    with pytest.raises(BundleError, match="must be signed, and is not"):
        load_bundle(folder, trust=Trust(public_key=KEYS.public, required=True))


def test_a_signature_by_another_key_is_refused(tmp_path: Path) -> None:
    folder = save_bundle(make_bundle(), tmp_path / "bundle", private_key=make_keys().private)

    with pytest.raises(BundleError, match="is by the key"):
        load_bundle(folder, trust=Trust(public_key=KEYS.public))


def test_a_bundle_saved_again_with_a_key_is_signed(tmp_path: Path) -> None:
    trust = Trust(public_key=KEYS.public, required=True)
    save_bundle(make_bundle(), tmp_path / "bundle")

    folder = save_bundle(make_bundle(), tmp_path / "bundle", private_key=KEYS.private, trust=trust)

    assert load_bundle(folder, trust=trust) == make_bundle()


def test_saving_and_loading_unpickles_nothing(tmp_path: Path) -> None:
    """A process in which every way to unpickle raises, and nobody may import a pickle of another kind."""
    program = (
        "import _pickle, pickle, sys\n"
        "class refuse:\n"  # a class, for libraries derive their own from Unpickler
        "    def __init__(self, *arguments, **options): raise AssertionError('something was unpickled')\n"
        "for module in (pickle, _pickle):\n"
        "    for name in ('load', 'loads', 'Unpickler'): setattr(module, name, refuse)\n"
        "class Hook:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('cloudpickle', 'dill', 'joblib', 'marshal', 'shelve'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Hook())\n"
        "from pathlib import Path\n"
        "from models.bundle import load_bundle, save_bundle\n"
        "old = load_bundle(Path(sys.argv[1]))\n"
        "new = load_bundle(save_bundle(old, Path(sys.argv[2])))\n"
        "assert new.load_booster().num_trees() == old.load_booster().num_trees()\n"
        "print('loaded', old.version, 'and as today', new.data.format)\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program, str(OLD), str(tmp_path / "new")], capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "loaded deals-20260101T123000Z-7fa28b4b1d23 and as today 2\n"


def test_canaries_in_every_text_of_a_bundle_stay_data(tmp_path: Path) -> None:
    canary = tmp_path / CANARY
    bait = (
        f"{{{{ cycler.__init__.__globals__.os.system('touch {canary}') }}}}"
        f" !!python/object/apply:os.system ['touch {canary}'] ${{touch {canary}}} `touch {canary}`"
    )
    bundle = make_bundle(
        left_out=({"table": bait, "column": bait, "reason": bait},), stage_rates={"overall": 0.3, bait: bait}
    )
    bundle = replace(bundle, evaluation={bait: {"__reduce__": bait}})

    loaded = load_bundle(save_bundle(bundle, tmp_path / "bundle"))

    assert loaded == bundle
    assert not canary.exists()
