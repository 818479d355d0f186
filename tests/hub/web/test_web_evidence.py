"""The page's download of evidence reports, on the hub's web application without networks."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from starlette.testclient import TestClient

from hub.evidence.verification import verify
from hub.runtime.embedded_servers import Servers
from hub.web.route_roles import EXPORT, rule_of
from tests.hub.evidence.street import PLACE, fill, settings_of

pytestmark = pytest.mark.redis

DOCS = Path(__file__).parents[3] / "docs"
BOUNDS = {"since": "2025-06-01T12:00:00Z", "until": "2025-06-01T13:00:00Z"}


@pytest.fixture(scope="module")
def client(embedded: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    redis.Redis.from_url(embedded.redis_url).flushall()
    settings = settings_of(embedded.redis_url, tmp_path_factory.mktemp("web"))
    stores = fill(settings)
    app = runpy.run_path(str(DOCS / "make_openapi.py"))["app"](settings)
    yield TestClient(app, base_url="http://127.0.0.1")
    stores.events.close()


def test_the_page_of_levels_offers_the_report_of_its_span(client: TestClient, tmp_path: Path) -> None:
    page = client.get(f"/levels/{PLACE}", params={"span": "hour", "day": "2025-06-01", "hour": 14})
    assert f'action="/evidence/{PLACE}"' in page.text
    assert all(f'name="{name}" value="{value}"' in page.text for name, value in BOUNDS.items())
    answer = client.get(f"/evidence/{PLACE}", params=BOUNDS)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="evidence-demo-street-1-2025-06-01.zip"' in answer.headers["content-disposition"]
    (tmp_path / "report.zip").write_bytes(answer.content)
    assert verify(tmp_path / "report.zip").findings == ()
    assert "action" not in client.get(f"/levels/{PLACE}?span=year").text.partition("Evidence report")[2]


@pytest.mark.parametrize(
    ("path", "bounds", "code", "text"),
    [
        ("/evidence/demo/missing", BOUNDS, 404, "no sensor demo/missing"),
        ("/evidence/elsewhere", BOUNDS, 422, "no sensor of elsewhere"),
        (f"/evidence/{PLACE}", BOUNDS | {"until": "2025-07-14"}, 422, "at most 31 days"),
        (f"/evidence/{PLACE}", BOUNDS | {"since": "noon"}, 422, "no date or time"),
    ],
)
def test_a_wrong_request_gets_the_reason(
    client: TestClient, path: str, bounds: dict[str, str], code: int, text: str
) -> None:
    answer = client.get(path, params=bounds)
    assert answer.status_code == code
    assert text in answer.text


def test_reports_are_for_inspectors_and_in_the_audit_log() -> None:
    assert rule_of("GET", f"/evidence/{PLACE}") == rule_of("GET", "/evidence/demo") == EXPORT
