"""The studio's FastAPI application: routers by subject, and exceptions as JSON responses."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

import pipeline
from pipeline.errors import InputError
from studio.database import FullError
from studio.jobs import BusyError, JobQueue
from studio.routes import collections, directions, garments, jobs, profile, trends, tryon
from studio.routes.context import StudioContext, found, unless_cached
from studio.schemas import ErrorResponse
from studio.service import StudioService
from studio.trends import NO_OUTLOOK, Outlook
from studio.tryon import TryOnService
from studio.uploads import UnreadableUploadError

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MAX_DETAIL = 300
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 503)
}


def create_app(service: StudioService, person_models: Path | None = None, outlook: Outlook = NO_OUTLOOK) -> FastAPI:
    """The application, without the checks of `http_limits.Guard`; `person_models` holds the networks that find people."""
    quick_jobs = JobQueue("quick")
    context = StudioContext(service, TryOnService(person_models, quick_jobs.forget), outlook, quick_jobs=quick_jobs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        forgetting = asyncio.create_task(context.forget_unused())
        yield
        forgetting.cancel()
        context.close()

    app = FastAPI(
        title="Atelier studio",
        version=pipeline.__version__,
        docs_url=None,  # the documentation pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,  # redirects are absolute, and wrong behind a prefix that the studio does not know
        lifespan=lifespan,
        responses=ERRORS,
    )
    app.state.context = context
    _add_exception_handlers(app)
    for module in (garments, directions, jobs, collections, trends, tryon, profile):
        app.include_router(module.router)
    _add_pages(app)
    return app


def validation_message(error: RequestValidationError) -> str:
    """The first error as `field: reason`. The rejected value is left out, because it may not be encodable text."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON"
    where = ".".join(str(part) for part in first["loc"][1:])
    return f"{where or 'the body'}: {first['msg']}".encode("ascii", "replace").decode()[:MAX_DETAIL]


def _add_exception_handlers(app: FastAPI) -> None:
    def with_status(status: int) -> Callable[[Request, Exception], JSONResponse]:
        return lambda _, error: JSONResponse({"detail": str(error)}, status)

    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": validation_message(error)}, 422)

    def disconnected(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "the rest of the request did not arrive"}, 400)

    def database_failed(_: Request, error: Exception) -> JSONResponse:
        log.error("the studio's database: %s", error)
        return JSONResponse({"detail": f"the studio cannot use its database ({error}); is the disk full or locked?"}, 503)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(InputError, with_status(422))
    app.add_exception_handler(UnreadableUploadError, with_status(422))
    app.add_exception_handler(ClientDisconnect, disconnected)
    app.add_exception_handler(BusyError, with_status(503))
    app.add_exception_handler(sqlite3.Error, database_failed)
    app.add_exception_handler(FullError, with_status(409))


def _add_pages(app: FastAPI) -> None:
    """Serve the static files from a table in memory, so that no path of a request reaches the disk."""
    files = {
        file.name: (file.read_bytes(), MEDIA_TYPES[file.suffix]) for file in STATIC.iterdir() if file.suffix in MEDIA_TYPES
    }

    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def page(request: Request, name: str = "index.html") -> Response:
        content, media_type = found(files.get(name), "there is no such page")
        return unless_cached(request, content, media_type)
