"""What a model draws that is asked for in words, in three languages: whether the garment has what was asked for, and how fast.

    python -m benchmarks.words ../words --sheet docs/pictures/words.jpg --font NotoSansCJK-Regular.ttc

Each test picture's category and colour (then its pattern, …) become a prompt, and the model draws one garment for it. What it
shows is measured as `inspect` measures photographs; real pictures are measured in the size in which they are packed. `--sheet`
has eight garments, not chosen, for each of PROMPTS.
"""

import argparse
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.commands.generate import Recipe, asked_category, draw_garments
from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import JUDGE_NAME as JUDGE
from pipeline.inference.onnx_generator import ExportedCard, OnnxGenerator, OnnxJudge, as_images, read_exported, read_model
from pipeline.inference.transparency import on_ground
from pipeline.storage.arrays import read_split
from pipeline.storage.tables import CURATED, read_table
from pipeline.words.captions import Description, sentences
from pipeline.words.encoder import text_encoder
from pipeline.words.prompts import prompt_row
from pipeline.words.vocabulary import LANGUAGES, Language, named
from studio.measures import SEEN_ON, garment_masks
from studio.seen_attributes import values_seen

ASKED = ("colour", "pattern", "length", "sleeve", "fit")
MIN_CONFIDENCE = 0.2  # augment.min_attribute_confidence
GARMENTS = 16  # a wall of the studio
TIMED = 21
STRIP = 8  # garments of a prompt
LABEL_PX, LABEL_CHARACTERS, FONT_PX, GAP_PX = 150, 20, 14, 24
PROMPTS = (
    *("red dress", "long red dress with white dots", "short black dress", "a blue dress with long sleeves"),
    *("white t-shirt", "striped t-shirt", "black t-shirt with print", "pink tee"),
    *("blue checked shirt", "white shirt", "black trousers", "wide blue trousers"),
    *("short black skirt", "long grey skirt", "yellow shorts", "green jacket"),
    *("rotes Kleid", "ein schwarzes Hemd mit langen Ärmeln", "weiße Turnschuhe", "grüner Hut"),
    *("红色连衣裙", "黑色裤子", "条纹T恤", "粉色半身裙"),
)


@dataclass(frozen=True)
class Asked:
    """Prompts for one attribute, one for each test picture that has it."""

    attribute: str
    labels: NDArray[np.int64]
    values: list[str]
    rows: NDArray[np.int64]  # of the test pictures


def prompt_of(category: str, attribute: str, value: str, language: Language, rng: np.random.Generator) -> str | None:
    """A sentence that names the category and the value, at random; None if the language has no word for one of them."""
    bare, known = Description(category), {"category": category, attribute: value}
    said = sentences(Description(**known), language)  # type: ignore[arg-type]  # an attribute's value is a str
    both = [one for one in said if one not in sentences(bare, language) and named(one, [category])]
    return both[rng.integers(len(both))] if both else None


def asked_of(test: pd.DataFrame, attribute: str) -> Asked:
    """What to ask for, of the rows of `test` where `inspect` is sure of the attribute."""
    sure = test[f"garment_{attribute}_confidence"].fillna(0) >= MIN_CONFIDENCE
    sure &= test[f"garment_{attribute}"].notna()
    chosen = test[sure]
    rows = np.flatnonzero(sure.to_numpy())
    return Asked(attribute, chosen["label"].to_numpy(np.int64), list(chosen[f"garment_{attribute}"]), rows)


def shown(pictures: NDArray[np.uint8], labels: NDArray[np.int64], card: ExportedCard, attribute: str) -> list[str | None]:
    """The value that each of `pictures` (N, H, W, C) shows."""
    masks = garment_masks(pictures).astype(np.uint8)
    categories = [card.categories[label] for label in labels]
    return values_seen(np.ascontiguousarray(on_ground(pictures, SEEN_ON)), masks, categories, attribute)


def met(found: Sequence[str | None], values: Sequence[str]) -> float:
    """The share of `found` that are as in `values`."""
    return float(np.mean([one == value for one, value in zip(found, values, strict=True)]))


def most_frequent(labels: NDArray[np.int64], values: Sequence[str]) -> float:
    """The share of `values` that are the most frequent one of their category: what the category alone would tell."""
    counts = pd.crosstab(labels, np.asarray(values))
    return float(counts.max(axis=1).sum() / len(values))


def drawn(
    generator: OnnxGenerator, card: ExportedCard, labels: NDArray[np.int64], prompts: Sequence[str], seed: int
) -> NDArray[np.uint8]:
    """A garment for each of `prompts` and its label."""
    texts = text_encoder().embeddings(prompts)
    return as_images(generator.pictures(draw_latents(seed, len(labels), card.latent_dim), labels, text=texts))


