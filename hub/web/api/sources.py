"""API of sources: episodes that one machine, dog, siren or voice made."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from hub.store.source_verdicts import SourceVerdicts
from hub.web.api.filters import SOURCE, SourcesAsked
from hub.web.api.params import EPISODE, After, CsrfHeader, Limit, errors
from hub.web.context import WebContext
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.schemas import EpisodeList, episode_view
from hub.web.source_schemas import (
    SOURCE_EXAMPLE,
    SourceDetail,
    SourceList,
    known_of,
    source_detail,
    source_of,
    source_view,
    sources,
)

SourceName = Annotated[str, Path(pattern=SOURCE, description="id of a source", examples=[SOURCE_EXAMPLE])]


class Joining(BaseModel):
    """A source that is the same as another one."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(pattern=SOURCE, description="id of the other source")


class Leaving(BaseModel):
    """An episode that comes from another source."""

    model_config = ConfigDict(extra="forbid")

    episode: str = Field(pattern=EPISODE, description="id of an episode of the source")


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of sources."""
    router = APIRouter(prefix="/sources", tags=["sources"])
    verdicts = SourceVerdicts(parts.sources, parts.episode_store)

    @router.get("", name="sources", responses=errors(422, 503))
    def listed(wanted: SourcesAsked, limit: Limit = 50, after: After = None) -> SourceList:
        """List sources, the most recent first."""
        found, following = sources(parts, wanted, limit=limit, after=decode_cursor(after))
        return SourceList(sources=[source_view(parts, one) for one in found], next=encode_cursor(following))

    @router.get("/{source_id}", responses=errors(404, 422, 503))
    def source(source_id: SourceName) -> SourceDetail:
        """Return a source with its history and forecast; if it was joined to another, return that one."""
        return source_detail(known_of(parts, source_id))

    @router.get("/{source_id}/episodes", responses=errors(404, 422, 503))
    def source_episodes(source_id: SourceName, limit: Limit = 50) -> EpisodeList:
        """List the newest episodes of a source, newest first."""
        found = parts.sources.episodes(source_of(parts, source_id).id, limit=limit)
        return EpisodeList(episodes=[episode_view(episode) for episode in found], next=None)

    @router.post("/{source_id}/join", responses=errors(400, 403, 404, 413, 422, 503))
    def join_sources(source_id: SourceName, joining: Joining, _ours: CsrfHeader = None) -> SourceDetail:
        """Join two sources that are the same; return the joined source."""
        first, second = source_of(parts, source_id), source_of(parts, joining.source)
        return source_detail(known_of(parts, verdicts.join(first.id, second.id)))

    @router.post("/{source_id}/leave", responses=errors(400, 403, 404, 413, 422, 503))
    def leave_source(source_id: SourceName, leaving: Leaving, _ours: CsrfHeader = None) -> SourceDetail:
        """Remove an episode that comes from another source; return the episode's new source."""
        source = source_of(parts, source_id)
        member = parts.sources.members([leaving.episode]).get(leaving.episode)
        if member is None or member.source != source.id:
            raise HTTPException(404, f"source {source.id} has no episode {leaving.episode}")
        verdicts.leave(leaving.episode)
        return source_detail(known_of(parts, parts.sources.members([leaving.episode])[leaving.episode].source))

    return router
