"""The service does what its OpenAPI document says, whatever is sent to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.serving.api.conftest import Running, running
from tests.serving.api.test_access import OPENS
from tests.serving.conftest import APRIL, make_batch

# A cursor, an id or a column is any text to a schema, and one of few to the service: what fits may still be refused.
LEFT_OUT = {"positive_data_acceptance"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("conformance")
    limits = {"requests_per_minute": 10_000_000, "exports_per_key": 100_000}
    with running(f"sqlite:///{folder / 's.db'}", folder / "home", **limits) as made:
        card = {"use": "model", "calibrated": True, "evaluation": {}}
        made.store.publish(make_batch("b1", cards={"contacts": card}))
        made.store.publish(make_batch("b2", as_of=APRIL))
        made.service.failures.__init__(per_minute=10_000_000)  # type: ignore[misc]
        yield made


@pytest.fixture(scope="module")
def document(served: Running) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


def ask(served: Running, document: schemathesis.BaseSchema, route: str, *, times: int) -> None:
    """Send what the document allows, and what it does not, and check the answers by every rule."""
    method, path = route.split(" ", 1)
    left_out = [one for one in CHECKS.get_all() if one.__name__ in LEFT_OUT]
    headers = {"Authorization": f"Bearer {served.key()}"}
    operation = document[path][method]
    takes_something = any(True for _ in operation.iter_parameters()) or bool(operation.body)
    for mode in GenerationMode:
        if mode is GenerationMode.NEGATIVE and not takes_something:
            continue

        @settings(
            max_examples=times,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def answer(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=left_out)

        answer()


@pytest.mark.parametrize("route", sorted(OPENS))
def test_answers_are_as_the_document_says(served: Running, document: schemathesis.BaseSchema, route: str) -> None:
    ask(served, document, route, times=4)


@pytest.mark.slow
@pytest.mark.parametrize("route", sorted(OPENS))
def test_ten_thousand_answers_are_as_the_document_says(
    served: Running, document: schemathesis.BaseSchema, route: str
) -> None:
    ask(served, document, route, times=220)
