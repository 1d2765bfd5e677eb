"""Attributes that `inspect` names, against labels by eye of 300 photographs; also fits the classifiers of patterns and sleeves.

    python -m benchmarks.attributes ../shared/data/clothing-dataset-small --page docs/benchmarks/attributes.md
    python -m benchmarks.attributes ../shared/data/clothing-dataset-small --fit

The labels, attribute_labels.csv, were written by looking at the photographs, 30 of each category drawn at random without
look-alikes, before any answer of the code was seen. An ambiguous picture has two accepted labels, the likelier first. Every
other photograph is for tuning: limits were set and classifiers fitted on those. The others are held out. Sleeve, length and fit
have labels of their own: attribute_outlines.py.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from benchmarks import attribute_outlines as outlines
from benchmarks.photographs import photographs
from pipeline.imaging.garment_attributes import colours_seen
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_masks import Pixels
from pipeline.imaging.garment_patterns import CHANNELS, PatternClassifier
from pipeline.imaging.resizing import garment_input
from pipeline.storage.files import write_text
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

LABELS = Path(__file__).with_name("attribute_labels.csv")
TABLE = Path("pipeline/imaging/pattern_numbers.py")
COLOURS, PATTERNS = SEEN_ATTRIBUTES["colour"].values, SEEN_ATTRIBUTES["pattern"].values
TRAINING_SIDE_PX = 59  # of the garment in a training picture of 64 px
PENALTY = 0.03  # C of the logistic regression, by five-fold cross-validation on the photographs for tuning
LEAST_CONFIDENCE = {"colour": 0.2, "pattern": 0.6}
NUMBERS_PER_LINE = 12


def labelled(folder: Path, labels: pd.DataFrame) -> Iterator[tuple[pd.Series, Pixels, Pixels]]:
    """Each labelled photograph below `folder` as `inspect` sees it: its row, the picture, and the garment's mask at its size.

    Raises SystemExit if one is missing.
    """
    found = {f"{path.parent.name}/{path.name}": path for path in folder.rglob("*.jpg")}
    if missing := sorted(set(labels["picture"]) - set(found)):
        raise SystemExit(f"{folder}: lacks {len(missing)} of the labelled photographs, the first {missing[0]}")
    paths = [found[picture] for picture in labels["picture"]]
    cut, rows = GarmentCutter(), dict(zip(paths, (row for _, row in labels.iterrows()), strict=True))
    for path, image in photographs(paths):
        picture = garment_input(image)
        mask = cv2.resize(cut(picture).pixels, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        yield rows[path], picture, np.asarray(mask, np.uint8)


def small_masks(folder: Path, labels: pd.DataFrame) -> Iterator[tuple[str, Pixels]]:
    """Each labelled photograph below `folder` with its garment's mask as `inspect` keeps it."""
    found = {f"{path.parent.name}/{path.name}": path for path in folder.rglob("*.jpg")}
    cut = GarmentCutter()
    for path, image in photographs([found[picture] for picture in labels["picture"]]):
        yield f"{path.parent.name}/{path.name}", cut(garment_input(image)).pixels


