import json

import pytest

from shared.messages.alert import AlertMessage, MatchMessage
from shared.messages.codec import decode_json, encode_json
from tests.factories import NOON, alert


def test_an_alert_may_only_name_categories_of_the_taxonomy() -> None:
    match = MatchMessage(event="a.b.1", site="s", sensor="a", captured_at=NOON, level=8, shared={"whale": 0.5})
    with pytest.raises(ValueError, match="whale"):
        AlertMessage(
            event="a.b.0",
            site="s",
            sensor="a",
            captured_at=NOON,
            laeq=0,
            lafmax=0,
            level_unit="dB",
            presence={},
            matches=[match],
        )


def test_an_alert_of_an_earlier_hub_that_knew_no_sources_can_be_read() -> None:
    stated = json.loads(encode_json(alert()))
    for match in stated["matches"]:
        del match["same_source"], match["stands_out"]
    old = decode_json(AlertMessage, json.dumps(stated).encode())
    assert [(match.same_source, match.stands_out) for match in old.matches] == [(None, False)]
