"""The kinds of score: what each means, which direction is better, and which parameters it depends on. Without torch."""

from typing import NamedTuple

HIGHER, LOWER = True, False


class ScoreKind(NamedTuple):
    """A kind of score. Its name in metrics.json is the kind, or `<kind>_<extractor>`."""

    label: str
    higher_is_better: bool
    meaning: str
    settings: tuple[str, ...] = ()  # parameters of `evaluate` that the passport holds
    counts_copies: bool = False
    noise_is_worst: bool = True  # false if the score of noise says nothing about the generator
    method: str | None = None  # of a kind that was computed in another way once: scores by different methods are not compared


UNBIASED = "Extrapolated from several sample counts, to remove the bias of few samples. Lower is better."
# In the order of the report.
KINDS = {
    "class_accuracy": ScoreKind(
        "Class accuracy", HIGHER, "How often a classifier trained on real images sees the requested category. Higher is better."
    ),
    "met": ScoreKind(
        "Asked attribute met",
        HIGHER,
        "How often the colour or pattern measured is the one asked for; for real ones, what inspect saw. Higher is better.",
        ("attribute_samples",),
        noise_is_worst=False,
    ),
    "category_kept": ScoreKind(
        "Category kept",
        HIGHER,
        "How often the classifier sees the same category when another colour is asked for. Higher is better.",
        ("attribute_samples",),
        noise_is_worst=False,
    ),
    "caption_recall": ScoreKind(
        "Captions recalled",
        HIGHER,
        "How often a caption finds its own picture among the ten most similar of as many as there are test pictures. "
        "Higher is better.",
        noise_is_worst=False,
    ),
    "fid": ScoreKind(
        "Fréchet Inception distance", LOWER, "The distance that papers quote, by clean-fid's Inception only. Lower is better."
    ),
    "fd": ScoreKind(
        "Fréchet distance", LOWER, "Distance to the real images, by Gaussians fitted to the features of both. Lower is better."
    ),
    "fid_infinity": ScoreKind("Fréchet Inception distance for infinitely many samples", LOWER, UNBIASED, ("fd_counts",)),
    "fd_infinity": ScoreKind("Fréchet distance for infinitely many samples", LOWER, UNBIASED, ("fd_counts",)),
    "precision": ScoreKind(
        "Precision", HIGHER, "Share of samples among the real images: do they look real? Higher is better.", ("neighbours",)
    ),
    "recall": ScoreKind(
        "Recall", HIGHER, "Share of real images among the samples: is their variety there? Higher is better.", ("neighbours",)
    ),
    "kid": ScoreKind(
        "Kernel distance",
        LOWER,
        "Like the Fréchet distance, but without assuming Gaussians. Lower is better; 0 means no difference.",
        ("kid_subsets", "kid_subset_size"),
    ),
    "density": ScoreKind(
        "Density", HIGHER, "Like precision; dense regions count more, outliers less. Higher is better.", ("neighbours",)
    ),
    "coverage": ScoreKind("Coverage", HIGHER, "Share of real images with a sample nearby. Higher is better.", ("neighbours",)),
    "diversity": ScoreKind(
        "Diversity",
        HIGHER,
        "Mean distance between two images of one category. Best if equal to that of real images.",
        noise_is_worst=False,
    ),
    "is": ScoreKind(
        "Inception score",
        HIGHER,
        "How confident the classifier is about each image, and how evenly it sees all categories. Higher is better.",
        noise_is_worst=False,
    ),
    "near_copies": ScoreKind(
        "Near-copies",
        LOWER,
        "Share of samples closer to a training image than unseen real images are. Lower is better.",
        ("near_copy_quantile",),
        counts_copies=True,
    ),
    "look_alikes": ScoreKind(
        "Look-alikes",
        LOWER,
        "Share of samples that dedup would drop as duplicates of a training image. Lower is better.",
        ("look_alikes",),
        counts_copies=True,
    ),
    "ppl": ScoreKind(
        "Perceptual path length",
        LOWER,
        "How far features move for a small step of the latent. Lower is smoother.",
        ("ppl_paths",),
        method="great circles, lengths change evenly",
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
