"""Quarantine a message whose handling raises an unexpected error, so that it does not stop the others.

If a batch fails, the quarantine handles each of its messages by itself, twice. A message that fails both times
becomes a dead letter of the kind `bug`, with the traceback. The others are handled as usual. `Unavailable` and
`Overloaded` are no errors of a message, so they go to the caller.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from hub.ingest.messages import HandledMessage, PreparedMessage
from shared.errors import OverloadedError, UnavailableError

log = logging.getLogger(__name__)

TRIES: Final = 2

Result = TypeVar("Result")


class BatchHandler(Protocol):
    """A handler of messages, such as `Pipeline`."""

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> Sequence[PreparedMessage]:
        """See `Pipeline.prepare`."""
        ...

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """See `Pipeline.process`."""
        ...


class Quarantine:
    """Handles messages with a handler, and quarantines those that make it fail.

    Args:
        handler: handles messages; it stores an item with a `traceback` as a dead letter.
    """

    def __init__(self, handler: BatchHandler) -> None:
        self._handler = handler

    def prepare(
        self, messages: Sequence[tuple[str, bytes]], waited_s: Sequence[float | None] | None = None
    ) -> Sequence[PreparedMessage]:
        """Prepare a batch.

        Args:
            messages: topic and payload of each.
            waited_s: see `Pipeline.prepare`.

        Raises:
            Unavailable: a server is unavailable.
        """
        try:
            return self._handler.prepare(messages, waited_s)
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            log.exception("preparing a batch failed: trying its messages one by one")
        held = waited_s or [None] * len(messages)
        return [self._prepared(message, own) for message, own in zip(messages, held, strict=True)]

    def process(self, items: Sequence[PreparedMessage]) -> Iterator[HandledMessage]:
        """Process a batch.

        Yields:
            The outcome of each, in order.

        Raises:
            Unavailable: a server is unavailable; items without a yielded outcome can be processed again.
            Overloaded: there is no room.
        """
        done = 0
        try:
            for handled in self._handler.process(items):
                done += 1
                yield handled
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            log.exception("handling a batch failed: trying its messages one by one")
        for item in items[done:]:
            yield self._finished(item)

    def _prepared(self, message: tuple[str, bytes], waited_s: float | None) -> PreparedMessage:
        item, failure = _tried(lambda: self._handler.prepare([message], [waited_s])[0])
        return item if item is not None else PreparedMessage(*message, traceback=failure)

    def _finished(self, item: PreparedMessage) -> HandledMessage:
        handled, failure = _tried(lambda: next(iter(self._handler.process([item]))))
        if handled is not None:
            return handled
        item.traceback = failure
        return next(iter(self._handler.process([item])))


def _tried(make: Callable[[], Result]) -> tuple[Result | None, str]:
    """Return the result of at most `TRIES` tries, or the traceback of the last one."""
    failure = ""
    for _ in range(TRIES):
        try:
            return make(), ""
        except (UnavailableError, OverloadedError):
            raise
        except Exception:  # noqa: BLE001 - the dead letter holds the traceback
            failure = traceback.format_exc()
    return None, failure
