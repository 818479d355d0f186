"""The API keeps to its own description: generated requests, right ones and wrong ones, to a hub with an archive."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.running_hub import Demo

pytestmark = pytest.mark.e2e

EACH = 10


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_answer_breaks_the_description(web: Demo, mode: GenerationMode) -> None:
    # The live stream never ends; it has tests of its own.
    schema = schemathesis.openapi.from_url(f"{web.url}/openapi.json").exclude(path="/api/v1/stream")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 20
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
            continue  # nothing can be wrong

        @seed(1)
        @settings(
            max_examples=EACH,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps_to_it(case: Case[Any]) -> None:
            # No schema can express what a recording is: bytes that are none are refused.
            by_sound = case.media_type == "multipart/form-data"
            excluded: list[Any] = [positive_data_acceptance] if by_sound else []
            case.call_and_validate(headers={"X-Earwitness": "test"}, excluded_checks=excluded)

        keeps_to_it()
