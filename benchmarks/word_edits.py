"""What changes in words do to garments of a model with text: the effects that the studio shows beside their sliders.

    python -m benchmarks.word_edits MODEL --category dress

Effects are from -1 to +1, in standard deviations of the category, on 64 garments; the largest three besides the one named are
side effects.
"""

import argparse
from pathlib import Path

from studio.category_models import category_models
from studio.model import open_generator
from studio.recipe import Recipe, SeedSource, single_category
from studio.word_edits import word_edit

CHANGES = {
    "brightness": ("lighter", "darker", "heller", "dunkler", "更浅", "更深"),
    "sleeve": ("longer sleeves", "längere Ärmel", "更长的袖子"),
    "length": ("longer", "länger", "更长"),
    "width": ("wider", "weiter", "更宽"),
    "saturation": ("more colourful", "bunter", "更鲜艳"),
    "warmth": ("red", "blue", "rot", "blau", "红色", "蓝色"),
    "texture": ("with white dots", "striped", "with a print", "plainer"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--category", required=True)
    options = parser.parse_args()
    generator = open_generator(options.model)
    label = generator.card.categories.index(options.category)
    spreads = category_models(generator)[label].spreads
    recipe = Recipe(generator.version, single_category(label), SeedSource(1, 0, 1000))
    print("| change | from | to | measure | its effect | side effects |")
    print("|---|---|---|---|---|---|")
    for measure, changes in CHANGES.items():
        for words in changes:
            found = word_edit(generator, recipe, words, spreads)
            others = sorted(
                ((name, effect) for name, effect in found.effects.items() if name != measure and "classified" not in name),
                key=lambda one: -abs(one[1]),
            )[:3]
            side = ", ".join(f"{name} {effect:+.1f}" for name, effect in others)
            own = found.effects.get(measure, float("nan"))
            print(f"| {words} | {found.pair.before} | {found.pair.after} | {measure} | {own:+.1f} | {side} |", flush=True)


if __name__ == "__main__":
    main()
