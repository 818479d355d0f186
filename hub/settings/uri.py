"""Encode addresses for HTTP: percent-encode blanks and letters beyond ASCII."""

from typing import Final
from urllib.parse import quote, urlsplit

_AS_IT_IS: Final = "%/:=&?~#+!$,;'@()*[]"
"""Characters kept in a path or query besides letters, digits, `-`, `.` and `_`. Source: RFC 3986, 2.2 and 3.3."""


def uri_of(iri: str) -> str:
    """Return the URI of an IRI: host in IDNA, path and query in UTF-8 with per cent signs, no fragment.

    Source: RFC 3987, 3.1 (mapping of IRIs to URIs).

    Raises:
        ValueError: the host is not a valid name, or a login holds a control character.
    """
    parts = urlsplit(iri.strip())
    login, at, host = parts.netloc.rpartition("@")
    name, colon, port = host, "", ""
    if not host.endswith("]"):
        name, colon, port = host.partition(":") if host.count(":") == 1 else (host, "", "")
    if not name.isascii():
        name = name.encode("idna").decode()
    return parts._replace(
        netloc=quote(login, safe=_AS_IT_IS) + at + name + colon + port,
        path=quote(parts.path, safe=_AS_IT_IS),
        query=quote(parts.query, safe=_AS_IT_IS),
        fragment="",
    ).geturl()