def reduced(picture: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Both as small as in a training picture of 64 px."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    scale = min(1.0, TRAINING_SIDE_PX / max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.asarray(cv2.resize(mask, small.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)


def fitted_numbers(folder: Path, labels: pd.DataFrame) -> str:
    """The numbers of a PatternClassifier, fitted to the photographs for tuning at two sizes."""
    classifier = PatternClassifier(" ".join(["0"] * len(PATTERNS) * (CHANNELS + 1)))
    features, patterns = [], []
    for row, picture, mask in labelled(folder, labels[labels["use"] == "tuning"]):
        if mask.any():
            features += [classifier.features(picture, mask), classifier.features(*reduced(picture, mask))]
            patterns += [row["pattern"].split(";")[0]] * 2
    x = np.array(features)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    fit = LogisticRegression(C=PENALTY, max_iter=3000).fit((x - mean) / deviation, patterns)
    order = [list(fit.classes_).index(pattern) for pattern in PATTERNS]
    weights = (fit.coef_ / deviation)[order]
    table = np.column_stack([weights, fit.intercept_[order] - weights @ mean])
    numbers = [f"{number:.3g}" for number in table.ravel()]
    return "\n".join(" ".join(numbers[start : start + NUMBERS_PER_LINE]) for start in range(0, len(numbers), NUMBERS_PER_LINE))


def answers(folder: Path, labels: pd.DataFrame) -> pd.DataFrame:
    """`labels` with what the code says, at full size and reduced to 64 px; None where it sees no garment."""
    pattern_of, rows = PatternClassifier(), []
    for _, picture, mask in labelled(folder, labels):
        seen = _colours_and_pattern(picture, mask, pattern_of)
        small = _colours_and_pattern(*reduced(picture, mask), pattern_of) if mask.any() else {}
        rows.append(seen | {f"small_{name}": small.get(name) for name in ("colour", "pattern")})
    return pd.concat([labels.reset_index(drop=True), pd.DataFrame(rows).add_prefix("seen_")], axis=1)


def _colours_and_pattern(picture: Pixels, mask: Pixels, pattern_of: PatternClassifier) -> dict[str, object]:
    colours = colours_seen(picture, mask) if mask.any() else None
    if colours is None:
        return {"colour": None, "colour_confidence": 0, "second_colour": None, "pattern": None, "pattern_confidence": 0}
    pattern, sure = pattern_of(picture, mask)
    return {
        "colour": colours.first,
        "colour_confidence": colours.confidence,
        "second_colour": colours.second,
        "pattern": pattern,
        "pattern_confidence": sure,
    }


def accepted(table: pd.DataFrame, column: str, seen: str) -> pd.Series:
    """Whether the answer is one of the accepted labels."""
    pairs = zip(table[column].fillna(""), table[f"seen_{seen}"], strict=True)
    return pd.Series([answer in labels.split(";") for labels, answer in pairs], index=table.index)


def summary(table: pd.DataFrame) -> Iterator[str]:
    """The rows of the table of accuracies."""
    for use, part in table.groupby("use", sort=False):
        for column in ("colour", "pattern"):
            right, first = accepted(part, column, column), part[column].str.split(";").str[0] == part[f"seen_{column}"]
            sure = part[f"seen_{column}_confidence"] >= LEAST_CONFIDENCE[column]
            small = accepted(part, column, f"small_{column}").mean()
            yield (
                f"| {use} | {column} | {len(part)} | {right.mean():.3f} | {first.mean():.3f} | {small:.3f} "
                f"| {right[sure].mean():.3f} | {sure.mean():.3f} |"
            )


def confusion(table: pd.DataFrame, column: str, names: tuple[str, ...]) -> Iterator[str]:
    """A table with a row for each label (the accepted one, else the first) and a column for each answer."""
    first = table[column].str.split(";").str[0]
    true = first.where(~accepted(table, column, column), table[f"seen_{column}"])
    yield from outlines.confusion_lines(column, true, table[f"seen_{column}"].fillna("none"), names)


def page(table: pd.DataFrame, outline_answers: pd.DataFrame) -> str:
    """The benchmark's page."""
    held_out = table[table["use"] == "held out"]
    two = {column: int(table[column].str.contains(";").sum()) for column in ("colour", "pattern")}
    has_second = held_out["second_colour"].notna()
    second = accepted(held_out[has_second], "second_colour", "second_colour").mean()
    invented = held_out.loc[~has_second, "seen_second_colour"].notna().mean()
    return "\n".join(
        [
            "# Attributes of garments",
            "",
            "## Colours and patterns",
            "",
            "`python -m benchmarks.attributes FOLDER`: what `inspect` names, against labels by eye of 300 photographs of "
            "clothing-dataset-small (`benchmarks/attribute_labels.csv`, written before any answer was seen). "
            f"{two['colour']} of them have two accepted colours (grey or black, brown or beige, navy), "
            f"{two['pattern']} two accepted patterns.",
            "",
            "| photographs | what | count | right | as the likelier label | right at 64 px | right if confident | confident |",
            "|---|---|---|---|---|---|---|---|",
            *summary(table),
            "",
            f"Confident: at least {LEAST_CONFIDENCE['colour']} for a colour, {LEAST_CONFIDENCE['pattern']} for a pattern. "
            f"A second colour, where the eye saw one ({int(has_second.sum())} held out), is right in {second:.2f}; "
            f"where it saw none, one is named in {invented:.2f}.",
            "",
            "Held out, rows by eye, columns by the code:",
            "",
            *confusion(held_out, "colour", COLOURS),
            "",
            *confusion(held_out, "pattern", PATTERNS),
            "",
            *outlines.outline_lines(outline_answers),
        ]
    )


def main() -> None:
    """Print the page, and write it with --page; or write the classifier's numbers with --fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--page", type=Path, help="write the results there")
    parser.add_argument("--fit", action="store_true", help=f"fit the pattern classifier and write {TABLE}")
    arguments = parser.parse_args()
    labels = pd.read_csv(LABELS)
    of_outlines = pd.read_csv(outlines.LABELS, keep_default_na=False)
    masks = dict(small_masks(arguments.photographs, of_outlines))
    if arguments.fit:
        head = '"""The numbers of garment_patterns.PatternClassifier, by `python -m benchmarks.attributes FOLDER --fit`."""'
        write_text(TABLE, f'{head}\n\nNUMBERS = """\n{fitted_numbers(arguments.photographs, labels)}\n"""\n')
        write_text(outlines.TABLE, f'{outlines.HEAD}\n\nNUMBERS = """\n{outlines.fitted_sleeves(of_outlines, masks)}\n"""\n')
        return
    text = page(answers(arguments.photographs, labels), outlines.outline_answers(of_outlines, masks))
    print(text)
    if arguments.page:
        write_text(arguments.page, text)


if __name__ == "__main__":
    main()
