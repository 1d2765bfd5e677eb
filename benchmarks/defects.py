"""The area under the ROC curve of each measure for planted defects, compared with cleanvision.

    python -m benchmarks.defects FOLDER --pictures 40 --rival PYTHON --page docs/benchmarks/defects.md

Every picture appears unchanged and with each defect at each strength, and the score of an issue has to separate the two (1:
always, 0.5: chance). Pictures that show no garment are drawn, or are scikit-image's samples; the categories are those of
FOLDER.
"""

import argparse
import hashlib
import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy.stats import mannwhitneyu

from benchmarks.photographs import photographs
from pipeline.imaging.measures import aspect, size_ratio
from pipeline.imaging.resizing import border_pixels
from pipeline.params import load_params
from pipeline.stages.curate.run import with_relevance
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import rows_of
from pipeline.storage.files import write_text
from tests.support.duplicates import duplicates_among
from tests.support.edits import jpeg
from tests.support.off_topic import KINDS, draw_off_topic

PARAMS = Path(__file__).parents[1] / "params.yaml"
SAVED_QUALITY = 92
SOUND = "sound"
OFF_TOPIC_EACH = 12
MISLABELLED = 0.1  # of the photographs that the categories are made of

Defect = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Issue:
    """An issue, the defects that show it, and the measures that score it, with whether a high value is bad."""

    name: str
    defects: dict[str, Defect]
    measures: tuple[str, ...]  # ours; the first is the one in the table's head
    much_is_bad: bool
    rival: str | None  # cleanvision's name of it


def _blurred(share: float) -> Defect:
    return lambda image: image.filter(ImageFilter.GaussianBlur(share * max(image.size)))


def _levels(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Defect:
    return lambda image: Image.fromarray(np.clip(change(np.asarray(image).astype(np.float64)), 0, 255).astype(np.uint8))


def _posterised(levels: int, *, grey: bool) -> Defect:
    step = 255 / (levels - 1)

    def change(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        seen = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2) if grey else pixels
        return np.rint(seen / step) * step

    return _levels(change)


def _strip(aspect: float) -> Defect:
    def cut(image: Image.Image) -> Image.Image:
        height = round(image.width / aspect)
        top = (image.height - height) // 2
        return image.crop((0, top, image.width, top + height))

    return cut


def _scaled(factor: float) -> Defect:
    return lambda image: image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BOX)


def _cut(share: float) -> Defect:
    def cut(image: Image.Image) -> Image.Image:
        left, top = round(share / 2 * image.width), round(share / 2 * image.height)
        return image.crop((left, top, image.width - left, image.height - top))

    return cut


def _ground(image: Image.Image) -> tuple[int, ...]:
    return tuple(round(float(level)) for level in np.median(border_pixels(np.asarray(image)), axis=0))


