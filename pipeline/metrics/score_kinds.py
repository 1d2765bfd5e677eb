"""The kinds of score: what each means, which direction is better, and which parameters it depends on. Without torch."""

from typing import NamedTuple


class ScoreKind(NamedTuple):
    """A kind of score. Its name in metrics.json is the kind, or `<kind>_<extractor>`."""

    label: str
    meaning: str
    higher_is_better: bool
    settings: tuple[str, ...] = ()  # parameters of `evaluate` that the passport holds
    counts_copies: bool = False
    noise_is_worst: bool = True  # false if the score of noise says nothing about the generator


# In the order of the report.
KINDS = {
    "class_accuracy": ScoreKind(
        "Class accuracy",
        "How often a classifier trained on real images recognises the requested category. Higher is better.",
        higher_is_better=True,
    ),
    "fid": ScoreKind(
        "Fréchet Inception distance",
        "The Fréchet distance that papers quote, by clean-fid's Inception network only. Lower is better.",
        higher_is_better=False,
    ),
    "fd": ScoreKind(
        "Fréchet distance",
        "Distance between the generated and the real images, by Gaussians fitted to their features. Lower is better.",
        higher_is_better=False,
    ),
    "fid_infinity": ScoreKind(
        "Fréchet Inception distance for infinitely many samples",
        "Extrapolated from several sample counts, to remove the bias of few samples. Lower is better.",
        higher_is_better=False,
        settings=("fd_counts",),
    ),
    "fd_infinity": ScoreKind(
        "Fréchet distance for infinitely many samples",
        "Extrapolated from several sample counts, to remove the bias of few samples. Lower is better.",
        higher_is_better=False,
        settings=("fd_counts",),
    ),
    "precision": ScoreKind(
        "Precision",
        "Share of generated images that lie among the real ones: do they look real? Higher is better.",
        higher_is_better=True,
        settings=("neighbours",),
    ),
    "recall": ScoreKind(
        "Recall",
        "Share of real images that lie among the generated ones: is all the variety there? Higher is better.",
        higher_is_better=True,
        settings=("neighbours",),
    ),
    "kid": ScoreKind(
        "Kernel distance",
        "Like the Fréchet distance, but without assuming Gaussians. Lower is better; 0 means no difference.",
        higher_is_better=False,
        settings=("kid_subsets", "kid_subset_size"),
    ),
    "density": ScoreKind(
        "Density",
        "Like precision, but dense regions count more and outliers less. Higher is better.",
        higher_is_better=True,
        settings=("neighbours",),
    ),
    "coverage": ScoreKind(
        "Coverage",
        "Share of real images with a generated one nearby. Higher is better.",
        higher_is_better=True,
        settings=("neighbours",),
    ),
    "diversity": ScoreKind(
        "Diversity",
        "Mean distance between two images of one category. Best if equal to that of real images.",
        higher_is_better=True,
        noise_is_worst=False,
    ),
    "is": ScoreKind(
        "Inception score",
        "How confident the classifier is about each image, and how evenly it sees all categories. Higher is better.",
        higher_is_better=True,
        noise_is_worst=False,
    ),
    "near_copies": ScoreKind(
        "Near-copies",
        "Share of generated images closer to a training image than unseen real ones are. Lower is better.",
        higher_is_better=False,
        settings=("near_copy_quantile",),
        counts_copies=True,
    ),
    "look_alikes": ScoreKind(
        "Look-alikes",
        "Share of generated images that dedup would drop as duplicates of a training image. Lower is better.",
        higher_is_better=False,
        settings=("look_alikes",),
        counts_copies=True,
    ),
    "ppl": ScoreKind(
        "Perceptual path length",
        "How far the features move for a small step of the latent. Lower is smoother.",
        higher_is_better=False,
        settings=("ppl_paths",),
    ),
}


def kind_of(name: str) -> str:
    """The longest kind that is `name` or its prefix before `_`; `name` itself if there is none."""
    matches = [kind for kind in KINDS if name == kind or name.startswith(f"{kind}_")]
    return max(matches, key=len, default=name)


def score_name(kind: str, extractor: str) -> str:
    """`<kind>_<extractor>`, except that `fid` and `kid` without ending mean the Inception network."""
    short_names = {
        ("fd", "inception"): "fid",
        ("fd_infinity", "inception"): "fid_infinity",
        ("kid", "inception"): "kid",
        ("class_accuracy", "classifier"): "class_accuracy",
    }
    return short_names.get((kind, extractor), f"{kind}_{extractor}")
