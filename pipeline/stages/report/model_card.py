"""The text of the model card."""

from pipeline.pages.charts import short_number
from pipeline.storage.arrays import DatasetCard

USE = [
    "A source of ideas for designers, and a baseline for research on generative models of garments.",
    "Not for product photographs, sewing patterns, or conclusions about what people wear.",
]
LIMITS = (
    "The model knows only these categories and this style of image. What is rare in the data is even rarer in its output. "
    "Its scores hold for the reference set that their passports name."
)
MISUSE = [
    "Do not use the model to imitate a brand's designs, its trade marks or the style of a living designer, to advertise goods "
    "that do not exist, or to dress images of people without their consent.",
    "The generate command marks its images as AI-generated, in plain text and in IPTC metadata. Do not remove the mark.",
]
DETAIL_VISIBLE_PX = 256


def model_card(data: DatasetCard, images_seen: int, licences: list[str]) -> list[tuple[str, list[str]]]:
    """(heading, paragraphs) of the card of a generator that was trained on `data`."""
    size = f"{data.height}×{data.width}"
    description = (
        f"A class-conditional generative adversarial network that generates {size} images, {data.colours}, of "
        f"{', '.join(data.categories)}. It saw {short_number(images_seen)} images in training, counting repetitions."
    )
    training_data = (
        f"{data.counts['reference_train']:,} images under {', '.join(licences)}. Near-duplicates never appear on both sides "
        "of a split. Users of the model must comply with these licences."
    )
    limits = [LIMITS]
    if max(data.height, data.width) < DETAIL_VISIBLE_PX:
        limits.append(f"At {size} pixels, fabric, seams and prints cannot be judged.")
    return [
        ("What it is", [description]),
        ("Intended use", USE),
        ("Data", [training_data]),
        ("Limits", limits),
        ("Misuse", MISUSE),
    ]
