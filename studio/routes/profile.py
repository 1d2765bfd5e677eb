"""Routes of the designer's profile. It is in no log, no picture's metadata and no collection."""

from fastapi import APIRouter, Response

from studio.profile import (
    ExportedProfile,
    ExportedVote,
    Profile,
    ProfileEffects,
    ProfileResponse,
    checked_profile,
    profile_response,
    stored_profile,
)
from studio.routes.context import NOT_STORED, CategoryQuery, Context, download

router = APIRouter()


@router.get("/api/profile")
async def profile(context: Context, response: Response) -> ProfileResponse:
    """The stored profile, or an empty one."""
    response.headers.update(NOT_STORED)
    return profile_response(await context.threads.database(context.service.database.profile))


@router.put("/api/profile")
async def store_profile(context: Context, body: Profile, response: Response) -> ProfileResponse:
    """Store a profile in place of the one before."""
    content = checked_profile(body).model_dump_json()
    await context.threads.database(context.service.database.store_profile, content)
    response.headers.update(NOT_STORED)
    return profile_response(content)


@router.delete("/api/profile", status_code=204)
async def delete_profile(context: Context) -> None:
    """Delete the profile and all likes and dislikes, of all models."""
    await context.threads.database(context.service.taste.delete_profile)


@router.get("/api/profile/export", response_class=Response, responses={200: {"model": ExportedProfile}})
async def export_profile(context: Context) -> Response:
    """The profile and all likes and dislikes as a JSON file."""
    database = context.service.database
    stored = await context.threads.database(database.profile)
    votes = await context.threads.database(database.all_votes)
    exported = ExportedProfile(
        profile=stored_profile(stored),
        votes=[ExportedVote(**vars(vote)) for vote in votes],
    )
    response = download(exported.model_dump_json(indent=2).encode(), "application/json", "profile.json")
    response.headers.update(NOT_STORED)
    return response


@router.get("/api/profile/effects")
async def profile_effects(context: Context, category: CategoryQuery, response: Response) -> ProfileEffects:
    """What of the profile counts for the suggestions of a category; the first call takes seconds."""
    response.headers.update(NOT_STORED)
    return await context.threads.slow(context.service.taste.effects, category)
