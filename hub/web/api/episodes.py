"""API of episodes: each is one sound event of one category at one sensor."""

from fastapi import APIRouter

from hub.web.api.params import After, Category, EpisodeName, Limit, Place, Since, errors
from hub.web.context import WebContext
from hub.web.listing import episodes as listed
from hub.web.pagination import decode_cursor, encode_cursor
from hub.web.resolve import get_episode_or_404
from hub.web.schemas import EpisodeList, EpisodeView, episode_view


def routes(parts: WebContext) -> APIRouter:
    """Return the routes of episodes."""
    router = APIRouter(prefix="/episodes", tags=["episodes"])

    @router.get("", responses=errors(422, 503))
    def episodes(
        limit: Limit = 50, after: After = None, since: Since = None, place: Place = None, category: Category = None
    ) -> EpisodeList:
        """List episodes, the one that began last first."""
        found, following = listed(
            parts, limit=limit, after=decode_cursor(after), since=since, place=place, category=category
        )
        return EpisodeList(episodes=[episode_view(episode) for episode in found], next=encode_cursor(following))

    @router.get("/{episode_id}", responses=errors(404, 422, 503))
    def episode(episode_id: EpisodeName) -> EpisodeView:
        """Return one episode."""
        return episode_view(get_episode_or_404(parts, episode_id))

    return router
