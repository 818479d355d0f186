"""Episodes: each one happening of one category at one sensor."""

from fastapi import APIRouter

from hub.web.api.params import After, Category, EpisodeName, Limit, Place, Since, errors
from hub.web.context import Parts
from hub.web.listing import episodes as listed
from hub.web.pagination import cursor_of, text_of
from hub.web.resolve import episode_of
from hub.web.schemas import EpisodeList, EpisodeView, episode_view


def routes(parts: Parts) -> APIRouter:
    """The routes of episodes."""
    router = APIRouter(prefix="/episodes", tags=["episodes"])

    @router.get("", responses=errors(422, 503))
    def episodes(
        limit: Limit = 50, after: After = None, since: Since = None, place: Place = None, category: Category = None
    ) -> EpisodeList:
        """Episodes, the one that began last first."""
        found, following = listed(
            parts, limit=limit, after=cursor_of(after), since=since, place=place, category=category
        )
        return EpisodeList(episodes=[episode_view(episode) for episode in found], next=text_of(following))

    @router.get("/{episode_id}", responses=errors(404, 422, 503))
    def episode(episode_id: EpisodeName) -> EpisodeView:
        """One episode."""
        return episode_view(episode_of(parts, episode_id))

    return router
