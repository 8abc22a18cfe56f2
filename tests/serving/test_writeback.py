from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from features.sources.hubspot.client import ConnectionSettings, Credentials, HubSpotClient, MissingScopeError
from features.sources.hubspot.landing import Landing
from features.sources.hubspot_sandbox.account import Account, PropertyRule
from features.sources.hubspot_sandbox.answers import Reply
from features.sources.hubspot_sandbox.api import Api, Request
from features.sources.hubspot_sandbox.server import serving
from serving.contract import conform
from serving.writeback.fields import FIELDS, WriteBackSettings, changed_enough
from serving.writeback.ledger import Ledger, NothingToUndoError, WriteBackBusyError
from serving.writeback.properties import UnfitPropertyError
from serving.writeback.writer import Outcome, Plan, WriteBack, WriteBackRefusedError
from tests.features.hubspot_accounts import TOKEN, Killed, Storm, VirtualClock, make_account, make_api
from tests.serving.conftest import make_contact, make_deal

UPDATE = "/crm/objects/2026-09/contacts/batch/update"
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
Likelihoods = Mapping[int, float | None]


def contact_rows(likelihoods: Likelihoods, *, day: int = 0, **changed: Any) -> pd.DataFrame:
    """A published batch of contacts, as of a day in March."""
    as_of = pd.Timestamp(MARCH + timedelta(days=day))
    stamped = {"batch_id": f"b{day}", "scored_at": as_of, "as_of": as_of}
    rows = []
    for number, likelihood in likelihoods.items():
        unscored = {"close_likelihood": None, "tier": None, "not_scored": "no facts", "reasons": None}
        scored = {"close_likelihood": likelihood} if likelihood is not None else unscored
        rows.append(make_contact(str(number)) | stamped | scored | changed)
    return conform("contacts", pd.DataFrame(rows))


class MortalClient(HubSpotClient):
    """Dies after a certain update was answered, before anything of it is written down."""

    dies_at_update = 0
    updates = 0

    def post(self, path: str, body: Any) -> Any:
        answer = super().post(path, body)
        if path.endswith("/batch/update"):
            self.updates += 1
            if self.updates == self.dies_at_update:
                raise Killed
        return answer


@dataclass
class Runner:
    """Writes back from one home."""

    url: str
    clock: VirtualClock
    home: Path
    settings: WriteBackSettings = field(default_factory=WriteBackSettings)

    @contextmanager
    def at_work(self, *, landing: bool = False, dies_at_update: int = 0) -> Iterator[WriteBack]:
        client = MortalClient(
            settings=ConnectionSettings(base_url=self.url),
            credentials=Credentials(token=SecretStr(TOKEN)),
            clock=self.clock,
        )
        client.dies_at_update = dies_at_update
        ledger = Ledger(self.home, busy_seconds=0)
        landed = Landing(self.home / "warehouse" / "hubspot.db") if landing else None
        try:
            yield WriteBack(client=client, ledger=ledger, settings=self.settings, landing=landed)
        finally:
            client.close()
            ledger.close()
            if landed is not None:
                landed.close()

    def write(self, rows: pd.DataFrame, *, question: str = "contacts", **options: Any) -> tuple[Plan, Outcome]:
        limit = options.pop("limit", None)
        with self.at_work(**options) as back:
            plan = back.plan(rows, question=question, limit=limit)
            return plan, back.execute(plan, now=self.clock.now())

    def undo(self, question: str = "contacts") -> Outcome:
        with self.at_work() as back:
            return back.undo(question, now=self.clock.now())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def account(clock: VirtualClock) -> Account:
    return make_account(clock)


@pytest.fixture
def api(account: Account) -> Api:
    return make_api(account)


@pytest.fixture
def runner(api: Api, clock: VirtualClock, tmp_path: Path) -> Iterator[Runner]:
    with serving(api) as url:
        yield Runner(url, clock, tmp_path)


def people(account: Account, count: int) -> list[int]:
    return [account.create("contacts", {"email": f"c{number}@example.org"}) for number in range(count)]


def in_hubspot(account: Account, number: int, name: str = "leadline_likelihood") -> str | None:
    return account.objects["contacts"][number].values.get(name)


