"""API of searches: by an archived event (JSON), or by a recording (upload)."""

import json
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from hub.domain.records import to_ms
from hub.search.backend import By, Filter
from hub.web.api.params import BY, CATEGORY, EVENT, PLACE, CsrfHeader, Time, errors
from hub.web.context import WebContext
from hub.web.resolve import get_event_or_404
from hub.web.schemas import EVENT_EXAMPLE
from hub.web.search_service import (
    KINDS,
    UPLOAD_CAP_BYTES,
    Before,
    SearchHit,
    decode_upload,
    filter_of,
    recorded_before,
    search_by_audio,
    search_by_event,
)
from shared.errors import InvalidError
from shared.messages.alert import MatchMessage
from shared.messages.fields import Probability
from shared.taxonomy import CATEGORIES

Model = TypeVar("Model", bound=BaseModel)


class Filters(BaseModel):
    """A filter of the searched events; all pass by default."""

    model_config = ConfigDict(extra="forbid")

    since: Time | None = None
    until: Time | None = None
    place: str | None = Field(None, pattern=PLACE, description="only of this `site/sensor`")
    category: str | None = Field(None, pattern=CATEGORY, description="only events that likely contain this category")
    min_laeq: float | None = Field(None, ge=-200, le=200, description="at least this loud, dB")

    def filter(self) -> Filter:
        """Return the filter of the search."""
        return filter_of(
            since_ms=None if self.since is None else to_ms(self.since),
            until_ms=None if self.until is None else to_ms(self.until),
            place=self.place,
            category=None if self.category is None else CATEGORIES.index(self.category),
            min_laeq=self.min_laeq,
        )


def _coerce_int(value: object) -> object:
    """Convert 10.0 to an integer, as JSON Schema allows; leave others, such as "10", for pydantic to reject."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class EventSearchRequest(BaseModel):
    """A search by an archived event."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"event": EVENT_EXAMPLE, "filters": {"category": "music"}, "k": 10}},
    )

    event: str = Field(pattern=EVENT)
    filters: Filters = Filters()
    k: Annotated[int, BeforeValidator(_coerce_int)] = Field(
        10, ge=1, le=100, description="most matches to return", strict=True
    )
    by: By = Field(By.BOTH, description=BY)


class AudioSearchRequest(Filters):
    """The fields of an upload besides the recording."""

    k: int = Field(10, ge=1, le=100, description="most matches to return")
    by: By = Field(By.BOTH, description=BY)


class SearchHitView(MatchMessage):
    """A match of a search; `at_s` is the start of the recording's most similar clip, in seconds."""

    at_s: float = 0.0


class SearchHitList(BaseModel):
    """The matches of a search, most similar first."""

    matches: list[SearchHitView]
    presence: dict[str, Probability] | None = Field(
        None, description="probability of each category in the recording; null for a search by event"
    )
    recorded_before: Before | None = Field(
        None,
        description="what was probably recorded before: this source, only this kind of sound, or neither; else null",
    )


def routes(parts: WebContext) -> APIRouter:
    """Return the route of searches."""
    router = APIRouter(tags=["search"])

    @router.post(
        "/search",
        openapi_extra={"requestBody": _body()},
        responses=errors(400, 403, 404, 413, 415, 422, 503),
    )
    async def search(request: Request, _ours: CsrfHeader = None) -> SearchHitList:
        """Find the events most similar to an archived one (JSON), or to a recording (multipart field `recording`)."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            wanted = read(EventSearchRequest, await _json(request))
            return await run_in_threadpool(_by_event, parts, wanted)
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=10) as form:
                data, fields = await recording_of(form)
            return await run_in_threadpool(_by_sound, parts, data, read(AudioSearchRequest, fields))
        raise HTTPException(415, "send application/json or multipart/form-data")

    return router


async def recording_of(form: FormData) -> tuple[bytes, dict[str, str]]:
    """Return the upload of a form, and its other fields that are not empty.

    Raises:
        InvalidError: no upload.
        HTTPException: 413, the upload is too large.
    """
    upload = form.get("recording")
    if not isinstance(upload, UploadFile):
        raise InvalidError("the field `recording` must hold a file")
    data = await upload.read(UPLOAD_CAP_BYTES + 1)
    if len(data) > UPLOAD_CAP_BYTES:
        raise HTTPException(413, f"the recording is larger than {UPLOAD_CAP_BYTES // 2**20} MB")
    return data, {name: value for name, value in form.items() if isinstance(value, str) and value}


def read(kind: type[Model], fields: Any) -> Model:  # noqa: ANN401 - unchecked input
    """Validate fields as a model.

    Raises:
        InvalidError: the fields do not fit the model; the text names them and the reasons.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise InvalidError(format_validation_errors(error.errors())) from error


def format_validation_errors(errors_: Any) -> str:  # noqa: ANN401 - pydantic's and FastAPI's
    """Format the first four validation errors, without the rejected values."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors_[:4])


async def _json(request: Request) -> Any:  # noqa: ANN401
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InvalidError("the body is not JSON") from error


def _by_event(parts: WebContext, wanted: EventSearchRequest) -> SearchHitList:
    event = get_event_or_404(parts.archive, wanted.event)
    found = search_by_event(parts, event, wanted.k, wanted.filters.filter(), by=wanted.by)
    return SearchHitList(matches=[_view(SearchHit(match)) for match in found])


def _by_sound(parts: WebContext, data: bytes, wanted: AudioSearchRequest) -> SearchHitList:
    found = search_by_audio(parts, decode_upload(data), wanted.k, wanted.filter(), wanted.by)
    return SearchHitList(
        matches=[_view(hit) for hit in found.hits],
        presence=dict(zip(CATEGORIES, found.presence, strict=True)),
        recorded_before=recorded_before(found.hits),
    )


def _view(found: SearchHit) -> SearchHitView:
    return SearchHitView(**found.match.model_dump(), at_s=found.at_s)


_FILE: Final = {
    "recording": {"type": "string", "format": "binary", "description": f"{KINDS}, at most 60 s and 20 MB"}
}


def _body() -> dict[str, Any]:
    """Return the OpenAPI description of the request's two bodies."""
    form = AudioSearchRequest.model_json_schema()
    form["properties"] = {**_FILE, **form["properties"]}
    form["required"] = ["recording"]
    query = EventSearchRequest.model_json_schema()
    query["properties"]["filters"] = Filters.model_json_schema()
    for schema in (form, query):
        schema["properties"]["by"] = {
            "type": "string",
            "enum": list(By),
            "default": By.BOTH,
            "description": BY,
        }
        schema.pop("$defs", None)
    return {
        "required": True,
        "content": {"application/json": {"schema": query}, "multipart/form-data": {"schema": form}},
    }
