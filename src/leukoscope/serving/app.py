"""The application: its routes, and one sentence for whatever is not answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from leukoscope.core.cautions import RESEARCH_ONLY
from leukoscope.serving import answers
from leukoscope.serving.errors import BusyError, RequestError
from leukoscope.serving.heat_maps import Asked, HeatMaps
from leukoscope.serving.limits import MEGABYTE, Limits
from leukoscope.serving.live import Live, Loaded
from leukoscope.serving.outermost import Outermost
from leukoscope.serving.scoring import Scoring
from leukoscope.serving.uploads import FIELD, Upload, UploadMemory, received

PAGE = Path(__file__).with_name("page")
FOLLOW_SECONDS = 10.0
ABOUT = f"p(ALL) of pictures of single cells. {RESEARCH_ONLY}"
_PICTURES: dict[str, Any] = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
TAKES_PICTURES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _PICTURES}}}
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Refusal, "description": about}
    for status, about in {
        400: "the upload is damaged",
        408: "the client was too slow",
        413: "too much at once",
        415: "not multipart/form-data",
        422: "no picture among the files that can be read",
        503: "busy: the same request may succeed in a moment",
    }.items()
}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
Answer = TypeVar("Answer")


def application(live: Live, limits: Limits, follow_seconds: float = FOLLOW_SECONDS) -> FastAPI:
    """The application on a loaded model. Give it to uvicorn with the settings of `serving.server`."""
    service = Service(live, limits)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with live.followed(follow_seconds):
            yield
        await service.close()

    # FastAPI's pages of documentation load their scripts from another server; the description itself is here
    app = FastAPI(title="Leukoscope", description=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Outermost)
    _answer_with_sentences(app)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.get("/", include_in_schema=False)(service.page)
    app.get("/health")(service.health)
    app.get("/model")(service.model)
    app.post("/predict", responses=REFUSALS, openapi_extra=TAKES_PICTURES)(service.predict)
    app.post("/explain", responses=REFUSALS | PNG, openapi_extra=TAKES_PICTURES)(service.explain)
    return app


class Service:
    """What each address answers, on the version that is loaded at that moment."""

    def __init__(self, live: Live, limits: Limits) -> None:
        self._live, self._limits = live, limits
        self._scoring, self._heat_maps = Scoring(limits), HeatMaps(limits.heat_map_seconds)
        self._memory = UploadMemory(int(limits.memory_mb * MEGABYTE))

    async def close(self) -> None:
        """End what computes."""
        await asyncio.to_thread(self._heat_maps.close)
        self._scoring.close()

    async def page(self) -> FileResponse:
        """The page to drop cells on."""
        # TensorFlow starts while somebody looks for their cells
        self._heat_maps.warm(Asked(self._live.data_name, self._live.current.champion.version))
        return FileResponse(PAGE / "index.html")

    async def health(self) -> answers.Health:
        """Whether the server answers, and with which version."""
        return answers.Health(version=self._live.current.champion.version)

    async def model(self) -> answers.ModelAnswer:
        """The version that answers, how it calls cells, and what a request may hold."""
        live = self._live
        return answers.model_answer(
            live.current.champion,
            live.data_name,
            self._limits,
            follows_champion=not live.pinned,
            problem=live.problem,
        )

    async def predict(self, request: Request) -> answers.Prediction:
        """p(ALL), call and flags of each picture, and a summary of each subject that their names carry.

        Files that are no readable picture are listed beside the others; where there is nothing else it is an error.
        """
        loaded, seconds = self._live.current, self._limits.answer_seconds
        async with self._received(request, loaded) as uploads:
            late = f"no scores after {seconds:g} s: send fewer pictures at once"
            work = self._scoring.scores(uploads, loaded)
            scores, unreadable = await while_connected(request, work, seconds, late)
        if not scores:
            raise RequestError(422, _nothing_read(unreadable))
        return answers.prediction(loaded.champion, self._live.data_name, scores, unreadable)

    async def explain(self, request: Request) -> Response:
        """One picture's Grad-CAM as PNG: the centre that the model sees in grey, orange for ALL, blue for hem.

        The first one waits for TensorFlow, which starts in a process of its own.
        """
        loaded = self._live.current
        async with self._received(request, loaded) as uploads:
            if len(uploads) > 1:
                raise RequestError(422, "one picture at a time is explained: send a request for each")
            prepared = await self._scoring.prepared(uploads[0], loaded)
        asked = Asked(self._live.data_name, loaded.champion.version, prepared.framed)
        seconds, late = 2 * self._limits.heat_map_seconds, "the heat maps before it took too long: ask again"
        png = await while_connected(request, self._heat_maps.overlay(asked), seconds, late)
        return Response(png, media_type="image/png", headers={"x-model-version": loaded.champion.version})

    @contextlib.asynccontextmanager
    async def _received(self, request: Request, loaded: Loaded) -> AsyncIterator[list[Upload]]:
        """The request's pictures, whose number is logged with it."""
        async with received(request, self._limits, self._memory, loaded.framed_bytes) as uploads:
            request.state.pictures = len(uploads)
            yield uploads


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer], seconds: float, late: str) -> Answer:
    """What `work` gives; it is cancelled when the client goes (ClientDisconnect) or after `seconds` (BusyError)."""
    working, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        done, _ = await asyncio.wait({working, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            return working.result()
        if gone in done:
            raise ClientDisconnect
        raise BusyError(late)
    finally:
        working.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    """Return when the client has closed its connection; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _nothing_read(unreadable: list[answers.Unreadable]) -> str:
    first = f"{unreadable[0].file}: {unreadable[0].reason}"
    return first if len(unreadable) == 1 else f"none of the {len(unreadable)} files can be read; {first}"


def _answer_with_sentences(app: FastAPI) -> None:
    """Every answer to what cannot be answered is {"detail": "one sentence"}."""

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        headers = {"retry-after": "2"} if error.status == 503 else None
        return JSONResponse({"detail": str(error)}, error.status, headers)

    @app.exception_handler(HTTPException)
    async def not_here(_: Request, error: HTTPException) -> JSONResponse:
        said = {404: "nothing is here: the page is at /", 405: "this address takes another method"}
        return JSONResponse(
            {"detail": said.get(error.status_code, str(error.detail))}, error.status_code, error.headers
        )
