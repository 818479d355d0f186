import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.settings.uri import uri_of


@pytest.mark.parametrize(
    ("iri", "uri"),
    [
        ("https://ops.example/hook?a=b&c=d%20e", "https://ops.example/hook?a=b&c=d%20e"),
        ("https://ops.example/l\u00e4rm/\U0001f514", "https://ops.example/l%C3%A4rm/%F0%9F%94%94"),
        ("https://ops.example/a b?q=\u00fc x", "https://ops.example/a%20b?q=%C3%BC%20x"),
        ("https://l\u00e4rm.example:8443/x", "https://xn--lrm-qla.example:8443/x"),
        ("http://me:s\u00e9cret@[::1]:9/\u00e4", "http://me:s%C3%A9cret@[::1]:9/%C3%A4"),
    ],
)
def test_letters_beyond_ascii_are_encoded_and_the_rest_stays(iri: str, uri: str) -> None:
    assert uri_of(iri) == uri
    assert uri_of(uri) == uri


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_written_becomes_a_line_of_a_request(path: str, query: str) -> None:
    try:
        uri = uri_of(f"http://ops.example/{path}?{query}")
    except ValueError:
        return
    assert uri.isascii()
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.putrequest("POST", uri)
