"""Which pictures `curate.irrelevant_words` drops: of things that the words name, and of clothing.

    python -m benchmarks.word_relevance CLOTHES "an animal=FOLDER" "food=FOLDER" …

CLOTHES and each FOLDER are searched for pictures at any depth. Words that name some of the clothes, "shoes=CLOTHES/shoes",
should drop these alone. Transparent pictures are laid on white.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.resizing import network_input
from pipeline.stages.curate.word_relevance import imagenet_classes, word_relevance, word_space
from pipeline.stages.inspect.clothing import ClothingClassifier

ENDINGS = {".jpg", ".jpeg", ".png"}
MIN_SIDE_PX = 28  # as curate.min_side_px
CLOTHES_LOST = 0.01  # by curate.min_clothing, for the comparison


def pictures_in(folder: Path, every: int) -> list[Path]:
    """Every `every`-th picture in `folder`, at any depth."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)[::every]


def seen(files: list[Path], classify: ClothingClassifier) -> tuple[NDArray[np.float64], NDArray[np.float16]]:
    """Probabilities of clothing (N,) and features (N, 1280) of those of `files` that are large enough."""
    found = []
    for file in files:
        with Image.open(file) as image:
            if min(image.size) < MIN_SIDE_PX:
                continue
            whole = image.convert("RGBA")
        ground = Image.new("RGBA", whole.size, "white")
        ground.alpha_composite(whole)
        found.append(classify(network_input(ground.convert("RGB"))))
    probabilities, features = zip(*found, strict=True)
    return np.array(probabilities), np.stack(features)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clothes", type=Path)
    parser.add_argument("others", nargs="+", metavar="WORDS=FOLDER")
    parser.add_argument("--every", type=int, default=1, help="take every Nth picture of the clothes only")
    parser.add_argument("--relevant", nargs="*", default=[], help="as curate.relevant_words")
    options = parser.parse_args()
    classify, space = ClothingClassifier(), word_space(imagenet_classes())
    folders = {words: Path(folder) for words, _, folder in (one.partition("=") for one in options.others)}
    clothes_files = pictures_in(options.clothes, options.every)
    clothes = seen(clothes_files, classify)
    least = np.quantile(clothes[0], CLOTHES_LOST)
    print("| irrelevant words | pictures of it | dropped | clothes | dropped | pictures of it below min_clothing |")
    print("|---|---|---|---|---|---|")
    things, all_words = [], []
    for words, folder in folders.items():
        inside = np.array([folder in file.parents for file in clothes_files])
        named = (clothes[0][inside], clothes[1][inside]) if inside.any() else seen(pictures_in(folder, 1), classify)
        wanted = clothes[1][~inside]
        by_words = [word_relevance(one, space, [words], options.relevant).irrelevance > 0 for one in (named[1], wanted)]
        below = (named[0] < least).mean()
        of_it = f"{len(named[1])} | {by_words[0].mean():.2f}"
        print(f"| {words} | {of_it} | {len(wanted)} | {by_words[1].mean():.4f} | {below:.2f} |", flush=True)
        if not inside.any():
            things.append(named)
            all_words.append(words)
    if not things:
        return
    probabilities, features = (np.concatenate(parts) for parts in zip(*things, strict=True))
    together = [word_relevance(one, space, all_words, options.relevant).irrelevance > 0 for one in (features, clothes[1])]
    below = (probabilities < least).mean()
    print(
        f"| all but those for clothes | {len(features)} | {together[0].mean():.2f} | {len(clothes[1])} "
        f"| {together[1].mean():.4f} | {below:.2f} |"
    )


if __name__ == "__main__":
    main()
