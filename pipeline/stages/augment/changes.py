"""The random changes of a training picture's copies.

To add one, write a function here and decorate it. Its keyword arguments with a default become keys of the section `augment`:
the annotation is what params.yaml accepts and docs/parameters.md says, and the default switches the change off. Changes apply
in the order of this file.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from pydantic import Field

from pipeline.section import Factor, Share
from pipeline.stages.augment.transforms import FILTERS, Fill, Frame, centred, fill_colour, on_ground, resize_to_frame

if TYPE_CHECKING:
    from pipeline.stages.augment.params import AugmentParams


@dataclass(frozen=True)
class Placement:
    """Where a copy shows the picture; the defaults leave it where it is."""

    degrees: float = 0.0  # counter-clockwise
    scale: float = 1.0  # above 1 enlarges
    shift_x: float = 0.0  # relative to the frame's sides
    shift_y: float = 0.0
    mirrored: bool = False

    @property
    def oversize(self) -> int:
        """Size relative to the frame while the picture is moved: rotating at twice the size keeps it sharp."""
        return 1 if replace(self, mirrored=False) == Placement() else 2


@dataclass(frozen=True)
class Change:
    """What is done to one copy: its placement, and functions of its colours, one after the other."""

    placement: Placement = Placement()
    recolourings: tuple[Callable[[Image.Image], Image.Image], ...] = ()


# The registry


@dataclass(frozen=True)
class RandomChange:
    """A registered function of the placement, or of the colours."""

    function: Callable[..., Any]
    numbers: tuple[int, ...]  # positions of its random numbers among those of a copy
    recolours: bool
    parameters: Mapping[str, tuple[Any, Any]]  # type and default of its keys of the section `augment`
    by_category: bool

    def is_on(self, params: "AugmentParams") -> bool:
        """Whether `params` switch it on."""
        return any(getattr(params, key) != default for key, (_, default) in self.parameters.items())

    def drawn(self, params: "AugmentParams", category: str, numbers: list[float]) -> Callable[[Any], Any]:
        """What is left of the function when only the placement or the image is missing."""
        keywords = {key: getattr(params, key) for key in self.parameters} | ({"category": category} if self.by_category else {})
        return lambda changed: self.function(changed, *(numbers[position] for position in self.numbers), **keywords)


CHANGES: dict[str, RandomChange] = {}
Placing = Callable[..., Placement]
Recolouring = Callable[..., Image.Image]


def _register(function: Callable[..., Any], numbers: tuple[int, ...], *, recolours: bool) -> None:
    if taken := set(numbers) & {number for change in CHANGES.values() for number in change.numbers}:
        raise ValueError(f"{function.__name__}: another change uses the random number {min(taken)}")
    kinds = get_type_hints(function, include_extras=True)
    arguments = inspect.signature(function).parameters.values()
    defaults = {key.name: key.default for key in arguments if key.default is not inspect.Parameter.empty}
    parameters = {key: (kinds[key], default) for key, default in defaults.items()}
    CHANGES[function.__name__] = RandomChange(function, numbers, recolours, parameters, "category" in kinds)


def moves(*numbers: int) -> Callable[[Placing], Placing]:
    """Register a function of a Placement and of random `numbers`, uniform in [0, 1), that no other change uses.

    A keyword `category` is the picture's.
    """

    def register(function: Placing) -> Placing:
        _register(function, numbers, recolours=False)
        return function

    return register


def recolours(*numbers: int) -> Callable[[Recolouring], Recolouring]:
    """Register a function of an image, mode L or RGB; padding and plain grounds keep their colour. `numbers` as for `moves`."""

    def register(function: Recolouring) -> Recolouring:
        _register(function, numbers, recolours=True)
        return function

    return register


def parameters() -> dict[str, tuple[Any, Any]]:
    """Type and default of the keys of all changes, for pydantic's create_model."""
    return {key: kind for change in CHANGES.values() for key, kind in change.parameters.items()}


def changes_pixels(params: "AugmentParams") -> bool:
    """Whether copies can differ from their picture."""
    return any(change.is_on(params) for change in CHANGES.values())


def draw_change(params: "AugmentParams", category: str, rng: np.random.Generator) -> Change:
    """The change of one copy of a picture of `category`.

    Every number is drawn even if its change is off, so that one parameter does not alter what another one does.
    """
    numbers = rng.random(1 + max(number for change in CHANGES.values() for number in change.numbers)).tolist()
    placement, recolourings = Placement(), []
    for change in CHANGES.values():
        if change.is_on(params):
            function = change.drawn(params, category, numbers)
            if change.recolours:
                recolourings.append(function)
            else:
                placement = function(placement)
    return Change(placement, tuple(recolourings))


# The changes


@moves(0)
def rotation(
    placement: Placement,
    angle: float,
    *,
    rotate_degrees: Annotated[float, Field(ge=0, le=180, description="Largest rotation in either direction.")] = 0.0,
) -> Placement:
    return replace(placement, degrees=placement.degrees + rotate_degrees * _signed(angle))


@moves(1)
def scaling(
    placement: Placement,
    size: float,
    *,
    min_scale: Annotated[float, Field(gt=0, le=1, description="Smallest scale factor.")] = 1.0,
    max_scale: Annotated[Factor, Field(description="Largest scale factor.")] = 1.0,
) -> Placement:
    scale = math.exp(math.log(min_scale) + size * math.log(max_scale / min_scale))
    return replace(placement, scale=placement.scale * scale)