def attribute_table(project: Path, generator: OnnxGenerator, card: ExportedCard, seed: int) -> str:
    """Markdown: for each attribute the share of garments that have what was asked for, by language, beside real ones."""
    model = project / "models" / "export"
    judge = OnnxJudge(read_model(model, card.judge_sha256, JUDGE)) if card.judge_sha256 else None
    kept = read_table(project / "data" / "curated.parquet", CURATED).query("kept").sort_values("key")
    test = kept[kept["split"] == "test"].reset_index(drop=True)
    real, real_labels = read_split(project / "data" / "train", "reference_test")
    assert np.array_equal(real_labels, test["label"])
    lines = [
        f"| attribute | prompts | {' | '.join(LANGUAGES)} | most frequent of its category | real pictures | category kept |",
        f"|---|---|{'---|' * len(LANGUAGES)}---|---|---|",
    ]
    details = []
    for attribute in ASKED:
        asked = asked_of(test, attribute)
        shares, kept_shares = [], []
        for number, language in enumerate(LANGUAGES):
            rng = np.random.default_rng((seed, number))
            prompts = [
                prompt_of(card.categories[label], attribute, value, language, rng)
                for label, value in zip(asked.labels, asked.values, strict=True)
            ]
            sayable = [row for row, prompt in enumerate(prompts) if prompt is not None]
            labels, values = asked.labels[sayable], [asked.values[row] for row in sayable]
            pictures = drawn(generator, card, labels, [one for one in prompts if one is not None], seed)
            found = shown(pictures, labels, card, attribute)
            shares.append(met(found, values))
            if judge is not None:
                judged = judge.scores(pictures).argmax(axis=1)
                kept_shares.append(float((judged == labels).mean()))
            if language == "en":
                details.append(by_value(attribute, values, found))
                by_category = most_frequent(labels, values)
        of_real = met(shown(real[asked.rows], asked.labels, card, attribute), asked.values)
        cells = [*(f"{share:.3f}" for share in shares), f"{by_category:.3f}", f"{of_real:.3f}"]
        cells.append(f"{np.mean(kept_shares):.3f}" if kept_shares else "–")
        lines.append(f"| {attribute} | {len(asked.values)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *details]) + "\n"


def by_value(attribute: str, values: Sequence[str], found: Sequence[str | None]) -> str:
    """A line of how often each value was met."""
    table = pd.DataFrame({"asked": values, "met": [one == value for one, value in zip(found, values, strict=True)]})
    shares = table.groupby("asked")["met"].agg(["mean", "size"]).sort_values("size", ascending=False)
    parts = (f"{value} {row['mean']:.2f} of {row['size']:.0f}" for value, row in shares.iterrows())
    return f"- {attribute}, in English: {', '.join(parts)}"


def milliseconds(generator: OnnxGenerator, card: ExportedCard) -> str:
    """A line of how long it takes from a prompt that was not asked for before to GARMENTS garments."""
    whole, words = [], []
    latents, labels = draw_latents(0, GARMENTS, card.latent_dim), np.zeros(GARMENTS, np.int64)
    for number in range(TIMED):
        start = time.perf_counter()
        row = prompt_row(f"a red dress number {number}", 1.0, card)
        words.append(time.perf_counter() - start)
        as_images(generator.pictures(latents, labels, text=np.tile(row, (GARMENTS, 1))))
        whole.append(time.perf_counter() - start)
    whole_ms, words_ms = [1000 * median(times[1:]) for times in (whole, words)]  # the first one loads the encoder
    return f"From a prompt to {GARMENTS} garments {whole_ms:.0f} ms (median of {TIMED - 1}), {words_ms:.0f} for the text.\n"


def write_sheet(path: Path, font: Path, generator: OnnxGenerator, card: ExportedCard) -> None:
    """Write a row of garments for each of PROMPTS, the latents of seed 0, in two columns, each beside what was asked for."""
    letters = ImageFont.truetype(font, FONT_PX)
    rows, side = len(PROMPTS) // 2, card.height
    width = LABEL_PX + STRIP * side + GAP_PX
    sheet = Image.new("RGB", (2 * width - GAP_PX, rows * side), "white")
    draw = ImageDraw.Draw(sheet)
    for number, prompt in enumerate(PROMPTS):
        recipe = Recipe(card.onnx_sha256, asked_category(None, prompt, card.categories), STRIP, 0, text=prompt)
        strip = contact_sheet(on_ground(draw_garments(generator, card, recipe), "white"), STRIP)
        left, top = number // rows * width, number % rows * side
        label = "\n".join(textwrap.wrap(prompt, LABEL_CHARACTERS))
        draw.multiline_text((left, top + side // 2), label, "black", letters, anchor="lm")
        sheet.paste(Image.fromarray(strip), (left + LABEL_PX, top))
    sheet.save(path, quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("project", type=Path, help="a folder after `snakemake`, trained on text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write a picture of what is drawn for PROMPTS")
    parser.add_argument("--font", type=Path, help="for the prompts on the sheet, Chinese ones among them")
    options = parser.parse_args()
    card, generator = read_exported(options.project / "models" / "export")
    sys.stdout.write(attribute_table(options.project, generator, card, options.seed))
    sys.stdout.write("\n" + milliseconds(generator, card))
    if options.sheet:
        write_sheet(options.sheet, options.font, generator, card)


if __name__ == "__main__":
    main()
