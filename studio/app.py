"""The studio's HTTP interface: thin, every answer bounded in size and in the work that it may cost."""

import asyncio
import base64
import hashlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

import pipeline
from pipeline.errors import InputError
from pipeline.imaging.formats import format_names
from studio.database import FullError
from studio.directions import likeness_name, likeness_title
from studio.jobs import BusyError, Job, JobQueue
from studio.measures import COLOUR_MEASURES, MEASURES
from studio.patterns import PATTERNS, pattern
from studio.recipe import Recipe, address_of, recipe_at
from studio.schemas import (
    MAX_WALL,
    Address,
    Category,
    CollectionAnswer,
    DirectionAnswer,
    DirectionNameRequest,
    InterpolateRequest,
    JobAnswer,
    MoveRequest,
    NameRequest,
    PicturesRequest,
    PieceAnswer,
    PieceRequest,
    Problem,
    ProjectionRequest,
    SheetRequest,
    StudioAnswer,
    StyleMixRequest,
    StyleTransferRequest,
    TasteRequest,
    UploadAnswer,
    Wall,
    WallRequest,
)
from studio.service import PATTERN_PX, StudioService, picture_of, png_of, recipe_in
from studio.sheets import Piece, board_pdf, contact_sheet_png, enlarged_to, marked_png
from studio.style_networks import STYLE_LAYERS, available_networks
from studio.uploads import MAX_UPLOAD_BYTES, UnreadableUploadError, decoded_upload, kind_of

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
DRAWING_THREADS = 2
MAX_SENTENCE = 300
MAX_WAITING = 256  # asks for pictures that may wait at once; more are turned away with a sentence
FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 503)
}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As it was under that etag."}}
PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}}}

P = ParamSpec("P")
T = TypeVar("T")
Id = Annotated[int, InPath(ge=1, lt=2**53)]