@moves(2, 3)
def translation(
    placement: Placement,
    x: float,
    y: float,
    *,
    translate: Annotated[Share, Field(description="Largest shift, relative to the side.")] = 0.0,
) -> Placement:
    return _shifted(placement, translate * _signed(x), translate * _signed(y))


@moves(4, 5, 6)
def cropping(
    placement: Placement,
    cut: float,
    x: float,
    y: float,
    *,
    crop: Annotated[Share, Field(description="Largest crop, relative to the side.")] = 0.0,
) -> Placement:
    in_view = 1 - crop * cut  # share of the side
    outside = 1 / in_view - 1  # relative to the frame
    return _shifted(replace(placement, scale=placement.scale / in_view), outside * (x - 0.5), outside * (y - 0.5))


@moves(7)
def mirroring(
    placement: Placement,
    number: float,
    *,
    category: str,
    flip_categories: Annotated[
        list[str],
        Field(description='Categories of symmetric garments, which are mirrored at random; ["*"]: all.'),
    ] = [],  # noqa: B006  # pydantic copies it
) -> Placement:
    symmetric = "*" in flip_categories or category in flip_categories
    return replace(placement, mirrored=placement.mirrored != (symmetric and number < 0.5))


@recolours(8)
def brightness(
    image: Image.Image,
    number: float,
    *,
    brightness: Annotated[Share, Field(description="Largest relative change of brightness.")] = 0.0,
) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + brightness * _signed(number))


@recolours(10)
def contrast(
    image: Image.Image,
    number: float,
    *,
    contrast: Annotated[Share, Field(description="Largest relative change of contrast.")] = 0.0,
) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 + contrast * _signed(number))


@recolours(9)
def saturation(
    image: Image.Image,
    number: float,
    *,
    saturation: Annotated[Share, Field(description="Largest relative change of saturation.")] = 0.0,
) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 + saturation * _signed(number))


@recolours(11)
def hue(
    image: Image.Image,
    number: float,
    *,
    hue: Annotated[float, Field(ge=0, le=0.5, description="Largest change of hue, relative to the colour circle.")] = 0.0,
) -> Image.Image:
    from torchvision.transforms.v2.functional import adjust_hue  # takes seconds to import

    return adjust_hue(image, hue * _signed(number))


def _signed(number: float) -> float:
    """`number` in [0, 1) as one in [-1, 1)."""
    return 2 * number - 1


def _shifted(placement: Placement, x: float, y: float) -> Placement:
    return replace(placement, shift_x=placement.shift_x + x, shift_y=placement.shift_y + y)


# Their application


def _moved(image: Image.Image, placement: Placement, fill: Fill) -> Image.Image:
    """`image` rotated and scaled about its centre, then shifted; bicubic."""
    from torchvision.transforms import InterpolationMode  # takes seconds to import
    from torchvision.transforms.v2.functional import affine

    return affine(
        image,
        angle=-placement.degrees,  # torchvision rotates clockwise
        translate=[placement.shift_x * image.width, placement.shift_y * image.height],
        scale=placement.scale,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BICUBIC,
        fill=fill,
    )


def _recoloured(image: Image.Image, change: Change) -> Image.Image:
    if not change.recolourings:
        return image
    if image.mode == "RGBA":  # only the garment: its mean colour, which contrast needs, stands in for what is transparent
        pixels = np.array(image)
        colours, seen = pixels[..., :3], pixels[..., 3] > 0
        if seen.any():
            colours[~seen] = colours[seen].mean(0)
        recoloured = _recoloured(Image.fromarray(colours), change)
        recoloured.putalpha(image.getchannel("A"))
        return recoloured
    for recolour in change.recolourings:
        image = recolour(image)
    return image


def _changed(resized: Image.Image, frame: Frame, change: Change) -> Image.Image:
    placement = change.placement
    picture = _recoloured(ImageOps.mirror(resized) if placement.mirrored else resized, change)
    fill = fill_colour(picture, frame.pad_value)
    placed = centred(picture, (frame.width * placement.oversize, frame.height * placement.oversize), fill)
    if placement.oversize == 1:
        return on_ground(placed, frame)
    # functional.resize does not support every filter that a frame can name.
    return on_ground(_moved(placed, placement, fill).resize((frame.width, frame.height), FILTERS[frame.resize_filter]), frame)


def changed_copies(resized: Mapping[int, Image.Image], frame: Frame, changes: Iterable[Change]) -> list[Image.Image]:
    """One framed copy for each of `changes`; `resized` holds the picture, mode L, RGB or RGBA, by oversize.

    The padding keeps the frame's own grey level.
    """
    return [_changed(resized[change.placement.oversize], frame, change) for change in changes]


def apply_changes(image: Image.Image, frame: Frame, changes: list[Change]) -> list[Image.Image]:
    """One framed copy of `image`, mode L or RGB, for each of `changes`."""
    oversizes = {change.placement.oversize for change in changes}
    return changed_copies({oversize: resize_to_frame(image, frame, oversize) for oversize in oversizes}, frame, changes)
