"""API of the live stream: server-sent events, from now on or from a client's last position."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from hub.web.access import is_still_admitted
from hub.web.api.params import errors
from hub.web.live_feed import LiveFeed, SseClient, SseMessage, hello_message

_HEARTBEAT_S: Final = 15.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def routes(feed: LiveFeed) -> APIRouter:
    """Return the route of the live stream."""
    router = APIRouter(tags=["stream"])

    @router.get(
        "/stream",
        response_class=StreamingResponse,
        responses={
            200: {
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
                "description": "server-sent events `event`, `episode`, `alert`, `sensor`, each with the JSON of its"
                " resource; `hello` comes first; `reset` asks to reload, if the client missed too much",
            },
            **errors(422, 503),
        },
    )
    async def stream(
        request: Request,
        last_event_id: Annotated[
            str | None, Header(pattern=r"^[0-9]{1,15}-[0-9]{1,15}$", description="the last `id` that was received")
        ] = None,
    ) -> StreamingResponse:
        """Stream changes as they happen. A comment line every 15 s keeps the connection open.

        The stream ends within 15 s after the session or the API token of its client has ended.
        """
        client = feed.join(asyncio.get_running_loop())
        try:
            first: list[SseMessage] = []
            if last_event_id is not None:
                first = await run_in_threadpool(feed.replay, last_event_id, client.joined_at)
        except BaseException:
            feed.leave(client)
            raise
        return StreamingResponse(
            _messages(request.scope, feed, client, first), media_type="text/event-stream", headers=_HEADERS
        )

    return router


async def _messages(scope: Scope, feed: LiveFeed, client: SseClient, first: list[SseMessage]) -> AsyncIterator[str]:
    try:
        yield "retry: 2000\n\n"
        for message in [*first, hello_message(client.joined_at)]:
            yield message.text()
        check_at = time.monotonic() + _HEARTBEAT_S
        while True:
            if time.monotonic() >= check_at:
                if not await is_still_admitted(scope):
                    return
                check_at = time.monotonic() + _HEARTBEAT_S
            try:
                queued = await asyncio.wait_for(client.queue.get(), max(0.0, check_at - time.monotonic()))
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if queued is None:
                return
            yield queued.text()
    finally:
        feed.leave(client)
