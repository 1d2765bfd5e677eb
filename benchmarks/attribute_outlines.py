"""Sleeve, length and fit against labels by eye of 240 photographs; part of benchmarks/attributes.py, which says how to run it.

The labels, outline_labels.csv, were written by looking at the photographs of attribute_labels.csv (without hats and shoes),
before anything measured an outline. Where the eye could not tell, the cell is empty; an ambiguous garment has two labels.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from pipeline.imaging.garment_kinds import kind_of_category
from pipeline.imaging.garment_masks import Pixels
from pipeline.imaging.outline_attributes import OUTLINE_MEASURES, SLEEVES, Outline, sleeve_features
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

LABELS = Path(__file__).with_name("outline_labels.csv")
TABLE = Path("pipeline/imaging/outline_numbers.py")
HEAD = '"""The numbers of outline_attributes.sleeve, by `python -m benchmarks.attributes FOLDER --fit`."""'
PENALTY = 0.3  # C of the logistic regression, by eight-fold cross-validation on the photographs for tuning
LEAST_CONFIDENCE = {"length": 0.2, "sleeve": 0.2, "fit": 0.2}
COLUMNS = (
    *("photographs", "what", "labelled", "said", "right", "as the likelier label", "most frequent"),
    *("right at 64 px", "right if confident", "confident"),
)
SMALL_SIDE_PX = 64  # of a training picture
NUMBERS_PER_LINE = 12


def outline_of(picture: str, mask: Pixels) -> Outline:
    """The outline of the labelled photograph `picture`, FOLDER/FILE."""
    return Outline(mask, kind_of_category(picture.split("/")[0]))


def fitted_sleeves(labels: pd.DataFrame, masks: dict[str, Pixels]) -> str:
    """The numbers of outline_attributes.sleeve, fitted to the photographs for tuning."""
    features: list[NDArray[np.float64]] = []
    sleeves = []
    for _, row in labels[(labels["use"] == "tuning") & (labels["sleeve"] != "")].iterrows():
        found = sleeve_features(outline_of(row["picture"], masks[row["picture"]]))
        if found is not None:
            features.append(found)
            sleeves.append(row["sleeve"].split(";")[0])
    x = np.array(features)
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    fit = LogisticRegression(C=PENALTY, max_iter=3000).fit((x - mean) / deviation, sleeves)
    order = [list(fit.classes_).index(value) for value in SLEEVES]
    weights = (fit.coef_ / deviation)[order]
    numbers = [f"{number:.3g}" for number in np.column_stack([weights, fit.intercept_[order] - weights @ mean]).ravel()]
    return "\n".join(" ".join(numbers[start : start + NUMBERS_PER_LINE]) for start in range(0, len(numbers), NUMBERS_PER_LINE))


def outline_answers(labels: pd.DataFrame, masks: dict[str, Pixels]) -> pd.DataFrame:
    """A row for each labelled photograph and attribute: what is accepted, what was said, how surely, and at 64 px."""
    rows = []
    for _, row in labels.iterrows():
        mask = masks[row["picture"]]
        scale = SMALL_SIDE_PX / max(mask.shape)
        small = np.asarray(cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        outlines = [outline_of(row["picture"], one) for one in (mask, small)]
        for name, measure in OUTLINE_MEASURES.items():
            seen, at_64_px = (measure(one) if one.mask.any() else None for one in outlines)
            rows.append(
                {
                    "use": row["use"],
                    "kind": outlines[0].kind,
                    "attribute": name,
                    "labels": row[name].split(";") if row[name] else [],
                    "value": seen and seen.value,
                    "confidence": seen.confidence if seen else 0.0,
                    "small": at_64_px and at_64_px.value,
                }
            )
    return pd.DataFrame(rows)


def outline_lines(answers: pd.DataFrame) -> Iterator[str]:
    """The part of the benchmark's page, in Markdown."""
    yield "## Sleeve, length and fit"
    yield ""
    yield (
        f"{len(answers) // len(OUTLINE_MEASURES)} of the photographs (all but hats and shoes), labelled by eye in "
        "`benchmarks/outline_labels.csv` before anything measured an outline; ambiguous ones have two labels. Most frequent: "
        "what always saying a kind's most frequent label in the photographs for tuning would get."
    )
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    answers = answers[answers["labels"].map(bool)]
    for use, name in [(use, name) for use in ("tuning", "held out") for name in OUTLINE_MEASURES]:
        own = answers[answers["attribute"] == name]
        part, own = own[own["use"] == use], own[own["value"].notna()]
        said = own[own["use"] == use]
        common = own[own["use"] == "tuning"].groupby("kind")["labels"].agg(lambda labels: labels.str[0].mode()[0])
        right = _right(said, "value")
        sure = said["confidence"] >= LEAST_CONFIDENCE[name]
        likelier = (said["labels"].str[0] == said["value"]).mean()
        yield (
            f"| {use} | {name} | {len(part)} | {len(said) / len(part):.2f} | {right.mean():.3f} | {likelier:.3f} "
            f"| {_right(said.assign(common=said['kind'].map(common)), 'common').mean():.3f} "
            f"| {_right(said, 'small').mean():.3f} | {right[sure].mean():.3f} | {sure.mean():.3f} |"
        )
    least = ", ".join(f"{least} for {name}" for name, least in LEAST_CONFIDENCE.items())
    yield ""
    yield f"Said: the share that gets a value at all; the rest of the row is about those. Confident: at least {least}."
    held_out = answers[answers["use"] == "held out"]
    for name in OUTLINE_MEASURES:
        own = held_out[(held_out["attribute"] == name) & held_out["value"].notna()]
        yield ""
        yield from _confusion(own, name)
    yield ""
    for name in OUTLINE_MEASURES:
        own = held_out[(held_out["attribute"] == name) & held_out["value"].notna()]
        by_kind = [f"{kind} {_right(part, 'value').mean():.2f} of {len(part)}" for kind, part in own.groupby("kind")]
        yield f"{name.capitalize()}, held out, by kind: {', '.join(by_kind)}."
        yield ""


def _right(rows: pd.DataFrame, column: str) -> pd.Series:
    found = [value in labels for value, labels in zip(rows[column], rows["labels"], strict=True)]
    return pd.Series(found, index=rows.index, dtype=bool)


def _confusion(rows: pd.DataFrame, name: str) -> Iterator[str]:
    true = [seen if seen in labels else labels[0] for seen, labels in zip(rows["value"], rows["labels"], strict=True)]
    yield from confusion_lines(name, pd.Series(true, index=rows.index), rows["value"], SEEN_ATTRIBUTES[name].values)


def confusion_lines(name: str, true: pd.Series, seen: pd.Series, values: tuple[str, ...]) -> Iterator[str]:
    """A table of the attribute `name` with a row for each of `values` that is true, and a column for each that was seen."""
    counts = pd.crosstab(true, seen).reindex(index=values, columns=values, fill_value=0)
    yield f"| {name} | " + " | ".join(values) + " | right |"
    yield "|---" * (len(values) + 2) + "|"
    for value in values:
        row = counts.loc[value]
        share = f"{row[value] / row.sum():.2f}" if row.sum() else "–"
        yield f"| **{value}** | " + " | ".join(str(count) if count else "" for count in row) + f" | {share} |"
