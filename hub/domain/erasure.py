"""What an erasure covers: a sensor or a site, for a period or for all time; and JSON documents without its names."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from shared.events import check_name

FOREVER_MS: Final = 2**53
"""End of a period that has none, ms since 1970 UTC."""
_NAME: Final = "[a-z0-9][a-z0-9-]*"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased.

    Attributes:
        site: the site.
        sensor: one sensor of it; "" for all of them.
        from_ms: what was captured from this time on, ms since 1970 UTC.
        until_ms: and before this time.

    Raises:
        InvalidError: a site or sensor that is not a valid name.
    """

    site: str
    sensor: str = ""
    from_ms: int = 0
    until_ms: int = FOREVER_MS

    def __post_init__(self) -> None:
        check_name(self.site, "site")
        if self.sensor:
            check_name(self.sensor, "sensor")

    @property
    def name(self) -> str:
        """Return `site/sensor`, or the site if it covers all of its sensors."""
        return f"{self.site}/{self.sensor}" if self.sensor else self.site

    @property
    def is_whole(self) -> bool:
        """Return whether it covers all time."""
        return self.from_ms <= 0 and self.until_ms >= FOREVER_MS

    def covers_place(self, place: str) -> bool:
        """Return whether a `site/sensor` is covered."""
        site, _, sensor = place.partition("/")
        return site == self.site and self.sensor in {"", sensor}

    def mentions(self, digests: Collection[str] = ()) -> "Mentions":
        """Return what finds the names of what is erased.

        Args:
            digests: of the ids of erased events and episodes, of an erasure that is not whole.
        """
        return Mentions(self, frozenset(digests))


class Mentions:
    """Finds the names of what is erased in keys and values: ids of events, `site/sensor`, topics, devices.

    Args:
        erasure: what is erased.
        digests: of the ids of events and episodes, of an erasure that is not whole: then only these count.
    """

    def __init__(self, erasure: Erasure, digests: frozenset[str]) -> None:
        sensor = re.escape(erasure.sensor) if erasure.sensor else _NAME
        site = re.escape(erasure.site)
        event = rf"(?<![a-z0-9.-]){site}\.{sensor}\.{_NAME}\.[0-9]+(?:\.[0-9]+)?"
        named = rf"(?<![a-z0-9-]){site}/{sensor}(?![a-z0-9-])|earwitness_{site}_{sensor}(?![a-z0-9-])"
        self._whole = erasure.is_whole
        self._digests = digests
        self._pattern = re.compile((f"{event}|{named}" if self._whole else event).encode())

    def found_in(self, text: bytes) -> bool:
        """Return whether a text holds a name of what is erased."""
        if self._whole:
            return self._pattern.search(text) is not None
        return any(self._counts(match[0].decode()) for match in self._pattern.finditer(text))

    def redacted(self, text: bytes) -> bytes:
        """Return a text with `(erased)` in place of each name."""
        return self._pattern.sub(
            lambda match: b"(erased)" if self._whole or self._counts(match[0].decode()) else match[0], text
        )

    def _counts(self, name: str) -> bool:
        return not self._digests.isdisjoint({digest(name), digest(".".join(name.split(".")[:4]))})

    def without(self, document: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a JSON document without the items that name what is erased; None if it does so itself.

        An item of a list or an object is left out if it is a name, or directly holds one. What has another id of its
        own stays with "" in place of the name.
        """
        if isinstance(document, str):
            return None if self.found_in(document.encode()) else document
        if isinstance(document, list):
            return self._list_without(document)
        if isinstance(document, dict):
            return self._object_without(document)
        return document

    def _list_without(self, items: list[Any]) -> list[Any] | None:
        if not any(map(self._is_name, items)) or not items:
            return [kept for item in items if (kept := self.without(item)) is not None or item is None]
        if all(isinstance(item, str) for item in items):
            return [item for item in items if not self._is_name(item)]
        if isinstance(items[0], str) and not self._is_name(items[0]):  # a row with an id of its own
            return ["" if self._is_name(item) else item for item in items]
        return None

    def _object_without(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        if any(map(self._is_name, fields.values())):
            if "id" not in fields or self._is_name(fields["id"]):
                return None
            fields = {name: "" if self._is_name(value) else value for name, value in fields.items()}
        return {
            name: kept
            for name, value in fields.items()
            if not self._is_name(name) and ((kept := self.without(value)) is not None or value is None)
        }

    def _is_name(self, value: Any) -> bool:  # noqa: ANN401 - any JSON value
        return isinstance(value, str) and self.found_in(value.encode())


def digest(name: str) -> str:
    """Return the digest of a name or an id, as Redis's `sha1hex` has it."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