def updates(api: Api) -> int:
    count = sum(path.endswith("/batch/update") for _, path in api.calls)
    api.calls.clear()
    return count


def test_a_contact_gets_all_its_properties(account: Account, runner: Runner) -> None:
    number = people(account, 1)[0]

    _, outcome = runner.write(contact_rows({number: 0.31}))

    values = account.objects["contacts"][number].values
    assert {name: value for name, value in values.items() if name.startswith("leadline_")} == {
        "leadline_likelihood": "0.31",
        "leadline_tier": "high",
        "leadline_points": "35",
        "leadline_grade": "B2",
        "leadline_reasons": "Was in touch lately (+15.0); Small company (-5.0)",
        "leadline_scored_at": "2024-03-01T00:00:00.000Z",
        "leadline_model_version": "contacts-3",
    }
    assert (outcome.written, outcome.dead) == (1, ())
    rules = account.properties["contacts"]
    assert {rules[field.name(runner.settings)].group for field in FIELDS["contacts"]} == {"leadline"}
    assert rules["leadline_tier"].options == ("very_high", "high", "medium", "low")


def test_a_deal_gets_all_its_properties(account: Account, runner: Runner) -> None:
    number = account.create("deals", {"dealname": "D"})
    stamped = {"batch_id": "b", "scored_at": pd.Timestamp(MARCH)}
    row = make_deal(
        str(number), win_probability=0.5, stalled=True, expected_close_at=pd.Timestamp("2024-05-01", tz="UTC")
    )

    runner.write(conform("deals", pd.DataFrame([row | stamped])), question="deals")

    values = account.objects["deals"][number].values
    assert values["leadline_win_probability"] == "0.5"
    assert values["leadline_stalled"] == "yes"
    assert values["leadline_expected_close"] == "2024-05-01T00:00:00.000Z"
    assert values["dealname"] == "D"


def test_unchanged_scores_cost_no_request_at_all(account: Account, api: Api, runner: Runner) -> None:
    ids = people(account, 130)
    runner.write(contact_rows(dict.fromkeys(ids, 0.3)))
    first = updates(api)

    plan, _ = runner.write(contact_rows(dict.fromkeys(ids, 0.3), day=1))

    assert first == 2
    assert plan.unchanged == 130
    assert api.calls == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"leadline_likelihood": "0.3"}, {"leadline_likelihood": "0.309"}, False),
        ({"leadline_likelihood": "0.3"}, {"leadline_likelihood": "0.31"}, True),
        ({"leadline_likelihood": "0.3"}, {"leadline_likelihood": "0.29"}, True),
        ({"leadline_likelihood": None}, {"leadline_likelihood": "0.001"}, True),
        ({"leadline_likelihood": "0.3"}, {"leadline_likelihood": ""}, True),
        ({"leadline_tier": "low"}, {"leadline_tier": "high"}, True),
        ({"leadline_points": "30"}, {"leadline_points": "30.5"}, False),
        ({"leadline_points": "30"}, {"leadline_points": "31"}, True),
        ({"leadline_reasons": "a"}, {"leadline_reasons": "b"}, False),
        ({"leadline_scored_at": "2024-03-01"}, {"leadline_scored_at": "2024-03-02"}, False),
    ],
)
def test_only_a_step_or_more_is_news(before: dict[str, str | None], after: dict[str, str], expected: bool) -> None:
    assert changed_enough(before, after, question="contacts", settings=WriteBackSettings()) is expected


def test_an_expected_close_must_move_by_a_week() -> None:
    before = {"leadline_expected_close": "2024-05-01T00:00:00Z"}
    nearly, quite = ({"leadline_expected_close": f"2024-05-0{day}T00:00:00Z"} for day in (7, 8))

    found = [changed_enough(before, one, question="deals", settings=WriteBackSettings()) for one in (nearly, quite)]

    assert found == [False, True]


def test_a_score_that_is_gone_clears_nothing_unless_told(account: Account, runner: Runner) -> None:
    number = people(account, 1)[0]
    runner.write(contact_rows({number: 0.3}))

    runner.write(contact_rows({number: None}, day=1))
    kept = in_hubspot(account, number)
    runner.settings = WriteBackSettings(clear_nulls=True)
    runner.write(contact_rows({number: None}, day=2))

    assert kept == "0.3"
    assert in_hubspot(account, number) is None
    assert in_hubspot(account, number, "leadline_points") == "35"


