"""The section `curate` of params.yaml."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from pipeline.imaging.measures import limits
from pipeline.section import Count, NumberOrQuantile, Section, Seed, Share

Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=240)]], Field(max_length=64)]
Margin = Annotated[float, Field(ge=-2, le=2)]

if TYPE_CHECKING:
    Limits = Section
else:
    # One key for each limit in imaging/measures.py.
    Limits = create_model(
        "Limits",
        __base__=Section,
        **{
            key: (
                NumberOrQuantile[limit.type] if limit.default is not None else NumberOrQuantile[limit.type] | None,
                Field(default=limit.default, description=limit.meaning),
            )
            for key, _, limit in limits()
        },
    )


class CurateParams(Limits):
    """Inclusive limits of measures, each a number or `{quantile: Q}` of the pictures that could be decoded."""

    irrelevant_words: Words = []
    """What pictures must not show, in English, German or Chinese, such as [an animal, food]; needs inspect.detect clothing."""
    relevant_words: Words = []
    """What pictures are to show instead; []: clothing, by the texts in pipeline/words/domain.py."""
    words_margin: Margin = 0.0
    """Drop a picture that is nearer to irrelevant words than to relevant ones by more than this, in cosine."""
    min_per_category: Count = 100
    """Pictures in a category at least; a smaller category is dropped whole."""
    split: Literal["source", "hash"] = "source"
    """source: the split that the source gives, where it gives one; hash: by a hash of each family of look-alikes."""
    validation_share: Share = 0.0
    """Share of the families in the validation split."""
    test_share: Share = 0.15
    """Share of the families in the test split, where the source gives none."""
    seed: Seed = 0
    """Seed of the split."""
