"""Set aside a message whose processing raises an unexpected error, so that it stops no other message.

An error of a batch is looked for in its messages: each is tried by itself, twice, and one that fails both times
becomes a dead letter of the kind `bug`, with the traceback. The others go on as ever. `UnavailableError` and
`OverloadedError` are no errors of a message, and are left to the caller.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from hub.ingest.messages import HandledMessage, PreparedMessage
from shared.errors import OverloadedError, UnavailableError

log = logging.getLogger(__name__)

TRIES: Final = 2

Made = TypeVar("Made")


class BatchHandler(Protocol):
    """Handler of messages: `Pipeline`."""

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> Sequence[PreparedMessage]:
        """See `Pipeline.prepare`."""
        ...

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """See `Pipeline.process`."""
        ...


class Quarantine:
    """Handles messages as a handler does, but for those that it cannot.

    Args:
        handler: does the work; an item with a `traceback` it sets aside.
    """

    def __init__(self, handler: BatchHandler) -> None:
        self._handler = handler

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> Sequence[PreparedMessage]:
        """Prepare a batch.

        Args:
            messages: each with its topic.
            waited_s: how long the broker held each, in seconds; see `Pipeline.prepare`.

        Raises:
            UnavailableError: a server is away.
        """
        try:
            return self._handler.prepare(messages, waited_s)
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            log.exception("a batch could not be prepared: its messages are tried one by one")
        held = waited_s or [None] * len(messages)
        return [self._prepared(message, own) for message, own in zip(messages, held, strict=True)]

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """Finish a batch.

        Yields:
            What became of each, in order.

        Raises:
            UnavailableError: a server is away; messages whose outcome was not returned can be processed again.
            OverloadedError: there is no room.
        """
        done = 0
        try:
            for handled in self._handler.process(items):
                done += 1
                yield handled
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            log.exception("a batch could not be handled: its messages are tried one by one")
        for item in items[done:]:
            yield self._finished(item)

    def _prepared(self, message: tuple[str, bytes], waited_s: float | None) -> PreparedMessage:
        made, failure = _tried(lambda: self._handler.prepare([message], [waited_s])[0])
        return made if made is not None else PreparedMessage(*message, traceback=failure)

    def _finished(self, item: PreparedMessage) -> HandledMessage:
        made, failure = _tried(lambda: next(iter(self._handler.process([item]))))
        if made is not None:
            return made
        item.traceback = failure
        return next(iter(self._handler.process([item])))


def _tried(make: Callable[[], Made]) -> tuple[Made | None, str]:
    """Return the result, or the traceback of the last try."""
    failure = ""
    for _ in range(TRIES):
        try:
            return make(), ""
        except (UnavailableError, OverloadedError):
            raise
        except Exception:  # noqa: BLE001 - the dead letter holds it
            failure = traceback.format_exc()
    return None, failure