def test_a_plan_writes_nothing_and_makes_nothing(account: Account, api: Api, runner: Runner) -> None:
    number = people(account, 1)[0]

    with runner.at_work() as back:
        plan = back.plan(contact_rows({number: 0.3}), question="contacts")

    assert [write.after["leadline_likelihood"] for write in plan.writes] == ["0.3"]
    assert {field.suffix for field in plan.missing} == {field.suffix for field in FIELDS["contacts"]}
    assert "leadline_likelihood" not in account.properties["contacts"]
    assert {path.rpartition("/")[2] for method, path in api.calls if method == "POST"} == {"read"}


def test_a_limit_writes_the_best_scores_first_and_the_rest_next_time(account: Account, runner: Runner) -> None:
    ids = people(account, 5)
    rows = contact_rows({number: 0.1 * place for place, number in enumerate(ids, start=1)})

    plan, _ = runner.write(rows, limit=2)
    after_first = [in_hubspot(account, number) for number in ids]
    runner.write(rows)

    assert plan.later == 3
    assert after_first == [None, None, None, "0.4", "0.5"]
    assert [in_hubspot(account, number) for number in ids] == ["0.1", "0.2", "0.3", "0.4", "0.5"]


def test_one_refused_contact_of_a_hundred_is_named_and_the_others_land(
    account: Account, api: Api, runner: Runner
) -> None:
    ids = people(account, 100)
    account.forbidden["contacts"] = {ids[42]: "Lead source is required for ada@example.org"}

    _, outcome = runner.write(contact_rows(dict.fromkeys(ids, 0.3)))

    assert outcome.written == 99
    assert [(letter.object_id, letter.reason) for letter in outcome.dead] == [
        (str(ids[42]), "VALIDATION_ERROR: Lead source is required for (an address)")
    ]
    # Halving 100 seven times at most, with two halves each time.
    assert updates(api) <= 1 + 2 * 7
    account.forbidden.clear()
    plan, outcome = runner.write(contact_rows(dict.fromkeys(ids, 0.3)))
    assert [write.object_id for write in plan.writes] == [str(ids[42])]
    assert (outcome.written, outcome.dead) == (1, ())


def test_a_batch_in_which_some_are_gone_is_written_but_for_those(account: Account, runner: Runner) -> None:
    ids = people(account, 10)
    account.archive("contacts", ids[3])

    plan, outcome = runner.write(contact_rows(dict.fromkeys(ids, 0.3)))

    assert outcome.written == 9
    assert [letter.object_id for letter in plan.gone] == [str(ids[3])]
    assert "does not have it any more" in plan.gone[0].reason


def test_one_that_goes_between_the_plan_and_the_write_is_told_by_hubspot(account: Account, runner: Runner) -> None:
    ids = people(account, 10)
    with runner.at_work() as back:
        plan = back.plan(contact_rows(dict.fromkeys(ids, 0.3)), question="contacts")
        account.archive("contacts", ids[3])

        outcome = back.execute(plan, now=runner.clock.now())

    assert outcome.written == 9
    assert [letter.object_id for letter in outcome.dead] == [str(ids[3])]
    assert outcome.dead[0].reason.startswith("OBJECT_NOT_FOUND: Could not get some objects")


def test_where_hubspot_refuses_everything_the_run_ends_with_its_reason(
    account: Account, api: Api, runner: Runner
) -> None:
    ids = people(account, 250)
    account.forbidden["contacts"] = dict.fromkeys(ids, "This account is read only")

    with pytest.raises(WriteBackRefusedError, match="This account is read only"):
        runner.write(contact_rows(dict.fromkeys(ids, 0.3)))

    assert updates(api) < 200


