"""API of the live stream: server-sent events, from now on or from a client's last position."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

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
        last_event_id: Annotated[
            str | None, Header(pattern=r"^[0-9]{1,15}-[0-9]{1,15}$", description="the last `id` that was received")
        ] = None,
    ) -> StreamingResponse:
        """Stream changes as they happen. A comment line every 15 s keeps the connection open."""
        client = feed.join(asyncio.get_running_loop())
        try:
            first: list[SseMessage] = []
            if last_event_id is not None:
                first = await run_in_threadpool(feed.replay, last_event_id, client.joined_at)
        except BaseException:
            feed.leave(client)
            raise
        return StreamingResponse(_messages(feed, client, first), media_type="text/event-stream", headers=_HEADERS)

    return router


async def _messages(feed: LiveFeed, client: SseClient, first: list[SseMessage]) -> AsyncIterator[str]:
    try:
        yield "retry: 2000\n\n"
        for message in [*first, hello_message(client.joined_at)]:
            yield message.text()
        while True:
            try:
                queued = await asyncio.wait_for(client.queue.get(), _HEARTBEAT_S)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            if queued is None:
                return
            yield queued.text()
    finally:
        feed.leave(client)
