"""Routes of the latent directions behind the sliders."""

from fastapi import APIRouter, HTTPException

from studio.routes.context import CategoryQuery, Context
from studio.schemas import DirectionNameRequest, DirectionResponse

router = APIRouter()


@router.get("/api/directions")
async def directions(context: Context, category: CategoryQuery) -> list[DirectionResponse]:
    """The sliders of a category; the first call takes seconds, because it finds and measures them."""
    service = context.service
    found = await context.threads.slow(service.directions_with_reach, service.label_of(category))
    names = await context.threads.database(service.database.direction_names, service.generator.version, category)
    return [
        DirectionResponse(
            id=direction.name,
            kind=direction.kind,
            title=names.get(direction.name, direction.title),
            named=direction.name in names,
            explained=round(direction.explained, 3),
            reach=reach,
            effects={name: round(effect, 2) for name, effect in direction.effects.items()},
            strength=round(direction.strength, 1),
        )
        for direction, reach in found
    ]


@router.put("/api/directions/{direction}", status_code=204)
async def name_direction(context: Context, direction: str, category: CategoryQuery, body: DirectionNameRequest) -> None:
    """Name a direction, or delete its name."""
    service = context.service
    known = await context.threads.slow(service.directions_with_reach, service.label_of(category))
    if direction not in {one.name for one, _ in known}:
        raise HTTPException(404, "there is no such direction")
    name = body.name.strip()
    await context.threads.database(service.database.name_direction, service.generator.version, category, direction, name)