def test_a_score_of_a_merged_contact_goes_to_the_survivor(account: Account, runner: Runner) -> None:
    first, second, third = people(account, 3)
    survivor = account.merge("contacts", first, second, new_id=True)
    landing = Landing(runner.home / "warehouse" / "hubspot.db")
    with landing.page():
        one = {
            "id": str(survivor),
            "createdAt": "2026-03-01T00:00:00Z",
            "updatedAt": "2026-03-01T00:00:00Z",
            "properties": {"hs_merged_object_ids": f"{first};{second}"},
        }
        landing.land("contacts", [one], tracked=(), history=(), sweep=0, seen_at="2026-03-01T00:00:00Z")
    landing.close()

    plan, outcome = runner.write(contact_rows({first: 0.2, second: 0.4, third: 0.3}), landing=True)

    # Of two that were merged the better score is addressed first, and kept.
    assert (outcome.written, plan.gone) == (2, ())
    assert in_hubspot(account, survivor) == "0.2"
    assert in_hubspot(account, third) == "0.3"


def test_own_writes_are_left_as_echoes_for_the_extract(account: Account, runner: Runner) -> None:
    number = people(account, 1)[0]
    Landing(runner.home / "warehouse" / "hubspot.db").close()

    runner.write(contact_rows({number: 0.3}), landing=True)

    landing = Landing(runner.home / "warehouse" / "hubspot.db")
    assert landing.echoes("contacts", [number]) == {number: "2026-03-01T09:00:00.000Z"}
    landing.close()


def test_undo_puts_back_what_was_there_before(account: Account, runner: Runner) -> None:
    first, second = people(account, 2)
    runner.write(contact_rows({first: 0.3}))
    runner.write(contact_rows({first: 0.5, second: 0.6}, day=1))

    outcome = runner.undo()

    assert outcome.written == 2
    assert in_hubspot(account, first) == "0.3"
    assert in_hubspot(account, second) is None
    assert in_hubspot(account, first, "leadline_scored_at") == "2024-03-01T00:00:00.000Z"


def test_after_an_undo_the_next_run_writes_again(account: Account, runner: Runner) -> None:
    number = people(account, 1)[0]
    runner.write(contact_rows({number: 0.3}))
    runner.undo()

    runner.write(contact_rows({number: 0.3}))

    assert in_hubspot(account, number) == "0.3"


def test_without_a_write_back_there_is_nothing_to_undo(runner: Runner) -> None:
    with pytest.raises(NothingToUndoError, match="the ledger has none"):
        runner.undo()


def test_a_property_of_another_type_is_refused_before_anything_is_written(
    account: Account, api: Api, runner: Runner
) -> None:
    number = people(account, 1)[0]
    account.define("contacts", [PropertyRule("leadline_points", "string", "text", "g", "Points")])

    with pytest.raises(
        UnfitPropertyError, match="leadline_points of contacts in HubSpot must be a number; it is a string"
    ):
        runner.write(contact_rows({number: 0.3}))

    assert updates(api) == 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (PropertyRule("leadline_points", "number", "number", "g", "P", read_only=True), "must be writable"),
        (PropertyRule("leadline_tier", "enumeration", "select", "g", "T", ("high",)), "low, medium, very_high"),
    ],
)
def test_a_property_that_cannot_take_the_score_is_refused(
    account: Account, runner: Runner, rule: PropertyRule, said: str
) -> None:
    number = people(account, 1)[0]
    account.define("contacts", [rule])

    with pytest.raises(UnfitPropertyError, match=said):
        runner.write(contact_rows({number: 0.3}))


def test_without_the_right_to_write_the_scope_is_named(account: Account, api: Api, runner: Runner) -> None:
    number = people(account, 1)[0]
    api.missing.add("crm.objects.contacts.write")

    with pytest.raises(MissingScopeError, match=r"crm\.objects\.contacts\.write"):
        runner.write(contact_rows({number: 0.3}))


@pytest.mark.parametrize("prefix", ["hs_score", "Leadline", "9lives", "a-b", ""])
def test_a_prefix_that_hubspot_would_refuse_is_refused_at_once(prefix: str) -> None:
    with pytest.raises(ValidationError):
        WriteBackSettings(prefix=prefix)


def test_ids_that_are_not_hubspots_are_told_and_not_sent(account: Account, api: Api, runner: Runner) -> None:
    rows = contact_rows({1: 0.3}, contact_id="c000001")

    plan, outcome = runner.write(rows)

    assert [letter.reason for letter in plan.gone] == ["it is no HubSpot id"]
    assert outcome.written == 0
    assert updates(api) == 0