def _small(share: float) -> Defect:
    def shrink(image: Image.Image) -> Image.Image:
        canvas, small = Image.new("RGB", image.size, _ground(image)), _scaled(share)(image)
        canvas.paste(small, ((image.width - small.width) // 2, (image.height - small.height) // 2))
        return canvas

    return shrink


def _twice(share: float) -> Defect:
    """The picture beside a smaller copy of itself, on its own background."""

    def pair(image: Image.Image) -> Image.Image:
        small = _scaled(share)(image)
        canvas = Image.new("RGB", (image.width + small.width, image.height), _ground(image))
        canvas.paste(image, (0, 0))
        canvas.paste(small, (image.width, (image.height - small.height) // 2))
        return canvas

    return pair


def _written(opacity: float) -> Defect:
    def write(image: Image.Image) -> Image.Image:
        layer = Image.new("RGBA", image.size)
        font = ImageFont.load_default(size=max(10, image.width // 12))
        place = (image.width / 2, image.height / 2)
        ImageDraw.Draw(layer).text(place, "WWW.SAMPLE.COM", font=font, fill=(255, 255, 255, round(255 * opacity)), anchor="mm")
        return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")

    return write


def _with_face(faces: NDArray[np.float64], share: float) -> Defect:
    """Paste one of `faces` (N, H, W) in [0, 1], chosen by the picture, into its upper half."""

    def paste(image: Image.Image) -> Image.Image:
        face = faces[random.Random(image.tobytes()[:4096]).randrange(len(faces))]
        side = round(share * image.height)
        tile = Image.fromarray((255 * face).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        peopled = image.copy()
        peopled.paste(tile.convert("RGB"), ((image.width - side) // 2, round(0.05 * image.height)))
        return peopled

    return paste


def issues_with(faces: NDArray[np.float64]) -> list[Issue]:
    """Every issue that changing a picture can plant."""
    return [
        Issue(
            "blurry", {f"σ {share:.1%}": _blurred(share) for share in (0.003, 0.006, 0.012)}, ("sharpness",), False, "blurry"
        ),
        Issue(
            "dark",
            {f"× {factor}": _levels(lambda pixels, factor=factor: factor * pixels) for factor in (0.5, 0.3, 0.15)},  # type: ignore[misc]
            ("highlight", "brightness"),
            False,
            "dark",
        ),
        Issue(
            "bright",
            {
                f"{share:.0%} white": _levels(lambda pixels, share=share: pixels + share * (255 - pixels))  # type: ignore[misc]
                for share in (0.5, 0.7, 0.9)
            },
            ("shadow", "brightness"),
            True,
            "light",
        ),
        Issue(
            "low information",
            {f"{levels} greys": _posterised(levels, grey=True) for levels in (16, 6, 2)}
            | {f"{levels} levels a channel": _posterised(levels, grey=False) for levels in (16, 6)},
            ("levels", "entropy_bits", "contrast"),
            False,
            "low_information",
        ),
        Issue("odd aspect", {f"{aspect} : 1": _strip(aspect) for aspect in (3, 6)}, ("aspect",), True, "odd_aspect_ratio"),
        Issue("odd size", {f"× {factor}": _scaled(factor) for factor in (0.25, 3)}, ("size_ratio",), True, "odd_size"),
        Issue(
            "greyscale",
            {
                "one channel": lambda image: image.convert("L"),
                "three channels": lambda image: image.convert("L").convert("RGB"),
            },
            ("colourfulness",),
            False,
            "grayscale",
        ),
        Issue("cut off", {f"{share:.0%} cut": _cut(share) for share in (0.3, 0.5)}, ("cut_off",), True, None),
        Issue("garment too small", {f"× {share}": _small(share) for share in (0.5, 0.25)}, ("background",), True, None),
        Issue("more than one", {f"× {share}": _twice(share) for share in (1.0, 0.6)}, ("second",), True, None),
        Issue("text over it", {f"opacity {opacity}": _written(opacity) for opacity in (0.3, 0.6, 1.0)}, ("text",), True, None),
        Issue("face", {f"{share:.0%} high": _with_face(faces, share) for share in (0.15, 0.3)}, ("face",), True, None),
    ]


def auroc(bad: Iterable[float], sound: Iterable[float]) -> float:
    """Area under the ROC curve: the share of (bad, sound) pairs in which the bad picture scores higher; ties count half."""
    high, low = np.asarray(list(bad), np.float64), np.asarray(list(sound), np.float64)
    return float(mannwhitneyu(high, low).statistic / (len(high) * len(low)))


def measured(files: list[Path], detect: list[str]) -> pd.DataFrame:
    """Our measures of `files`, by file name."""
    params = InspectParams.model_validate(load_params(PARAMS).inspect.model_dump() | {"detect": detect})
    rows = pd.DataFrame(rows_of([(file.name, file.read_bytes()) for file in files], params), dtype=object)
    rows.index = pd.Index([file.name for file in files])
    sides = rows[["width", "height"]].astype(float)
    return rows.assign(aspect=aspect(sides), size_ratio=size_ratio(sides))


def rival_scores(python: Path, folder: Path, issues: list[str]) -> pd.DataFrame:
    """cleanvision's scores of the images in `folder`, by file name; low is bad."""
    with tempfile.TemporaryDirectory() as scratch:
        output, script = Path(scratch) / "scores.json", Path(__file__).with_name("defects_rival.py")
        subprocess.run([python, script, folder, ",".join(issues), output], check=True, stdout=subprocess.DEVNULL)
        return pd.DataFrame.from_dict(json.loads(output.read_text(encoding="utf-8")), orient="index")


def defects_table(files: list[Path], issues: list[Issue], rival: Path, folder: Path) -> list[str]:
    """Rows of the table of defects; the images are written to `folder`."""
    folder.mkdir()
    names: dict[tuple[str, str], list[str]] = {}
    for number, (_, image) in enumerate(photographs(files)):
        versions: dict[tuple[str, str], Defect] = {(SOUND, ""): lambda image: image}
        versions |= {(issue.name, strength): defect for issue in issues for strength, defect in issue.defects.items()}
        for place, (version, defect) in enumerate(versions.items()):
            name = f"{number:04d}-{place:02d}.jpg"
            (folder / name).write_bytes(jpeg(defect(image), SAVED_QUALITY))
            names.setdefault(version, []).append(name)
    ours = measured(sorted(folder.iterdir()), ["text", "faces"])
    theirs = rival_scores(rival, folder, [issue.rival for issue in issues if issue.rival])
    sound, rows = names[SOUND, ""], []
    for issue in issues:
        sign = 1 if issue.much_is_bad else -1
        for strength in issue.defects:
            bad = names[issue.name, strength]
            values = [
                f"{measure} {auroc(sign * ours.loc[bad, measure], sign * ours.loc[sound, measure]):.3f}"
                for measure in issue.measures
            ]
            beside = f"{auroc(-theirs.loc[bad, issue.rival], -theirs.loc[sound, issue.rival]):.3f}" if issue.rival else "–"
            rows.append(f"| {issue.name} | {strength} | {', '.join(values)} | {beside} |")
    return rows


def duplicates_table(files: list[Path], rival: Path, folder: Path) -> list[str]:
    """Rows for duplicates: half of the pictures appear twice."""
    rows = []
    copies: dict[str, tuple[str, Callable[[bytes, Image.Image], bytes]]] = {
        "same file": ("exact_duplicates", lambda content, _: content),
        "half size, JPEG 60": ("near_duplicates", lambda _, image: jpeg(_scaled(0.5)(image), 60)),
    }
    for kind, (issue, copied) in copies.items():
        here = folder / issue
        here.mkdir(parents=True)
        for number, (file, image) in enumerate(photographs(files)):
            content = file.read_bytes()
            (here / f"{number:04d}-a.jpg").write_bytes(content)
            if number % 2:
                (here / f"{number:04d}-b.jpg").write_bytes(copied(content, image))
        paths = sorted(here.iterdir())
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        pictures = measured(paths, []).assign(key=[path.name for path in paths], sha256=hashes, split=None, licence=None)
        pictures["size_bytes"] = [path.stat().st_size for path in paths]
        links = duplicates_among(pictures, load_params(PARAMS).dedup).set_index("key")["link"]
        flagged, theirs = links != "alone", rival_scores(rival, here, [issue])[issue]
        if flagged.all() or not flagged.any():
            raise RuntimeError("either all pictures or none are flagged")
        bad = [path.name for path in paths if int(path.name[:4]) % 2]
        sound = [path.name for path in paths if not int(path.name[:4]) % 2]
        values = [f"{auroc(score[bad].astype(float), score[sound].astype(float)):.3f}" for score in (flagged, -theirs)]
        rows.append(f"| {issue.replace('_', ' ')} | {kind} | link {values[0]} | {values[1]} |")
    return rows


def relevance_table(files: list[Path], samples: list[Path], folder: Path) -> list[str]:
    """Rows for pictures without a garment, and for garments in the wrong category."""
    folder.mkdir()
    rng, categories = random.Random(0), sorted({file.parent.name for file in files})
    off_topic = {kind: draw_off_topic(kind, OFF_TOPIC_EACH, 0) for kind in KINDS}
    off_topic["scikit-image's samples"] = [image for _, image in photographs(samples)]
    labels, paths = [], []
    for number, file in enumerate(files):
        wrong = rng.random() < MISLABELLED
        others = [category for category in categories if category != file.parent.name]
        labels.append(("wrong category" if wrong else SOUND, rng.choice(others) if wrong else file.parent.name))
        paths.append(folder / f"{number:05d}.jpg")
        paths[-1].write_bytes(file.read_bytes())
    for kind, images in off_topic.items():
        for image in images:
            labels.append((kind, rng.choice(categories)))
            paths.append(folder / f"{len(paths):05d}.jpg")
            image.thumbnail((500, 500))
            paths[-1].write_bytes(jpeg(image, SAVED_QUALITY))
    kinds, given = zip(*labels, strict=True)
    rows = measured(paths, ["clothing"]).assign(kind=kinds, category=given)
    rows = with_relevance(rows)
    scores = {"clothing": -rows["clothing"].astype(float), "irrelevance": rows["irrelevance"].astype(float)}
    scores["misplacement"] = rows["misplacement"].astype(float)
    garments = rows["kind"].isin([SOUND, "wrong category"])

    def row(name: str, kind: str, bad: pd.Series, sound: pd.Series, measures: list[str]) -> str:
        figures = ", ".join(f"{measure} {auroc(scores[measure][bad], scores[measure][sound]):.3f}" for measure in measures)
        return f"| {name} | {kind} ({int(bad.sum())}) | {figures} | – |"

    both = ["irrelevance", "clothing"]
    table = [row("no garment", kind, rows["kind"] == kind, garments, both) for kind in off_topic]
    table.append(row("no garment", "all of them", ~garments, garments, both))
    table.append(row("wrong category", "renamed", rows["kind"] == "wrong category", rows["kind"] == SOUND, ["misplacement"]))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs, one folder per category")
    parser.add_argument("--pictures", type=int, default=40, help="photographs that get every defect")
    parser.add_argument("--garments", type=int, default=400, help="photographs that make up the categories")
    parser.add_argument("--rival", type=Path, required=True, help="a Python that has cleanvision and scikit-image")
    parser.add_argument("--page", type=Path, help="where to write the table")
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.jpg"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    script = Path(__file__).with_name("defects_rival.py")
    data = Path(
        subprocess.run([options.rival, script, "--samples"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    )
    samples = sorted(path for path in data.iterdir() if path.suffix in (".png", ".jpg"))
    faces = np.load(data / "lfw_subset.npy")[:100]  # the first half are faces
    with tempfile.TemporaryDirectory() as scratch:
        rows = relevance_table(files[: options.garments], samples, Path(scratch) / "relevance")
        print("\n".join(rows), flush=True)
        rows = duplicates_table(files[: options.pictures], options.rival, Path(scratch) / "copies") + rows
        rows = defects_table(files[: options.pictures], issues_with(faces), options.rival, Path(scratch) / "defects") + rows
    page = "\n".join(
        [
            "# Defects",
            "",
            f"`python -m benchmarks.defects FOLDER --rival PYTHON --pictures {options.pictures} --garments {options.garments}`",
            "",
            f"The area under the ROC curve of each measure for {options.pictures} photographs with a defect against",
            "those without; 1 is perfect, 0.5 chance.",
            "",
            "| issue | planted | Atelier | cleanvision |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
    print(page)
    if options.page:
        write_text(options.page, page)


if __name__ == "__main__":
    main()
