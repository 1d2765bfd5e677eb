"""Routes of uploads and patterns, and of the jobs that work on them."""

from fastapi import APIRouter, HTTPException, Request, Response

from pipeline.imaging.formats import format_names
from studio.patterns import PATTERNS, pattern
from studio.routes.context import (
    IMMUTABLE,
    NOT_STORED,
    PNG,
    Context,
    RandomNamePath,
    RandomNameQuery,
    SidePx,
    found,
    job_response,
)
from studio.schemas import JobResponse, KeptRequest, ProjectionRequest, StyleTransferRequest, UploadResponse
from studio.service import PATTERN_PX
from studio.sheets import enlarged_to, marked_png, plain_png
from studio.uploads import decoded_upload, kind_of

router = APIRouter()
IMAGE_BODY = {"requestBody": {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}}


@router.post("/api/uploads", openapi_extra=IMAGE_BODY)
async def upload(context: Context, request: Request, name: RandomNameQuery = None) -> UploadResponse:
    """Upload a photograph or a style as the request's body; the studio keeps a reduced copy while a page uses it.

    A page that chooses the `name` can remove the upload while it is still on its way.
    """
    content = await request.body()
    if kind_of(content) is None:
        raise HTTPException(415, f"this is not a picture that the studio reads; it reads {format_names()}")
    picture = await context.threads.decode(decoded_upload, content)
    return UploadResponse(upload=context.service.uploads.add(picture, name), width=picture.shape[1], height=picture.shape[0])


@router.get("/api/uploads/{name}", response_class=Response, responses=PNG)
async def uploaded(context: Context, name: str) -> Response:
    """An upload as the studio keeps it."""
    picture = found(context.service.uploads.get(name), "this upload is no longer here")
    return Response(await context.threads.decode(plain_png, picture), media_type="image/png", headers=NOT_STORED)


@router.delete("/api/uploads/{name}", status_code=204)
async def forget_upload(context: Context, name: RandomNamePath) -> None:
    """Remove an upload from memory, also one that is still on its way."""
    context.service.uploads.remove(name)


@router.post("/api/kept", status_code=204)
async def keep(context: Context, body: KeptRequest) -> None:
    """Say that a page still uses uploads, persons and garments; what none has used for a quarter of an hour is forgotten."""
    context.renew(body.names)


@router.get("/api/patterns/{name}", response_class=Response, responses=PNG)
async def shown_pattern(context: Context, name: str) -> Response:
    """A bundled pattern."""
    if name not in PATTERNS:
        raise HTTPException(404, "there is no such pattern")
    png = await context.threads.decode(lambda: plain_png(pattern(name, PATTERN_PX)))
    return Response(png, media_type="image/png", headers=IMMUTABLE)


@router.post("/api/projections", status_code=202)
async def projection(context: Context, body: ProjectionRequest) -> JobResponse:
    """Start a search for the garment nearest to an upload."""
    service = context.service
    photograph = service.upload(body.upload)
    label = None if body.category is None else service.label_of(body.category)
    work = service.projected(photograph, label, body.negative)
    return job_response(context.quick_jobs.submit(work, {"projection": True, "model_sha256": service.card.onnx_sha256}))


@router.post("/api/styles", status_code=202)
async def style(context: Context, body: StyleTransferRequest) -> JobResponse:
    """Start dressing a garment in a style."""
    work, recipe = await context.threads.draw(context.service.styled, body)
    queue = context.painting_jobs if body.mode in ("paint", "whiten") else context.quick_jobs
    return job_response(queue.submit(work, recipe))


@router.get("/api/jobs/{name}")
async def job(context: Context, name: str) -> JobResponse:
    """The state of a job."""
    return job_response(context.job(name))


@router.delete("/api/jobs/{name}", status_code=204)
async def cancel(context: Context, name: str) -> None:
    """Stop a job at its next step."""
    context.job(name).cancelled = True


@router.get("/api/jobs/{name}/picture", response_class=Response, responses=PNG)
async def job_picture(context: Context, name: str, side: SidePx = 256) -> Response:
    """The latest picture of a job, marked as made by AI."""
    job = context.job(name)
    latest = found(job.progress.picture, "this job has no picture yet")
    png = await context.threads.decode(lambda: marked_png(enlarged_to(latest, side), job.recipe))
    return Response(png, media_type="image/png", headers=NOT_STORED)