def test_a_later_score_from_elsewhere_is_not_overwritten(account: Account, runner: Runner, tmp_path: Path) -> None:
    number, known = people(account, 2)
    other = Runner(runner.url, runner.clock, tmp_path / "other")
    runner.write(contact_rows({known: 0.2}))
    other.write(contact_rows({number: 0.9, known: 0.8}, day=5))

    plan, _ = runner.write(contact_rows({number: 0.3, known: 0.4}, day=1))

    assert (plan.newer, plan.writes) == (2, ())
    assert [in_hubspot(account, one) for one in (number, known)] == ["0.9", "0.8"]


def test_two_runners_in_one_home_take_turns(runner: Runner) -> None:
    with runner.at_work(), pytest.raises(WriteBackBusyError, match="another is at it"), runner.at_work():
        pass


def test_a_run_that_was_killed_is_finished_and_can_be_undone(account: Account, api: Api, runner: Runner) -> None:
    ids = people(account, 250)
    rows = contact_rows(dict.fromkeys(ids, 0.3))
    with pytest.raises(Killed):
        runner.write(rows, dies_at_update=2)
    updates(api)

    plan, outcome = runner.write(rows)

    # The second batch was taken but not confirmed: it is found in place, and only the third is sent.
    assert (len(plan.already), len(plan.writes), outcome.written) == (100, 50, 50)
    assert updates(api) == 1
    runner.undo()
    assert [in_hubspot(account, number) for number in ids[100:]] == [None] * 150


class TwoHundredAndSeven:
    """Answers some updates as if a part of the batch had failed, though nothing of it was done."""

    def __init__(self, seed: int) -> None:
        self.storm = Storm(seed=seed, share=0.35)
        self.turn = 0

    def __call__(self, request: Request, answer: Callable[[], Reply]) -> Reply | None:
        self.turn += 1
        if request.path.endswith("/batch/update") and self.turn % 3 == 0 and len(request.body["inputs"]) > 1:
            failed = request.body["inputs"].pop()
            reply = answer()
            if reply.status >= 300:
                return reply
            error = {"category": "CONFLICT", "message": "try later", "context": {"ids": [failed["id"]]}}
            return Reply(207, reply.body | {"numErrors": 1, "errors": [error]}, reply.headers)
        return self.storm(request, answer)


@settings(
    max_examples=10,
    deadline=None,
    # A failure is told as it was found: making it smaller would take minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(data=st.data())
def test_whatever_happens_every_contact_ends_with_its_newest_score(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock = VirtualClock()
    account = make_account(clock)
    api, folder = make_api(account), tmp_path_factory.mktemp("model")
    ids = people(account, 120)
    newest: dict[int, float] = {}
    batches: list[pd.DataFrame] = []
    with serving(api, misfortune=TwoHundredAndSeven(data.draw(st.integers(0, 99)))) as url:
        runner = Runner(url, clock, folder)
        for day in range(data.draw(st.integers(1, 4))):
            changed = data.draw(st.sets(st.sampled_from(ids), min_size=1, max_size=120))
            newest |= {number: ((number * 7 + day * 31) % 90 + 5) / 100 for number in changed}
            batches.append(contact_rows(newest, day=day))
            # The newest batch, or by mistake an older one; and perhaps the process dies on the way.
            chosen = batches[data.draw(st.integers(0, day))]
            with suppress(Killed):
                runner.write(chosen, dies_at_update=data.draw(st.sampled_from([0, 0, 1, 2])))
            clock.advance(hours=1)
    with serving(api) as url:
        calm = Runner(url, clock, folder)
        _, outcome = calm.write(batches[-1])
        updates(api)
        calm.write(batches[-1])

    assert outcome.dead == ()
    assert updates(api) == 0
    assert {number: float(in_hubspot(account, number) or "nan") for number in newest} == newest


def test_no_token_and_no_address_is_in_the_ledger(account: Account, runner: Runner) -> None:
    number = account.create("contacts", {"email": "canary@example.org"})

    runner.write(contact_rows({number: 0.3}))

    content = (runner.home / "writeback.db").read_bytes()
    assert b"leadline_likelihood" in content
    assert b"canary" not in content
