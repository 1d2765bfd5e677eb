"""Routes of try-on: persons, garments, and one on the other. Photographs stay in memory and are named in no log or recipe."""

from collections.abc import Mapping

import numpy as np
from fastapi import APIRouter, Response

from pipeline.imaging.garment_kinds import KINDS
from pipeline.imaging.outlines import Point
from pipeline.tryon.body import ANCHORS
from pipeline.tryon.fitting import FITS
from pipeline.tryon.mannequins import Measures
from studio.recipe import parse_address
from studio.routes.context import NOT_STORED, PNG, Context, RandomNamePath, job_response
from studio.schemas import (
    GarmentResponse,
    JobResponse,
    MannequinRequest,
    PersonRequest,
    PersonResponse,
    TryOnGarmentRequest,
    TryOnRequest,
    TryOnResponse,
)
from studio.sheets import marked_png, plain_png, to_image
from studio.tryon import Sitter, WornPiece

router = APIRouter()


@router.get("/api/tryon")
async def offered(context: Context) -> TryOnResponse:
    """What the studio can try on."""
    return TryOnResponse(kinds=list(KINDS), fits=list(FITS), anchors=list(ANCHORS), finds_people=context.tryon.finds_people)


def person_response(name: str, sitter: Sitter) -> PersonResponse:
    """A person's size and joints, in pixels of its picture."""
    anchors = {joint: [round(float(point[0]), 1), round(float(point[1]), 1)] for joint, point in sitter.anchors.items()}
    height, width = sitter.picture.shape[:2]
    return PersonResponse(person=name, width=width, height=height, anchors=anchors, found=sitter.person is not None)


@router.post("/api/tryon/mannequins", status_code=201)
async def new_mannequin(context: Context, body: MannequinRequest) -> PersonResponse:
    """Draw a mannequin to measures."""
    return person_response(*await context.threads.draw(context.tryon.add_mannequin, Measures(**body.model_dump())))


@router.post("/api/tryon/persons", status_code=201)
async def new_person(context: Context, body: PersonRequest) -> PersonResponse:
    """Find the person in an upload; where the networks are not installed, the eight anchors are to be set by hand."""
    picture = context.service.upload(body.upload)
    return person_response(*await context.threads.slow(context.tryon.add_photograph, picture, body.name))


@router.get("/api/tryon/persons/{name}", response_class=Response, responses=PNG)
async def person_picture(context: Context, name: RandomNamePath) -> Response:
    """The picture of a person as the studio keeps it."""
    sitter = context.tryon.sitter(name)
    png = await context.threads.decode(plain_png, sitter.picture)
    return Response(png, media_type="image/png", headers=NOT_STORED)


@router.delete("/api/tryon/persons/{name}", status_code=204)
async def forget_person(context: Context, name: RandomNamePath) -> None:
    """Remove a person, also one that is still looked for, and all pictures of this person that are in no collection."""
    context.tryon.forget_sitter(name)


@router.post("/api/tryon/garments", status_code=201)
async def new_garment(context: Context, body: TryOnGarmentRequest) -> GarmentResponse:
    """Take a drawn garment, by its address, or cut one out of an upload."""
    if body.address is not None:
        service, address = context.service, body.address
        picture = await context.threads.draw(lambda: service.generator.pictures([parse_address(address)])[0])
        name = context.tryon.add_drawn_garment(picture, service.recipe_metadata(address))
    else:
        picture = context.service.upload(body.upload or "")
        name = await context.threads.slow(context.tryon.add_photographed_garment, picture, body.name)
    return GarmentResponse(garment=name)


@router.get("/api/tryon/garments/{name}", response_class=Response, responses=PNG)
async def garment_picture(context: Context, name: RandomNamePath) -> Response:
    """A garment, cut out; a drawn one is marked as made by AI."""
    garment = context.tryon.garment(name)

    def png() -> bytes:
        return plain_png(garment.picture) if garment.recipe is None else marked_png(to_image(garment.picture), garment.recipe)

    return Response(await context.threads.decode(png), media_type="image/png", headers=NOT_STORED)


@router.delete("/api/tryon/garments/{name}", status_code=204)
async def forget_garment(context: Context, name: RandomNamePath) -> None:
    """Remove a garment, also one that is still being cut out, from memory."""
    context.tryon.forget_garment(name)


@router.post("/api/tryon", status_code=202)
async def worn(context: Context, body: TryOnRequest) -> JobResponse:
    """Start a try-on; the job's picture is the person in all garments, the first one innermost."""
    sitter = context.tryon.sitter(body.person)
    pieces = [WornPiece(context.tryon.garment(one.garment), one.kind, one.fit) for one in body.garments]
    work = context.tryon.worn(sitter, pieces, as_points(body.anchors))
    recipe = context.tryon.recipe(sitter, pieces) | {"model_sha256": context.service.card.onnx_sha256}
    job = context.quick_jobs.submit(work, recipe)
    context.tryon.add_job(body.person, job.id)
    return job_response(job)


def as_points(anchors: Mapping[str, list[float]]) -> dict[str, Point]:
    """Joints as arrays."""
    return {name: np.array(point, np.float64) for name, point in anchors.items()}
