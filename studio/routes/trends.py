"""Routes of the forecast: what rises and falls, and garments that follow it."""

from dataclasses import asdict

from fastapi import APIRouter

from studio.routes.context import Context, drawn_grid, found
from studio.schemas import TrendGrid, TrendRequest, TrendResponse, TrendsResponse
from studio.trends import garments_following, why_not_drawn

router = APIRouter()


@router.get("/api/trends")
async def trends(context: Context) -> TrendsResponse:
    """What the stage trends forecast."""
    generator, outlook = context.service.generator, context.outlook
    shown = TrendResponse.model_fields
    return TrendsResponse(
        reason=outlook.reason,
        trends=[
            TrendResponse(
                not_drawn=why_not_drawn(one, generator), **{key: value for key, value in asdict(one).items() if key in shown}
            )
            for one in outlook.trends
        ],
    )


@router.post("/api/trends/grid")
async def trend_grid(context: Context, body: TrendRequest) -> TrendGrid:
    """Garments that follow a trend."""
    service = context.service
    trend = found(next((one for one in context.outlook.trends if one.name == body.name), None), "there is no such trend")

    def grid() -> TrendGrid:
        following = garments_following(trend, service.generator, body.count, body.seed)
        drawn = drawn_grid(service, following.recipes) if following.recipes else None
        return TrendGrid(grid=drawn, looked_at=following.looked_at, how=following.how)

    return await context.threads.slow(grid)
