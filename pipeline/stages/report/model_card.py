"""The words of the model card."""

from pipeline.pages.charts import short_number
from pipeline.storage.arrays import DatasetCard

USE = [
    "A source of ideas for designers, and a baseline for research on generative models of garments.",
    "Not a photograph of goods, not a pattern to sew from, and no evidence of what people wear.",
]
LIMITS = (
    "It knows these categories and this style of picture and nothing else; what is rare in the data is rarer in what it draws. "
    "Numbers hold for the reference set that their passports name."
)
MISUSE = [
    "It must not be used to imitate a brand's designs, trade marks or a living designer's hand, to advertise goods that do not "
    "exist, or to dress pictures of people without their consent.",
    "What the generate command draws is marked as AI-generated, in words and in IPTC's vocabulary. Leave the mark in.",
]
SEAMS_SHOW_PX = 256


def model_card(data: DatasetCard, images_seen: int, licences: list[str]) -> list[tuple[str, list[str]]]:
    """(heading, paragraphs) of the card of a generator of such pictures."""
    size = f"{data.height}×{data.width}"
    what = (
        f"A class-conditional generative adversarial network that draws {size} pictures in "
        f"{'grey' if data.channels == 1 else 'colour'} of {', '.join(data.categories)}. In training it was shown pictures "
        f"{short_number(images_seen)} times."
    )
    learned_from = (
        f"{data.counts['reference_train']:,} pictures under {', '.join(licences)}. Near-duplicates never lie on both sides "
        "of a split. Whoever uses the model answers for what these licences ask."
    )
    limits = [LIMITS]
    if max(data.height, data.width) < SEAMS_SHOW_PX:
        limits.append(f"At {size} pixels no fabric, seam or print can be judged.")
    return [
        ("What it is", [what]),
        ("Intended use", USE),
        ("Data", [learned_from]),
        ("Limits", limits),
        ("Misuse", MISUSE),
    ]
