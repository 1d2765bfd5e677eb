"""Routes that draw garments: new ones, edited ones, interpolations, style mixes, preferences, and downloads."""

from fastapi import APIRouter, Response

import pipeline
from pipeline.storage.arrays import colour_channels
from studio.directions import likeness_name, likeness_title
from studio.measures import COLOUR_MEASURES, MEASURES
from studio.patterns import PATTERNS
from studio.recipe import parse_address
from studio.routes.context import IMMUTABLE, PNG, CategoryQuery, Context, SidePx, drawn_grid
from studio.schemas import (
    MAX_GRID,
    Address,
    Grid,
    GridRequest,
    InterpolationRequest,
    MoveRequest,
    PicturesRequest,
    SheetRequest,
    StudioResponse,
    StyleMixRequest,
    SuggestionRequest,
    WordsRequest,
    WordsResponse,
)
from studio.sheets import Piece, contact_sheet_png, enlarged_to, marked_png
from studio.style_networks import STYLE_LAYERS, available_networks
from studio.uploads import MAX_UPLOAD_BYTES
from studio.word_edits import REACH

router = APIRouter()


@router.get("/api/studio")
async def studio(context: Context) -> StudioResponse:
    """The open model and what the studio can do with it."""
    service, card = context.service, context.service.card
    coloured = colour_channels(card.channels) == 3
    measures = {name: title for name, title in MEASURES.items() if coloured or name not in COLOUR_MEASURES}
    return StudioResponse(
        version=pipeline.__version__,
        model=service.generator.version,
        categories=card.categories,
        height=card.height,
        width=card.width,
        channels=card.channels,
        alpha=service.generator.alpha,
        mixes_categories=service.generator.mixes_categories,
        style_layers=service.generator.style_layers,
        intended_use=card.intended_use,
        attributes=card.attributes,
        takes_text=card.text_dim > 0,
        measures=measures | {likeness_name(label): likeness_title(name) for label, name in enumerate(card.categories)},
        patterns=list(PATTERNS),
        networks={name: list(STYLE_LAYERS[name]) for name in available_networks(service.style_weights)},
        whitens=service.style_weights is not None,
        max_grid=MAX_GRID,
        max_upload_bytes=MAX_UPLOAD_BYTES,
    )


@router.post("/api/grid")
async def grid(context: Context, body: GridRequest) -> Grid:
    """New garments."""
    service = context.service
    return await context.threads.draw(lambda: drawn_grid(service, service.new_garments(body)))


@router.post("/api/pictures")
async def pictures(context: Context, body: PicturesRequest) -> Grid:
    """The garments at some addresses."""
    return await context.threads.draw(lambda: drawn_grid(context.service, [parse_address(one) for one in body.addresses]))


@router.post("/api/move")
async def move(context: Context, body: MoveRequest) -> Grid:
    """A garment moved along directions or in words, and mixed with other categories."""
    service = context.service
    if body.amounts and not service.has_directions(body.address):
        await context.threads.slow(service.find_directions, body.address)  # takes seconds, during which others draw
    return await context.threads.draw(lambda: drawn_grid(service, [service.moved(body)]))


@router.post("/api/word-edits")
async def word_edit(context: Context, body: WordsRequest) -> WordsResponse:
    """The slider of a change in words; takes seconds, because its effects are measured."""
    found = await context.threads.slow(context.service.word_edit, body.address, body.words)
    return WordsResponse(
        words=found.words,
        before=found.pair.before,
        after=found.pair.after,
        step=round(found.step, 3),
        reach=REACH,
        effects={name: round(effect, 2) for name, effect in found.effects.items()},
        strength=round(found.strength, 1),
    )


@router.post("/api/interpolation")
async def interpolation(context: Context, body: InterpolationRequest) -> Grid:
    """Garments between two others, both included."""
    service = context.service
    return await context.threads.draw(lambda: drawn_grid(service, service.interpolated(body)))


@router.post("/api/style-mix")
async def style_mix(context: Context, body: StyleMixRequest) -> Grid:
    """Garments with the coarse style layers of one garment and the fine ones of another, one for each crossover."""
    service = context.service
    return await context.threads.draw(lambda: drawn_grid(service, service.style_mixed(body)))


@router.post("/api/suggestions")
async def suggestions(context: Context, body: SuggestionRequest) -> Grid:
    """The next garments, chosen by the votes so far and those in the body."""
    service = context.service
    return await context.threads.slow(lambda: drawn_grid(service, service.taste.suggested(body)))


@router.delete("/api/suggestions", status_code=204)
async def delete_votes(context: Context, category: CategoryQuery) -> None:
    """Delete the votes on a category."""
    service = context.service
    service.label_of(category)
    await context.threads.database(service.database.delete_votes, service.generator.version, category)


@router.get("/picture/{address}.png", response_class=Response, responses=PNG)
async def picture(context: Context, address: Address, side: SidePx = 512) -> Response:
    """A garment as a PNG whose metadata hold its recipe; the same address gives the same picture while the model is open."""
    service = context.service

    def png() -> bytes:
        image = enlarged_to(service.generator.pictures([parse_address(address)])[0], side)
        return marked_png(image, service.recipe_metadata(address))

    return Response(await context.threads.draw(png), media_type="image/png", headers=IMMUTABLE)


@router.post("/api/sheet", response_class=Response, responses=PNG)
async def sheet(context: Context, body: SheetRequest) -> Response:
    """A contact sheet of garments as a PNG."""
    service = context.service

    def png() -> bytes:
        recipes = [parse_address(address) for address in body.addresses]
        images = service.generator.pictures(recipes)
        names = [service.card.categories[recipe.label] for recipe in recipes]
        rows = zip(images, names, body.addresses, strict=True)
        return contact_sheet_png(
            [Piece(image, name, service.recipe_metadata(address)) for image, name, address in rows], body.columns
        )

    return Response(await context.threads.draw(png), media_type="image/png")
