from email.message import Message

import pytest

from hub.features.vggish.download import content_range


@pytest.mark.parametrize(
    ("status", "headers", "have", "found"),
    [
        (200, {"Content-Length": "900"}, 0, (0, 900)),
        (200, {"Content-Length": "900"}, 500, (0, 900)),
        (200, {}, 0, (0, None)),
        (200, {"Content-Length": "many"}, 0, (0, None)),
        (206, {"Content-Range": "bytes 500-899/900"}, 500, (500, 900)),
        (206, {"Content-Range": "bytes 500-899/*"}, 500, (500, None)),
        (206, {"Content-Range": "bytes 0-899/900"}, 500, None),
        (206, {"Content-Range": "bytes 600-899/900"}, 500, None),
        (206, {"Content-Range": "bytes */900"}, 500, None),
        (206, {"Content-Range": "lines 5-8/9"}, 5, None),
        (206, {}, 500, None),
        (416, {"Content-Range": "bytes */900"}, 900, (900, 900)),
        (416, {"Content-Range": "bytes */900"}, 901, None),
        (416, {"Content-Range": "bytes */*"}, 900, None),
        (416, {}, 900, None),
    ],
)
def test_an_answer_continues_what_is_here_or_starts_over(
    status: int, headers: dict[str, str], have: int, found: tuple[int, int | None] | None
) -> None:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    assert content_range(status, message, have) == found
