"""Spendings and offers of a site's alert budget, as rows; see `hub.store.json_rows`."""

from collections.abc import Sequence
from typing import Final

from pydantic_core import from_json

from hub.domain.alert_offers import Offers, OpenOffer, Sort
from hub.store.json_rows import encode

_OPEN: Final = ["first_ms", "last_ms", "worth", "category", "known", "level"]
"""Fields of an offer that goes on, in the order of its list; earlier hubs did not name them."""


def encode_alert_times(times_ms: Sequence[int]) -> bytes:
    """Return the times of a site's alerts as a row."""
    return encode({"alerts_ms": times_ms})


def decode_alert_times(row: bytes) -> tuple[int, ...]:
    """Return the times of a site's alerts from their row.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    document = from_json(row)
    times = document if isinstance(document, list) else document["alerts_ms"]
    return tuple(int(ms) for ms in times)


def encode_offers(offers: Offers) -> bytes:
    """Return the offers to a site's alert budget as a row."""
    return encode(
        {
            "since": offers.since_ms,
            "day": offers.day,
            "days": round(offers.days, 4),
            "history": {key: round(count, 3) for key, count in offers.history.items()},
            "today": offers.today,
            "fields": _OPEN,
            "open": {
                key: [offer.first_ms, offer.last_ms, round(offer.worth, 4), *offer.sort]
                for key, offer in offers.open.items()
            },
        }
    )


def decode_offers(row: bytes) -> Offers:
    """Return the offers to a site's alert budget from their row.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    document = from_json(row)
    history, today = ({str(key): float(n) for key, n in document[name].items()} for name in ("history", "today"))
    own = document.get("fields", _OPEN)
    first, last, worth, category, known, level = (own.index(name) for name in _OPEN)
    opened = {
        str(key): OpenOffer(
            int(row[first]),
            int(row[last]),
            float(row[worth]),
            Sort(int(row[category]), bool(row[known]), int(row[level])),
        )
        for key, row in document["open"].items()
    }
    return Offers(int(document["since"]), int(document["day"]), float(document["days"]), history, today, opened)
