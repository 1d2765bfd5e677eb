"""Routes of collections: what designers keep, and the boards and sheets made of it."""

import json
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from numpy.typing import NDArray

from studio.recipe import parse_address
from studio.routes.context import NOT_MODIFIED, PDF, PNG, Context, Id, StudioContext, download, found, unless_cached
from studio.schemas import CollectionResponse, NameRequest, PieceRequest, PieceResponse
from studio.service import StudioService
from studio.sheets import Piece, board_pdf, contact_sheet_png, enlarged_to, marked_png, picture_in

router = APIRouter()
GONE = "there is no such collection or piece; it may have been deleted in another window"


@router.get("/api/collections")
async def collections(context: Context) -> list[CollectionResponse]:
    """All collections, newest first."""
    stored = await context.threads.database(context.service.database.collections)
    return [CollectionResponse(**vars(one)) for one in stored]


@router.post("/api/collections", status_code=201)
async def new_collection(context: Context, body: NameRequest) -> dict[str, int]:
    """Create a collection."""
    return {"id": await context.threads.database(context.service.database.new_collection, body.name)}


@router.put("/api/collections/{collection}", status_code=204)
async def rename_collection(context: Context, collection: Id, body: NameRequest) -> None:
    """Rename a collection."""
    found(await context.threads.database(context.service.database.rename_collection, collection, body.name), GONE)


@router.delete("/api/collections/{collection}", status_code=204)
async def delete_collection(context: Context, collection: Id) -> None:
    """Delete a collection with its pieces."""
    found(await context.threads.database(context.service.database.delete_collection, collection), GONE)


@router.get("/api/collections/{collection}/pieces")
async def pieces(context: Context, collection: Id) -> list[PieceResponse]:
    """The pieces of a collection."""
    stored = found(await context.threads.database(context.service.database.pieces, collection), GONE)
    return [
        PieceResponse(id=one.id, name=one.name, created=one.created, address=_address_in(context.service, one.recipe))
        for one in stored
    ]


def _address_in(service: StudioService, recipe: str) -> str | None:
    """The address in a stored recipe if the open model made the picture, else None."""
    stored = json.loads(recipe)
    address = stored.get("address")
    is_drawn = stored.get("model_sha256") == service.card.onnx_sha256 and "mode" not in stored
    return address if is_drawn and isinstance(address, str) else None


@router.post("/api/collections/{collection}/pieces", status_code=201)
async def add_piece(context: Context, collection: Id, body: PieceRequest) -> dict[str, int]:
    """Store a garment or the latest picture of a job."""
    if (body.address is None) == (body.job is None):
        raise HTTPException(422, "name either an address or a job")
    picture, recipe = await _picture_and_recipe(context, body)
    png = await context.threads.decode(lambda: marked_png(enlarged_to(picture, max(picture.shape[:2])), recipe))
    text = json.dumps(recipe, ensure_ascii=False)
    added = await context.threads.database(context.service.database.add_piece, collection, body.name, text, png)
    return {"id": found(added, GONE)}


async def _picture_and_recipe(context: StudioContext, body: PieceRequest) -> tuple[NDArray[np.uint8], dict[str, object]]:
    if body.address is not None:
        recipe = parse_address(body.address)
        pictures = await context.threads.draw(lambda: context.service.generator.pictures([recipe]))
        return pictures[0], context.service.recipe_metadata(body.address)
    job = context.job(body.job or "")
    return found(job.progress.picture, "this job has no picture yet"), job.recipe


@router.put("/api/collections/{collection}/pieces/{piece}", status_code=204)
async def rename_piece(context: Context, collection: Id, piece: Id, body: NameRequest) -> None:
    """Rename a piece."""
    found(await context.threads.database(context.service.database.rename_piece, collection, piece, body.name), GONE)


@router.delete("/api/collections/{collection}/pieces/{piece}", status_code=204)
async def delete_piece(context: Context, collection: Id, piece: Id) -> None:
    """Delete a piece."""
    found(await context.threads.database(context.service.database.delete_piece, collection, piece), GONE)


@router.get("/api/collections/{collection}/pieces/{piece}/picture", response_class=Response, responses=PNG | NOT_MODIFIED)
async def piece_picture(context: Context, request: Request, collection: Id, piece: Id) -> Response:
    """The stored PNG of a piece."""
    png = found(await context.threads.database(context.service.database.png, collection, piece), GONE)
    return unless_cached(request, png, "image/png")  # not immutable: with another --state the id is another piece's


def _board(context: StudioContext, collection: int) -> tuple[str, list[Piece]]:
    """Name and pieces of a collection. Raises HTTPException 404, or 409 if it is empty."""
    database = context.service.database
    name = found(next((one.name for one in database.collections() if one.id == collection), None), GONE)
    stored = [(one, database.png(collection, one.id)) for one in database.pieces(collection) or []]
    pieces = [Piece(picture_in(png), one.name, json.loads(one.recipe)) for one, png in stored if png]
    if not pieces:
        raise HTTPException(409, "this collection is empty; keep something first")
    return name, pieces


@router.get("/api/collections/{collection}/board.pdf", response_class=Response, responses=PDF)
async def board_as_pdf(context: Context, collection: Id) -> Response:
    """A collection as a board of A4 pages."""
    pdf = await context.threads.slow(lambda: board_pdf(*_board(context, collection)))
    return download(pdf, "application/pdf", f"board-{collection}.pdf")


@router.get("/api/collections/{collection}/sheet.png", response_class=Response, responses=PNG)
async def board_as_sheet(context: Context, collection: Id, columns: Annotated[int, Query(ge=1, le=16)] = 5) -> Response:
    """A collection as a contact sheet."""
    png = await context.threads.slow(lambda: contact_sheet_png(_board(context, collection)[1], columns))
    return download(png, "image/png", f"sheet-{collection}.png")
