"""The reference and evaluate stages: outputs, reproducibility, a generator that copies, and what cannot be measured."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipeline.errors import InputError, ParamsError
from pipeline.gan.checkpoints import GeneratorCard, count_of, save_generator
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.inference.transparency import on_ground
from pipeline.metrics.extractors import PRETRAINED, Extractor, PretrainedExtractor
from pipeline.metrics.passport import why_not_comparable
from pipeline.metrics.reference_set import load_real_images, load_reference
from pipeline.params import parse_section
from pipeline.stages.evaluate import run as evaluate
from pipeline.stages.evaluate.entries import sampled_shares
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.evaluate.run import comparable_with_real
from pipeline.stages.reference import run as reference
from pipeline.stages.reference.params import ReferenceParams
from pipeline.storage.arrays import DatasetCard, read_card, read_split, split_sha256, write_attributes, write_card
from pipeline.tracking.tracker import Tracker
from tests.support.splits import write_split

CATEGORIES = ["a", "b", "c"]
SIDE = 16
TINY: dict[str, Any] = {
    "samples": 30,
    "repeats": 2,
    "seed": 0,
    "neighbours": 3,
    "kid_subsets": 3,
    "kid_subset_size": 10,
    "fd_counts": [10, 20],
    "bootstraps": 3,
    "near_copy_quantile": 0.1,
    "look_alikes": {"max_distance_bits": 4, "max_thumbnail_difference": 0.1},
    "ppl_paths": 8,
    "pictures_per_category": 4,
    "device": "cpu",
    "threads": 1,
}
REFERENCE: dict[str, Any] = {
    "floor_pictures": 30,
    "noise_pictures": 12,
    "seed": 0,
    "classifier": {"epochs": 6, "batch_size": 16, "peak_rate": 0.01, "seed": 0},
    "efflite0_px": 32,
    "inception_weights": None,
    "modules": [],
    "device": "cpu",
    "threads": 1,
}


def params_with(**changes: Any) -> EvaluateParams:
    section = parse_section("evaluate", json.dumps({**TINY, **changes}))
    assert isinstance(section, EvaluateParams)
    return section


def make_reference(folder: Path, **changes: Any) -> None:
    section = parse_section("reference", json.dumps({**REFERENCE, **changes}))
    assert isinstance(section, ReferenceParams)
    paths = {name: folder / name for name in ("train", "reference", "scratch")}
    reference.run(section, **paths, track=Tracker())


def images_and_labels(count: int, seed: int, channels: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise with a bright top, a bright bottom, or neither."""
    labels = np.arange(count, dtype=np.int64) % 3
    images = np.random.default_rng(seed).integers(0, 120, (count, SIDE, SIDE, channels), dtype=np.uint8)
    images[labels == 1, : SIDE // 2] += 90
    images[labels == 2, SIDE // 2 :] += 90
    return images, labels


def write_data(folder: Path, channels: int = 1, test_count: int = 24) -> Path:
    folder.mkdir(parents=True)
    counts = {"reference_train": 60, "reference_test": test_count}
    for seed, (split, count) in enumerate(counts.items()):
        write_split(folder, split, *images_and_labels(count, seed, channels))
    sha256 = {split: split_sha256(folder, split) for split in counts}
    write_card(folder, DatasetCard(CATEGORIES, SIDE, SIDE, channels, "none", counts, sha256))
    return folder


def write_generator(folder: Path, channels: int = 1, categories: list[str] = CATEGORIES, **card: Any) -> Path:
    folder.mkdir(parents=True)
    arguments = {"width": 4, "max_width": 8}
    width = card.get("text_dim", 0) or count_of(card.get("attributes", {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = build_generator("resnet", arguments, PictureShape(SIDE, SIDE, channels), len(categories), 8, width)
    if "text_dim" in card:
        generator.expect_texts(torch.zeros(len(categories), width))
    save_generator(folder, generator, GeneratorCard("resnet", arguments, categories, SIDE, SIDE, channels, 8, 1000, **card))
    return folder


def run(folder: Path, out: Path, params: EvaluateParams) -> dict[str, Any]:
    evaluate.run(
        params,
        train=folder / "train",
        reference=folder / "reference",
        gan=folder / "gan",
        metrics=out / "metrics.json",
        scores=out / "scores.json",
        evaluation=out / "evaluation",
        track=Tracker(),
    )
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def _the_same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a reference, a generator, and the results of an evaluation in `out`."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_data(folder / "train")
    make_reference(folder)
    write_generator(folder / "gan")
    run(folder, folder / "out", params_with())
    return folder


def test_every_score_has_a_passport(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics.pop("fid").keys() == {"absent"}
    for name in ("efflite0", "classifier"):
        assert {f"{kind}_{name}" for kind in ("fd", "kid", "precision", "recall", "density", "coverage")} <= metrics.keys()
    for name, entry in metrics.items():
        passport = entry["passport"]
        assert np.isfinite(entry["value"]), name
        assert entry["plus_minus"] >= 0, name
        assert passport["extractor"]["name"] == "phash" or len(passport["extractor"]["weights_sha256"]) == 64, name
        assert passport["reference"] == {
            "split": "reference_test",
            "sha256": split_sha256(evaluated / "train", "reference_test"),
            "pictures": 24,
        }
    assert metrics["fd_efflite0"]["passport"]["extractor"]["input_px"] == "32×32"
    assert metrics["precision_efflite0"]["passport"]["settings"] == {"neighbours": 3}
    assert metrics["fd_efflite0"]["floor"] < metrics["fd_efflite0"]["value"]
    assert metrics["class_accuracy_real"]["value"] == metrics["class_accuracy"]["floor"] > 0.9


def test_a_passport_says_whether_categories_were_sampled_equally_often(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["fd_efflite0"]["passport"]["samples"]["categories"] == "equal shares"
    assert sampled_shares(np.array([0, 0, 0, 1, 2])) == "the test split's shares"


def test_a_model_is_not_judged_by_the_network_that_it_was_trained_through(evaluated: Path, tmp_path: Path) -> None:
    for name in ("train", "reference"):
        shutil.copytree(evaluated / name, tmp_path / name)
    write_generator(tmp_path / "gan", recipe={"projected": {"weight": 0.5}})
    metrics = run(tmp_path, tmp_path / "out", params_with())
    before = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics.keys() == before.keys()
    by_efflite0 = {name for name in metrics if name.endswith("_efflite0")}
    assert {"fd_efflite0", "precision_efflite0", "recall_efflite0", "diversity_efflite0", "ppl_efflite0"} <= by_efflite0
    assert all("trained through efflite0" in metrics[name]["absent"] for name in by_efflite0)
    assert metrics["fd_classifier"]["value"] == before["fd_classifier"]["value"]


def test_a_model_with_attributes_is_asked_for_those_of_test_pictures(tmp_path: Path) -> None:
    train, attributes = write_data(tmp_path / "train", channels=3), {"colour": ["black", "grey"], "season": ["winter"]}
    write_card(train, replace(read_card(train), attributes=attributes))
    write_attributes(train, np.tile(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], np.uint8), (8, 1)), "reference_test")
    make_reference(tmp_path)
    write_generator(tmp_path / "gan", channels=3, attributes=attributes, condition="attributes")
    metrics = run(tmp_path, tmp_path / "out", params_with(attribute_samples=6))
    assert metrics["met_colour"]["floor_pictures"]["pictures"] == 6
    assert metrics["met_colour"]["passport"]["settings"] == {"attribute_samples": 6}
    assert "nothing measures" in metrics["met_season"]["absent"]
    assert "category_kept_classifier" in metrics
    assert pixels(tmp_path / "out" / "evaluation" / "asked_colour.png").shape == (3 * SIDE, 2 * SIDE, 3)
    (train / "reference_test_attributes.npy").unlink()
    with pytest.raises(InputError, match="run augment again"):
        run(tmp_path, tmp_path / "again", params_with(attribute_samples=6))


def test_scores_have_floor_ceiling_and_bootstrap(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    for kind in ("fd", "fd_infinity", "kid", "precision", "recall", "density", "coverage"):
        entry = metrics[f"{kind}_efflite0"]
        assert entry["floor_pictures"] == {
            "split": "reference_train",
            "sha256": split_sha256(evaluated / "train", "reference_train"),
            "pictures": 30,
        }
        assert entry["ceiling_pictures"] == {"split": "uniform noise", "pictures": 12, "seed": 0}
        assert entry.get("plus_minus_bootstrap", 1) > 0 or kind in ("precision", "recall", "density", "coverage")
    assert metrics["fd_classifier"]["floor"] < metrics["fd_classifier"]["ceiling"]
    assert metrics["class_accuracy"]["floor"] > metrics["class_accuracy"]["ceiling"]
    share = metrics["class_accuracy"]["plus_minus_bootstrap"]
    assert 0 < share <= 0.5 / np.sqrt(30)


def test_fd_by_count_ends_in_the_scores_of_metrics_json(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    table = rows_of(evaluated / "out" / "evaluation" / "fd_by_count.csv")
    assert [(row["extractor"], row["pictures"]) for row in table] == [
        (name, count) for name in ("efflite0", "classifier") for count in ("10", "20", "30")
    ]
    for name, last in (("efflite0", table[2]), ("classifier", table[5])):
        assert float(last["fd"]) == pytest.approx(metrics[f"fd_{name}"]["value"], rel=1e-9)
        assert float(last["floor"]) == pytest.approx(metrics[f"fd_{name}"]["floor"], rel=1e-9)


def test_there_are_no_more_samples_than_real_pictures_to_compare_them_with(caplog: pytest.LogCaptureFixture) -> None:
    params = comparable_with_real(params_with(samples=30, fd_counts=[10, 20]), 18, 3)
    assert (params.samples, list(params.fd_counts)) == (18, [10])
    assert "18 samples in place of evaluate.samples, 30" in caplog.text
    assert comparable_with_real(params_with(samples=30), 40, 3).samples == 30
    assert comparable_with_real(params_with(samples=30), 4, 3).samples == 6  # two of each category


def test_fd_counts_that_reach_samples_are_refused() -> None:
    with pytest.raises(ParamsError, match=r"evaluate: fd_counts:"):
        params_with(fd_counts=[10, 30])


def test_scores_json_holds_the_bare_values(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    scores = json.loads((evaluated / "out" / "scores.json").read_text(encoding="utf-8"))
    assert scores == {name: entry["value"] for name, entry in metrics.items() if "value" in entry}


def test_contact_sheets_and_tables(evaluated: Path) -> None:
    folder = evaluated / "out" / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        "SHA256SUMS",
        "grid.png",
        "nearest.png",
        "look_alikes.png",
        "best_worst.png",
        "walks.png",
        "confusion.csv",
        "fd_by_count.csv",
        "per_category.csv",
    }
    assert pixels(folder / "grid.png").shape == (3 * SIDE, 4 * SIDE)
    assert pixels(folder / "nearest.png").shape == (3 * (SIDE + 2) - 2, 4 * (SIDE + 2) - 2)
    assert pixels(folder / "best_worst.png").shape == (3 * SIDE, 4 * SIDE + SIDE // 2)
    assert pixels(folder / "walks.png").shape == (3 * SIDE, 4 * SIDE)
    confusion = rows_of(folder / "confusion.csv")
    assert [row["asked"] for row in confusion] == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert {row["seen"] for row in confusion} <= set(CATEGORIES)
    table = rows_of(folder / "per_category.csv")
    assert [(row["category"], row["samples"], row["reference"]) for row in table] == [(name, "10", "8") for name in CATEGORIES]
    right = np.mean([row["asked"] == row["seen"] for row in confusion])
    assert np.mean([float(row["class_accuracy"]) for row in table]) == pytest.approx(right)


def test_outputs_hold_no_path(evaluated: Path) -> None:
    for name, held in content(evaluated / "out").items():
        assert str(evaluated).encode() not in held, name


def test_evaluating_twice_gives_the_same_bytes(evaluated: Path, tmp_path: Path) -> None:
    run(evaluated, tmp_path, params_with())
    assert content(tmp_path) == content(evaluated / "out")


def test_making_the_reference_twice_gives_the_same_bytes(evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated / "train", tmp_path / "train")
    make_reference(tmp_path)
    assert content(tmp_path / "reference") == content(evaluated / "reference")


def test_reference_holds_these_files_and_no_path(evaluated: Path) -> None:
    held = content(evaluated / "reference")
    assert set(held) == {
        "SHA256SUMS",
        "classifier.json",
        "classifier.safetensors",
        "classifier_noise.npy",
        "classifier_test.npy",
        "classifier_train.npy",
        "efflite0.onnx",
        "efflite0_floor.npy",
        "efflite0_noise.npy",
        "efflite0_test.npy",
        "floor_rows.npy",
        "phash_test.npy",
        "phash_train.npy",
        "reference.json",
    }
    code = str(Path(__file__).parents[3])
    assert not [name for name, bytes_ in held.items() if str(evaluated).encode() in bytes_ or code.encode() in bytes_]


def test_floor_features_belong_to_floor_rows(evaluated: Path) -> None:
    known = load_reference(evaluated / "reference", load_real_images(evaluated / "train"), 1, torch.device("cpu"))
    rows = np.load(evaluated / "reference" / "floor_rows.npy")
    images, _ = read_split(evaluated / "train", "reference_train")
    for extractor in (*known.pretrained, known.classifier_extractor):
        np.testing.assert_allclose(known.features(extractor, "floor"), extractor.features(images[rows]), atol=1e-5)


def test_reference_of_other_images_or_libraries_is_refused(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gan", "reference"):
        shutil.copytree(evaluated / name, tmp_path / name)
    write_data(tmp_path / "train", test_count=21)
    with pytest.raises(InputError, match=r"made with other images .* run reference again"):
        run(tmp_path, tmp_path / "out", params_with())
    monkeypatch.setattr("pipeline.metrics.reference_set.library_versions", lambda: {"torch": "1.0"})
    with pytest.raises(InputError, match=r"made with other libraries .* run reference again"):
        run(evaluated, tmp_path / "out", params_with())


def test_damaged_reference_is_refused(evaluated: Path, tmp_path: Path) -> None:
    for name in ("train", "gan", "reference"):
        shutil.copytree(evaluated / name, tmp_path / name)
    weights = tmp_path / "reference" / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="run reference again"):
        run(tmp_path, tmp_path / "out", params_with())


def test_a_changed_parameter_changes_only_the_scores_that_use_it(evaluated: Path, tmp_path: Path) -> None:
    before = json.loads((evaluated / "out" / "metrics.json").read_text(encoding="utf-8"))
    after = run(evaluated, tmp_path, params_with(neighbours=5))
    assert after["fd_efflite0"] == before["fd_efflite0"]
    passports = (metrics["recall_efflite0"]["passport"] for metrics in (before, after))
    assert [line.partition(":")[0] for line in why_not_comparable(*passports)] == ["settings.neighbours"]


class Copier(Generator):
    """Returns training images of the requested category."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        super().__init__(truncation=1.0)
        self.pictures = nn.Parameter(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1, requires_grad=False)
        self.rows = [np.flatnonzero(labels == label) for label in range(3)]

    def forward(self, latents: Tensor, labels: Tensor, _attributes: Tensor | None = None) -> Tensor:
        numbers = (latents[:, 0].abs() * 1e4).long()
        chosen = [int(self.rows[label][number % 20]) for number, label in zip(numbers.tolist(), labels.tolist(), strict=True)]
        return self.pictures[chosen]


def test_generator_that_copies_is_flagged(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copier = Copier(*images_and_labels(60, 0, 1))
    card = GeneratorCard("copier", {}, CATEGORIES, SIDE, SIDE, 1, 8, 0)
    monkeypatch.setattr(evaluate, "load_generator", lambda *_: (copier, card))
    metrics = run(evaluated, tmp_path, params_with())
    assert metrics["near_copies_classifier"]["value"] == 1
    assert "memorised" in metrics["near_copies_classifier"]["flag"]
    assert metrics["look_alikes_phash"]["value"] == 1
    assert metrics["look_alikes_phash"]["floor"] < 0.5
    assert "memorised" in metrics["look_alikes_phash"]["flag"]
    assert metrics["class_accuracy"]["value"] > 0.9
    # Each sample is beside its identical nearest training image.
    for name in ("nearest.png", "look_alikes.png"):
        sheet = pixels(tmp_path / "evaluation" / name)
        np.testing.assert_array_equal(sheet[:SIDE, :SIDE], sheet[:SIDE, SIDE + 2 : 2 * SIDE + 2], err_msg=name)


def test_colour_images_and_a_test_set_smaller_than_the_parameters(tmp_path: Path) -> None:
    write_data(tmp_path / "train", channels=3, test_count=2)
    write_generator(tmp_path / "gan", channels=3)
    make_reference(tmp_path)
    metrics = run(tmp_path, tmp_path / "out", params_with(neighbours=50, kid_subset_size=1000))
    assert "curate.test_share" in metrics["diversity_classifier"]["absent"]
    assert np.isfinite([entry["value"] for entry in metrics.values() if "value" in entry]).all()
    assert pixels(tmp_path / "out" / "evaluation" / "grid.png").shape == (3 * SIDE, 4 * SIDE, 3)
    table = rows_of(tmp_path / "out" / "evaluation" / "per_category.csv")
    assert [row["fd_classifier"] for row in table] == ["", "", ""]  # at most one reference image per category


def test_pictures_with_alpha_are_measured_on_the_ground_that_passports_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRETRAINED, "means", PretrainedExtractor(lambda _: channel_means(), "channel means"))
    monkeypatch.delitem(PRETRAINED, "efflite0")  # 1,280 features take their time
    for name, channels in (("alpha", 4), ("opaque", 3)):
        write_data(tmp_path / name / "train", channels=4)
        write_generator(tmp_path / name / "gan", channels=channels)
    seen = tmp_path / "opaque" / "train"
    sha256, counts = {}, {}
    for split in ("reference_train", "reference_test"):
        images, labels = read_split(tmp_path / "alpha" / "train", split)
        write_split(seen, split, on_ground(images, "black"), labels)
        sha256[split], counts[split] = split_sha256(seen, split), len(labels)
    write_card(seen, DatasetCard(CATEGORIES, SIDE, SIDE, 3, "none", counts, sha256))
    for name in ("alpha", "opaque"):
        make_reference(tmp_path / name, ground="black")
    features = sorted(path.name for path in (tmp_path / "alpha" / "reference").glob("*.npy"))
    assert "classifier_test.npy" in features
    assert "means_floor.npy" in features
    for name in [*features, "classifier.safetensors"]:
        ours, theirs = ((tmp_path / folder / "reference" / name).read_bytes() for folder in ("alpha", "opaque"))
        assert ours == theirs, name
    metrics = run(tmp_path / "alpha", tmp_path / "out", params_with())
    passports = [entry["passport"] for entry in metrics.values() if "value" in entry]
    assert {passport["reference"]["ground"] for passport in passports} == {"black"}
    assert {"fd_means", "fd_classifier", "ppl_classifier", "look_alikes_phash"} <= set(metrics)
    for sheet in ("grid", "nearest", "best_worst", "walks"):
        assert pixels(tmp_path / "out" / "evaluation" / f"{sheet}.png").shape[2] == 4
    assert "ground" not in json.loads((tmp_path / "opaque" / "reference" / "reference.json").read_text())


@pytest.mark.parametrize("count", [0, 1])
def test_missing_test_set_raises_input_error(tmp_path: Path, count: int) -> None:
    write_data(tmp_path / "train", test_count=count)
    with pytest.raises(InputError, match=rf"reference_test has {count} .*curate\.test_share"):
        make_reference(tmp_path)


def test_generator_of_other_categories_is_refused(evaluated: Path, tmp_path: Path) -> None:
    for name in ("train", "reference"):
        shutil.copytree(evaluated / name, tmp_path / name)
    write_generator(tmp_path / "gan", categories=["a", "b", "d"])
    with pytest.raises(InputError, match="run train again"):
        run(tmp_path, tmp_path / "out", params_with())


def test_too_few_samples_for_the_categories_are_refused(evaluated: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.samples: 5 "):
        run(evaluated, tmp_path, params_with(samples=5, fd_counts=[]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is available")
def test_device_cuda_without_cuda_is_refused(evaluated: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.device: cuda"):
        run(evaluated, tmp_path, params_with(device="cuda"))
    shutil.copytree(evaluated / "train", tmp_path / "train")
    with pytest.raises(ParamsError, match=r"reference\.device: cuda"):
        make_reference(tmp_path, device="cuda")


def test_wrong_inception_weights_are_refused_before_any_work(evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated / "train", tmp_path / "train")
    (tmp_path / "inception.pt").write_bytes(b"another network")
    with pytest.raises(InputError, match="not inception-2015-12-05"):
        make_reference(tmp_path, inception_weights=str(tmp_path / "inception.pt"))
    assert not (tmp_path / "reference").exists()


def channel_means() -> Extractor:
    """The example of CONTRIBUTING.md: the mean of each channel in the upper and in the lower half."""

    def extract(images: Tensor) -> NDArray[np.float32]:
        return images.unflatten(2, (2, -1)).mean((3, 4)).flatten(1).numpy()

    return Extractor("means", "0" * 64, SIDE, SIDE, "none", "torch on cpu", extract)


def test_registered_extractor_gives_scores_and_reserves_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRETRAINED, "means", PretrainedExtractor(lambda _: channel_means(), "channel means"))
    write_data(tmp_path / "train")
    write_generator(tmp_path / "gan")
    make_reference(tmp_path)
    metrics = run(tmp_path, tmp_path / "out", params_with())
    assert metrics["fd_means"]["passport"]["extractor"]["name"] == "means"
    assert metrics["fd_means"]["floor"] < metrics["fd_means"]["value"]
    module = {"name": "means", "build": "torch.nn:Flatten", "mean": [0.5] * 3, "deviation": [0.5] * 3}
    with pytest.raises(ParamsError, match=r"reference: modules: .*means"):
        make_reference(tmp_path, modules=[module])
