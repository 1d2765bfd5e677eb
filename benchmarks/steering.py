"""How many garments have the colour that was asked for before and after steering by the contrastive head.

    python -m benchmarks.steering MODEL --reference REFERENCE --categories dress shirt --count 8

Asks for each category in each of the eleven colours. The model's own input for texts, if it has one, is left at nothing. The
colour is measured as `inspect` measures it, which the head knows nothing of.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images, read_exported
from pipeline.metrics.steering import likeness_to, steered
from pipeline.words.prompts import prompt_embedding
from pipeline.words.vocabulary import GERMAN_COLOURS
from studio.seen_attributes import colour_shown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--categories", nargs="+", required=True)
    parser.add_argument("--colours", nargs="+", default=list(GERMAN_COLOURS))
    parser.add_argument("--count", type=int, default=8, help="garments of each colour and category")
    options = parser.parse_args()
    card, generator = read_exported(options.model)
    print("| colour | met before | met after | likeness before | after |")
    print("|---|---|---|---|---|")
    everything, started = [], time.process_time()
    for colour in options.colours:
        rows = []
        for category in options.categories:
            score = likeness_to(prompt_embedding(f"{colour} {category}", card.categories), options.reference)
            label = card.categories.index(category)

            def pictures(latents: np.ndarray, label: int = label) -> np.ndarray:
                return as_images(generator.pictures(latents, np.full(len(latents), label)))

            start = draw_latents(0, options.count, card.latent_dim)
            found = steered(start, lambda z, _: score(pictures(z)), np.random.default_rng(1))  # noqa: B023
            for one, likeness in ((start, found.before), (found.latents, found.after)):
                met = [colour_shown(picture, category) == colour for picture in pictures(one)]
                rows.append((float(np.mean(met)), float(likeness.mean())))
        before, after = np.mean(rows[::2], axis=0), np.mean(rows[1::2], axis=0)
        everything.append((before, after))
        print(f"| {colour} | {before[0]:.2f} | {after[0]:.2f} | {before[1]:.2f} | {after[1]:.2f} |", flush=True)
    before, after = np.mean(everything, axis=0)
    print(f"| all | {before[0]:.3f} | {after[0]:.3f} | {before[1]:.2f} | {after[1]:.2f} |")
    asked = options.count * len(options.categories) * len(options.colours)
    print(f"\n{(time.process_time() - started) / asked:.1f} CPU-seconds a garment")


if __name__ == "__main__":
    main()
