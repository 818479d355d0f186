"""API of episodes: each is one sound event of one category at one sensor."""

from fastapi import APIRouter

from hub.web.api.filters import EpisodesAsked
from hub.web.api.params import After, EpisodeName, Limit, errors
from hub.web.context import WebContext
from hub.web.listing import episodes as listed
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_episode_or_404
from hub.web.schemas import EpisodeList, EpisodeView, episode_view


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of episodes."""
    router = APIRouter(prefix="/episodes", tags=["episodes"])

    @router.get("", responses=errors(422, 503))
    def episodes(wanted: EpisodesAsked, limit: Limit = 50, after: After = None) -> EpisodeList:
        """List episodes, the one that began last first."""
        found, following = listed(parts, wanted, limit=limit, after=decode_cursor(after))
        return EpisodeList(episodes=[episode_view(episode) for episode in found], next=encode_cursor(following))

    @router.get("/{episode_id}", responses=errors(404, 422, 503))
    def episode(episode_id: EpisodeName) -> EpisodeView:
        """Return one episode."""
        found = get_episode_or_404(parts, episode_id)
        return episode_view(parts.episode_store.corrections().apply([found])[0])

    return router
