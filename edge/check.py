"""`earwitness-edge check`: try everything a run needs, and say what to do about what fails."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.features import open_extractor
from edge.settings import EdgeSettings
from edge.sources import Unreadable, open_source
from edge.spool import Spool
from shared.errors import EarwitnessError, Invalid, Unavailable
from shared.mqtt import Connected, Disconnected, Link

BROKER_S: Final = 5.0
"""How long the broker may take to answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: `source`, `features`, `spool` or `broker`.
        ok: whether it works.
        words: what was found, or what is wrong and what to do.
    """

    what: str
    ok: bool
    words: str


def examine(settings: EdgeSettings) -> list[Finding]:
    """Try the source, the features, the spool and the broker."""
    tries: list[tuple[str, Callable[[EdgeSettings], str]]] = [
        ("source", _try_source),
        ("features", _try_features),
        ("spool", _try_spool),
        ("broker", _try_broker),
    ]
    findings = []
    for what, attempt in tries:
        try:
            findings.append(Finding(what, ok=True, words=attempt(settings)))
        except EarwitnessError as error:
            findings.append(Finding(what, ok=False, words=str(error)))
    return findings


def _try_source(settings: EdgeSettings) -> str:
    source = open_source(settings)
    if source.live:
        return source.description
    for item in source.items(threading.Event()):
        if not isinstance(item, Unreadable):
            return f"{source.description}; the first clip is readable"
    raise Invalid(f"{source.description}: not one of them is readable")


def _try_features(settings: EdgeSettings) -> str:
    extractor = open_extractor(settings)
    if extractor is None:
        return "what the source gives is sent as it is"
    return f"sound becomes {extractor.space.id}, and stays here"


def _try_spool(settings: EdgeSettings) -> str:
    spool = Spool(settings.spool_path(), settings.spool.cap_bytes)
    waiting = spool.pending()
    spool.close()
    return f"{settings.spool_path()}: {waiting} events wait"


def _try_broker(settings: EdgeSettings) -> str:
    """Connect under a name of our own and leave no session behind."""
    mqtt = settings.mqtt.for_a_moment()
    where = f"{mqtt.host}:{mqtt.port}"
    link = Link(mqtt, f"{settings.client_id()}-check")
    reason = f"no answer within {BROKER_S:.0f} s"
    link.start()
    try:
        match link.signals.get(timeout=BROKER_S):
            case Connected():
                return f"connected to {where}"
            case Disconnected(reason=told):
                reason = told
    except queue.Empty:
        pass
    finally:
        link.stop()
    raise Unavailable(f"no broker at {where} ({reason}): start it, or set mqtt.host, mqtt.port and the login")