class Threads:
    """Pools that keep the event loop free: drawing, patient work, memory, decoding."""

    def __init__(self) -> None:
        self._drawing = ThreadPoolExecutor(DRAWING_THREADS, "draw")
        self._patient = ThreadPoolExecutor(1, "patient")
        self._memory = ThreadPoolExecutor(1, "memory")
        self._decoding = ThreadPoolExecutor(2, "decode")
        self._waiting = 0

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("others are being served; try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*arguments, **named))
        finally:
            self._waiting -= 1

    async def draw(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `call` returns, from a thread that draws."""
        return await self._run(self._drawing, call, *arguments, **named)

    async def patiently(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `call` returns, from the thread for work of seconds."""
        return await self._run(self._patient, call, *arguments, **named)

    async def remember(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `call` returns, from the thread that waits for the disk."""
        return await self._run(self._memory, call, *arguments, **named)

    async def decode(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `call` returns, from a thread that waits for a decoder."""
        return await self._run(self._decoding, call, *arguments, **named)

    def close(self) -> None:
        """End the threads when their work is done."""
        for pool in (self._drawing, self._patient, self._memory, self._decoding):
            pool.shutdown(cancel_futures=True)


def _wall(desk: StudioService, recipes: list[Recipe]) -> Wall:
    pictures = desk.generator.pictures(recipes)
    _, height, width, channels = pictures.shape
    return Wall(
        addresses=[address_of(recipe) for recipe in recipes],
        categories=[desk.card.categories[recipe.label] for recipe in recipes],
        height=height,
        width=width,
        channels=channels,
        pixels=base64.b64encode(pictures.tobytes()).decode(),
    )


def _job_answer(job: Job) -> JobAnswer:
    progress = job.progress
    return JobAnswer(
        id=job.id,
        state=job.state,
        share=progress.share,
        has_picture=progress.picture is not None,
        reason=job.reason,
        result=progress.result,
    )


def _found(what: T | None, sentence: str) -> T:
    if what is None or what is False:
        raise HTTPException(404, sentence)
    return what


def misfit_sentence(error: RequestValidationError) -> str:
    """Where and how a request is not what the API describes. What was sent is not repeated: it may be no text."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON"
    where = ".".join(str(part) for part in first["loc"][1:])
    return f"{where or 'the body'}: {first['msg']}".encode("ascii", "replace").decode()[:MAX_SENTENCE]


def create_app(desk: StudioService) -> FastAPI:
    """The studio's app on `desk`, without its guard."""
    threads, quick, painting = Threads(), JobQueue("quick"), JobQueue("painting")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for lane in (quick, painting):
            lane.close()
        threads.close()
        desk.shelf.close()

    app = FastAPI(
        title="Atelier studio",
        version=pipeline.__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # the redirects are absolute, and wrong behind a prefix that the studio does not know
        lifespan=lifespan,
        responses=PROBLEMS,
    )
    _answer_mistakes(app)
    _add_drawing(app, desk, threads)
    _add_directions(app, desk, threads)
    _add_uploads_and_jobs(app, desk, threads, quick, painting)
    _add_collections(app, desk, threads, (quick, painting))
    _add_pages(app)
    return app


def _answer_mistakes(app: FastAPI) -> None:
    def answer(status: int) -> Callable[[Request, Exception], JSONResponse]:
        return lambda _, error: JSONResponse({"detail": str(error)}, status)

    def answer_misfit(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": misfit_sentence(error)}, 422)

    def answer_nobody(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "the rest of the request did not arrive"}, 400)

    def answer_shelf(_: Request, error: Exception) -> JSONResponse:
        log.error("the studio's file: %s", error)
        return JSONResponse({"detail": f"the studio cannot use its file ({error}); is its disk full or locked?"}, 503)

    app.add_exception_handler(RequestValidationError, answer_misfit)
    app.add_exception_handler(InputError, answer(422))
    app.add_exception_handler(UnreadableUploadError, answer(422))
    app.add_exception_handler(ClientDisconnect, answer_nobody)
    app.add_exception_handler(BusyError, answer(503))
    app.add_exception_handler(sqlite3.Error, answer_shelf)
    app.add_exception_handler(FullError, answer(409))


def _add_drawing(app: FastAPI, desk: StudioService, threads: Threads) -> None:
    @app.get("/api/studio")
    async def studio() -> StudioAnswer:
        """What the studio has open and can do."""
        card = desk.card
        measures = {name: title for name, title in MEASURES.items() if card.channels == 3 or name not in COLOUR_MEASURES}
        return StudioAnswer(
            version=pipeline.__version__,
            model=desk.generator.version,
            categories=card.categories,
            height=card.height,
            width=card.width,
            channels=card.channels,
            mixes_categories=desk.generator.mixes_categories,
            style_layers=desk.generator.style_layers,
            intended_use=card.intended_use,
            measures=measures | {likeness_name(label): likeness_title(name) for label, name in enumerate(card.categories)},
            patterns=list(PATTERNS),
            networks={name: list(STYLE_LAYERS[name]) for name in available_networks(desk.style_weights)},
            whitens=desk.style_weights is not None,
            max_wall=MAX_WALL,
            max_upload_bytes=MAX_UPLOAD_BYTES,
        )

    @app.post("/api/wall")
    async def wall(ask: WallRequest) -> Wall:
        """New garments."""
        return await threads.draw(lambda: _wall(desk, desk.wall(ask)))

    @app.post("/api/pictures")
    async def pictures(ask: PicturesRequest) -> Wall:
        """Garments by their addresses."""
        return await threads.draw(lambda: _wall(desk, [recipe_at(address) for address in ask.addresses]))

    @app.post("/api/move")
    async def move(ask: MoveRequest) -> Wall:
        """A garment moved along directions and mixed with other categories."""
        if ask.amounts and not desk.has_sliders(ask.address):
            await threads.patiently(desk.find_sliders, ask.address)  # seconds, in which others are drawn for
        return await threads.draw(lambda: _wall(desk, [desk.moved(ask)]))

    @app.post("/api/between")
    async def between(ask: InterpolateRequest) -> Wall:
        """Garments on the way from one to another."""
        return await threads.draw(lambda: _wall(desk, desk.between(ask)))

    @app.post("/api/styles-mixed")
    async def styles_mixed(ask: StyleMixRequest) -> Wall:
        """Garments with the coarse layers of one and the fine layers of another, layer by layer."""
        return await threads.draw(lambda: _wall(desk, desk.styles(ask)))

    @app.post("/api/taste")
    async def taste(ask: TasteRequest) -> Wall:
        """The next wall, after votes on the last."""
        return await threads.patiently(lambda: _wall(desk, desk.next_wall(ask)))

    @app.delete("/api/taste", status_code=204)
    async def forget_taste(category: Annotated[Category, Query()]) -> None:
        """Start a category's taste over."""
        desk.label_of(category)
        await threads.remember(desk.shelf.forget_votes, desk.generator.version, category)

    @app.get("/picture/{address}.png", response_class=Response, responses=PNG)
    async def picture(address: Address, side: Annotated[int, Query(ge=16, le=1024)] = 512) -> Response:
        """A garment as a PNG that says how it was made; the address brings it back for as long as the model is open."""

        def drawn() -> bytes:
            image = enlarged_to(desk.generator.pictures([recipe_at(address)])[0], side)
            return marked_png(image, desk.recipe_card(address))

        return Response(await threads.draw(drawn), media_type="image/png", headers=FOR_EVER)

    @app.post("/api/sheet", response_class=Response, responses=PNG)
    async def sheet(ask: SheetRequest) -> Response:
        """A contact sheet of garments as a PNG."""

        def drawn() -> bytes:
            recipes = [recipe_at(address) for address in ask.addresses]
            names = [desk.card.categories[recipe.label] for recipe in recipes if recipe.label < len(desk.card.categories)]
            rows = zip(desk.generator.pictures(recipes), names, ask.addresses, strict=True)
            return contact_sheet_png([Piece(image, name, desk.recipe_card(at)) for image, name, at in rows], ask.columns)

        return Response(await threads.draw(drawn), media_type="image/png")


def _add_directions(app: FastAPI, desk: StudioService, threads: Threads) -> None:
    @app.get("/api/directions")
    async def directions(category: Annotated[Category, Query()]) -> list[DirectionAnswer]:
        """Sliders for a category; the first call takes seconds, for they are found and measured then."""
        sliders = await threads.patiently(desk.sliders, desk.label_of(category))
        names = await threads.remember(desk.shelf.direction_names, desk.generator.version, category)
        return [
            DirectionAnswer(
                id=one.name,
                kind=one.kind,
                title=names.get(one.name, one.title),
                named=one.name in names,
                explained=round(one.explained, 3),
                reach=round(reach, 2),
                effects={name: round(effect, 2) for name, effect in one.effects.items()},
                strength=round(one.strength, 1),
            )
            for one, reach in sliders
        ]

    @app.put("/api/directions/{direction}", status_code=204)
    async def name_direction(direction: str, category: Annotated[Category, Query()], ask: DirectionNameRequest) -> None:
        """Call a direction something."""
        sliders = await threads.patiently(desk.sliders, desk.label_of(category))
        if direction not in {one.name for one, _ in sliders}:
            raise HTTPException(404, "there is no such direction")
        await threads.remember(desk.shelf.name_direction, desk.generator.version, category, direction, ask.name.strip())


def _add_uploads_and_jobs(app: FastAPI, desk: StudioService, threads: Threads, quick: JobQueue, painting: JobQueue) -> None:
    def job_named(name: str) -> Job:
        return _found(quick.get(name) or painting.get(name), "this job is not known, or long finished")

    body = {"requestBody": {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}}

    @app.post("/api/uploads", openapi_extra=body)
    async def upload(request: Request) -> UploadAnswer:
        """A photograph or a style, as the body; kept small and for a while."""
        content = await request.body()
        if kind_of(content) is None:
            raise HTTPException(415, f"this is not a picture the studio reads; it reads {format_names()}")
        picture = await threads.decode(decoded_upload, content)
        return UploadAnswer(upload=desk.uploads.add(picture), width=picture.shape[1], height=picture.shape[0])

    @app.get("/api/uploads/{name}", response_class=Response, responses=PNG)
    async def uploaded(name: str) -> Response:
        """An upload as it was kept."""
        picture = _found(desk.uploads.get(name), "this upload is no longer here")
        return Response(await threads.decode(png_of, picture), media_type="image/png", headers=FOR_EVER)

    @app.get("/api/patterns/{name}", response_class=Response, responses=PNG)
    async def shown_pattern(name: str) -> Response:
        """A bundled pattern."""
        if name not in PATTERNS:
            raise HTTPException(404, "there is no such pattern")
        return Response(
            await threads.decode(lambda: png_of(pattern(name, PATTERN_PX))), media_type="image/png", headers=FOR_EVER
        )

    @app.post("/api/projections", status_code=202)
    async def projection(ask: ProjectionRequest) -> JobAnswer:
        """Start looking for the garment nearest to an upload."""
        photograph = desk.upload(ask.upload)
        label = None if ask.category is None else desk.label_of(ask.category)
        work = desk.projected(photograph, label, ask.negative)
        return _job_answer(quick.submit(work, {"projection": True, "model_sha256": desk.card.onnx_sha256}))

    @app.post("/api/styles", status_code=202)
    async def style(ask: StyleTransferRequest) -> JobAnswer:
        """Start dressing a garment in a style."""
        work, recipe = await threads.draw(desk.styled, ask)
        lane = painting if ask.mode in ("paint", "whiten") else quick
        return _job_answer(lane.submit(work, recipe))

    @app.get("/api/jobs/{name}")
    async def job(name: str) -> JobAnswer:
        """Where a job stands."""
        return _job_answer(job_named(name))

    @app.delete("/api/jobs/{name}", status_code=204)
    async def cancel(name: str) -> None:
        """Stop a job at its next step."""
        job_named(name).cancelled = True

    @app.get("/api/jobs/{name}/picture", response_class=Response, responses=PNG)
    async def job_picture(name: str, side: Annotated[int, Query(ge=16, le=1024)] = 256) -> Response:
        """A job's latest picture, marked as made by AI."""
        job = job_named(name)
        latest = _found(job.progress.picture, "this job has no picture yet")
        png = await threads.decode(lambda: marked_png(enlarged_to(latest, side), job.recipe))
        return Response(png, media_type="image/png", headers={"cache-control": "no-store"})


def _add_collections(app: FastAPI, desk: StudioService, threads: Threads, lanes: tuple[JobQueue, ...]) -> None:
    gone = "there is no such collection or piece; it may have been deleted in another window"
    shelf = desk.shelf

    @app.get("/api/collections")
    async def collections() -> list[CollectionAnswer]:
        """All collections, the newest first."""
        return [CollectionAnswer(**vars(one)) for one in await threads.remember(shelf.collections)]

    @app.post("/api/collections", status_code=201)
    async def new_collection(ask: NameRequest) -> dict[str, int]:
        """A new collection."""
        return {"id": await threads.remember(shelf.new_collection, ask.name)}

    @app.put("/api/collections/{collection}", status_code=204)
    async def rename_collection(collection: Id, ask: NameRequest) -> None:
        """Give a collection another name."""
        _found(await threads.remember(shelf.rename_collection, collection, ask.name), gone)

    @app.delete("/api/collections/{collection}", status_code=204)
    async def delete_collection(collection: Id) -> None:
        """Delete a collection with its pieces."""
        _found(await threads.remember(shelf.delete_collection, collection), gone)

    @app.get("/api/collections/{collection}/pieces")
    async def pieces(collection: Id) -> list[PieceAnswer]:
        """What a collection holds."""
        kept = _found(await threads.remember(shelf.pieces, collection), gone)
        return [
            PieceAnswer(id=one.id, name=one.name, created=one.created, address=_still_drawn(desk, recipe_in(one.recipe)))
            for one in kept
        ]

    @app.post("/api/collections/{collection}/pieces", status_code=201)
    async def add_piece(collection: Id, ask: PieceRequest) -> dict[str, int]:
        """Keep a garment or the picture of a finished job."""
        if (ask.address is None) == (ask.job is None):
            raise HTTPException(422, "name either an address or a job")
        if ask.address is not None:
            address = ask.address
            picture = (await threads.draw(lambda: desk.generator.pictures([recipe_at(address)])))[0]
            recipe = desk.recipe_card(address)
        else:
            jobs = (lane.get(ask.job or "") for lane in lanes)
            job = _found(next((one for one in jobs if one is not None), None), "this job is not known, or long finished")
            recipe, picture = job.recipe, _found(job.progress.picture, "this job has no picture yet")
        png = await threads.decode(lambda: marked_png(enlarged_to(picture, max(picture.shape[:2])), recipe))
        text = json.dumps(recipe, ensure_ascii=False)
        return {"id": _found(await threads.remember(shelf.add_piece, collection, ask.name, text, png), gone)}

    @app.put("/api/collections/{collection}/pieces/{piece}", status_code=204)
    async def rename_piece(collection: Id, piece: Id, ask: NameRequest) -> None:
        """Give a piece another name."""
        _found(await threads.remember(shelf.rename_piece, collection, piece, ask.name), gone)

    @app.delete("/api/collections/{collection}/pieces/{piece}", status_code=204)
    async def delete_piece(collection: Id, piece: Id) -> None:
        """Take a piece out of its collection."""
        _found(await threads.remember(shelf.delete_piece, collection, piece), gone)

    @app.get("/api/collections/{collection}/pieces/{piece}/picture", response_class=Response, responses=PNG | UNCHANGED)
    async def piece_picture(request: Request, collection: Id, piece: Id) -> Response:
        """A kept picture as a PNG, as it was when it was kept."""
        png = _found(await threads.remember(shelf.png, collection, piece), gone)
        return _if_changed(request, png, "image/png")  # a piece deleted leaves its number to the next

    def board(collection: int) -> tuple[str, list[Piece]]:
        name = _found(next((one.name for one in shelf.collections() if one.id == collection), None), gone)
        kept = [(one, shelf.png(collection, one.id)) for one in shelf.pieces(collection) or []]
        pieces = [Piece(picture_of(png), one.name, recipe_in(one.recipe)) for one, png in kept if png]
        if not pieces:
            raise HTTPException(409, "this collection is empty; keep something first")
        return name, pieces

    @app.get("/api/collections/{collection}/board.pdf", response_class=Response, responses=PDF)
    async def board_as_pdf(collection: Id) -> Response:
        """A collection as a board of A4 pages."""
        pdf = await threads.patiently(lambda: board_pdf(*board(collection)))
        return _download(pdf, "application/pdf", f"board-{collection}.pdf")

    @app.get("/api/collections/{collection}/sheet.png", response_class=Response, responses=PNG)
    async def board_as_sheet(collection: Id, columns: Annotated[int, Query(ge=1, le=16)] = 5) -> Response:
        """A collection as a contact sheet."""
        png = await threads.patiently(lambda: contact_sheet_png(board(collection)[1][:MAX_WALL], columns))
        return _download(png, "image/png", f"sheet-{collection}.png")


def _still_drawn(desk: StudioService, recipe: dict[str, object]) -> str | None:
    """The address in a kept recipe, when the model that is open made it."""
    address = recipe.get("address")
    same = recipe.get("model_sha256") == desk.card.onnx_sha256 and "mode" not in recipe
    return address if same and isinstance(address, str) else None


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


def _tags_in(if_none_match: str) -> set[str]:
    """The entity tags of an If-None-Match header; proxies that compress mark them as weak."""
    return {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}


def _if_changed(request: Request, content: bytes, media_type: str) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if tag in _tags_in(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def _add_pages(app: FastAPI) -> None:
    # Read once: a path in a request is a name in this table, and never reaches the disk.
    kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    files = {file.name: (file.read_bytes(), kinds[file.suffix]) for file in STATIC.iterdir() if file.suffix in kinds}

    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def page(request: Request, name: str = "index.html") -> Response:
        return _if_changed(request, *_found(files.get(name), "there is no such page"))
