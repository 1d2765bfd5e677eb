"""What the route handlers share: the service, its threads and job queues, and the forms of their responses."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter

from studio.jobs import Job, JobQueue
from studio.recipe import Recipe, format_address
from studio.schemas import RANDOM_NAME, Category, Grid, JobResponse
from studio.service import StudioService
from studio.threads import WorkerThreads
from studio.trends import NO_OUTLOOK, Outlook
from studio.tryon import TryOnService

NOT_STORED = {"cache-control": "no-store"}  # what is the user's own stays out of the browser's cache on disk
IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}}}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "Unchanged since the ETag in If-None-Match."}}
FORGETTING_S = 30.0  # between two looks for what no page uses any more

T = TypeVar("T")
Id = Annotated[int, PathParameter(ge=1, lt=2**53)]
SidePx = Annotated[int, Query(ge=16, le=1024)]
RandomNamePath = Annotated[str, PathParameter(pattern=RANDOM_NAME)]
RandomNameQuery = Annotated[str | None, Query(pattern=RANDOM_NAME)]
CategoryQuery = Annotated[Category, Query()]


@dataclass(frozen=True)
class StudioContext:
    """The state of a running studio, in `app.state.context`."""

    service: StudioService
    tryon: TryOnService
    outlook: Outlook = NO_OUTLOOK
    threads: WorkerThreads = field(default_factory=WorkerThreads)
    quick_jobs: JobQueue = field(default_factory=lambda: JobQueue("quick"))
    painting_jobs: JobQueue = field(default_factory=lambda: JobQueue("painting"))  # would hold up the quick ones for minutes

    def job(self, name: str) -> Job:
        """The job called `name`. Raises HTTPException 404."""
        return found(self.quick_jobs.get(name) or self.painting_jobs.get(name), "this job is unknown or finished long ago")

    def renew(self, names: Sequence[str]) -> None:
        """Count the uploads, persons and garments called `names` as used now."""
        for name in names:
            self.service.uploads.get(name)
        self.tryon.renew(names)

    async def forget_unused(self) -> None:
        """Forget, for ever and ever, what no page uses any more."""
        while True:
            await asyncio.sleep(FORGETTING_S)
            self.service.uploads.forget_unused()
            self.tryon.forget_unused()

    def close(self) -> None:
        """Stop all work and close the database."""
        for queue in (self.quick_jobs, self.painting_jobs):
            queue.close()
        self.threads.close()
        self.service.database.close()


async def _context(request: Request) -> StudioContext:
    context: StudioContext = request.app.state.context
    return context


Context = Annotated[StudioContext, Depends(_context)]


def found(value: T | None, message: str) -> T:
    """`value`. Raises HTTPException 404 with `message` if it is None or False."""
    if value is None or value is False:
        raise HTTPException(404, message)
    return value


def drawn_grid(service: StudioService, recipes: list[Recipe]) -> Grid:
    """The garments of `recipes`, drawn."""
    pictures = service.generator.pictures(recipes)
    _, height, width, channels = pictures.shape
    return Grid(
        addresses=[format_address(recipe) for recipe in recipes],
        categories=[service.card.categories[recipe.label] for recipe in recipes],
        height=height,
        width=width,
        channels=channels,
        pixels=base64.b64encode(pictures.tobytes()).decode(),
    )


def job_response(job: Job) -> JobResponse:
    """The state of `job`."""
    progress = job.progress
    return JobResponse(
        id=job.id,
        state=job.state,
        share=progress.share,
        has_picture=progress.picture is not None,
        reason=job.reason,
        result=progress.result,
    )


def download(content: bytes, media_type: str, name: str) -> Response:
    """A response that the browser saves as the file `name`."""
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


def unless_cached(request: Request, content: bytes, media_type: str) -> Response:
    """`content` with its ETag, or 304 if the request's If-None-Match has that ETag."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    # Proxies that compress mark the tag as weak.
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
